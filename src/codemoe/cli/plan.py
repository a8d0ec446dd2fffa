"""`codemoe plan`."""

from codemoe.cli.app import Json, app, print_json, quiet_libraries
from codemoe.cli.pipeline import OverridesArg, RecipeArg


@app.command()
def plan(recipe: RecipeArg, overrides: OverridesArg = None, as_json: Json = False) -> None:
    """What every stage takes, before anything is loaded.

    Parameters, memory, disk, FLOPs and GPU-hours.

    Says what fits in 16, 24, 48 and 80 GB, and what to change where it does not. Needs the base's
    config.json only: from a folder, from the hub's cache or from a table of published configs.
    """
    from codemoe.recipe_file import load_recipe

    loaded = load_recipe(recipe, overrides)
    quiet_libraries()
    from codemoe.plan.command import free_disk_note, make_plan

    made = make_plan(loaded)
    if as_json:
        print_json(made)
        return
    from codemoe.terminal_plan import show_plan

    show_plan(made, free_disk_note(made, loaded.runs_dir))
