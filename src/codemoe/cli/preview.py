"""`codemoe preview`."""

from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json, quiet_libraries
from codemoe.cli.pipeline import OverridesArg, RecipeArg


@app.command()
def preview(
    recipe: RecipeArg,
    overrides: OverridesArg = None,
    expert: Annotated[
        list[str] | None,
        typer.Option(help="Only this expert; can be repeated.", show_default=False),
    ] = None,
    samples: Annotated[int, typer.Option(min=0, help="Samples shown for each expert.")] = 2,
    color: Annotated[
        bool | None,
        typer.Option("--color/--no-color", help="Otherwise: on a terminal.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """The decoded training tokens, with the loss mask in colour.

    Shows each expert's first batch as its tensors hold it, the lengths, what is dropped for being
    too long, and what padding and packing cost. Makes data/ where it is not finished yet; loads no
    model.
    """
    from codemoe.pipeline import STAGES, run_stages
    from codemoe.recipe_file import load_recipe

    loaded = load_recipe(recipe, overrides)
    quiet_libraries()
    run_stages(loaded, STAGES[:1])
    from codemoe.train.preview import preview as look

    found = look(loaded, expert or (), samples)
    if as_json:
        print_json({"experts": [one.as_json() for one in found]})
        return
    from codemoe.terminal_preview import show_preview

    show_preview(found, color)
