"""`codemoe demo`, `run` and one command a stage."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codemoe.cli.app import Json, app, print_json, quiet_libraries
from codemoe.cli.merge import TWO_KINDS
from codemoe.errors import MissedThreshold

if TYPE_CHECKING:
    from codemoe.artifacts import Redo
    from codemoe.pipeline import Outcome, Stage
    from codemoe.recipe import Recipe

RecipeArg = Annotated[
    Path, typer.Argument(help="The recipe, a YAML file.", show_default=False, metavar="RECIPE")
]
OverridesArg = Annotated[
    list[str] | None,
    typer.Argument(
        help="Change keys of the recipe, such as name=mine experts.train.steps=50 "
        "'languages=[python, c++]'. Values are YAML.",
        metavar="KEY=VALUE",
        show_default=False,
    ),
]
RunForce = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Make finished stages again where settings or inputs have changed; keep the others.",
    ),
]
StageForce = Annotated[
    bool, typer.Option("--force", help="Make this stage again, even if it is finished.")
]


def _run(
    recipe_path: Path, overrides: list[str] | None, stages: "tuple[Stage, ...]", redo: "Redo"
) -> "tuple[Recipe, list[Outcome], MissedThreshold | None]":
    """Run stages; a missed threshold still leaves a result to show."""
    from codemoe.pipeline import run_stages
    from codemoe.recipe_file import load_recipe

    recipe = load_recipe(recipe_path, overrides)
    quiet_libraries()
    outcomes: list[Outcome] = []
    try:
        run_stages(recipe, stages, redo, outcomes.append)
    except MissedThreshold as error:
        return recipe, outcomes, error
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where this stopped", file=sys.stderr)
        raise
    return recipe, outcomes, None


def _run_all(
    recipe_path: Path, overrides: list[str] | None, force: bool, as_json: bool = False
) -> None:
    from codemoe.pipeline import STAGES

    recipe, _, missed = _run(recipe_path, overrides, STAGES, "different" if force else "never")
    from codemoe.terminal import read_summary, show_result

    if as_json:
        print_json(read_summary(recipe))
    else:
        show_result(recipe)
    if missed is not None:
        raise missed


@app.command()
def demo(
    fast: Annotated[
        bool, typer.Option("--fast", help="Under two minutes: fewer steps, fewer problems.")
    ] = False,
    force: RunForce = False,
    as_json: Json = False,
    out: Annotated[str, typer.Option(help="Where runs are kept.", metavar="FOLDER")] = "runs",
) -> None:
    """The whole pipeline on built-in data; no downloads.

    Trains four experts on the base that ships with codemoe, joins them under a router, measures
    everything on held-out problems and writes a report. About ten minutes on two CPU cores.
    """
    from codemoe.demo import recipe_path

    _run_all(recipe_path(fast), [f"runs_dir={json.dumps(out)}"], force, as_json)


@app.command()
def run(
    recipe: RecipeArg,
    overrides: OverridesArg = None,
    force: RunForce = False,
    smoke: Annotated[
        bool,
        typer.Option(
            "--smoke",
            help="Every stage and check in small, in minutes on a CPU: random weights of the same "
            "architecture, few samples, in a folder apart (runs/NAME-smoke).",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Every stage of a recipe, resumable.

    Finished stages are skipped. Stopped at any point, the same command goes on where it was. With
    --json, standard output holds report/summary.json and nothing else (with --smoke, what the smoke
    run found).
    """
    if smoke:
        _smoke(recipe, overrides, as_json)
    else:
        _run_all(recipe, overrides, force, as_json)


def _smoke(recipe_path: Path, overrides: list[str] | None, as_json: bool) -> None:
    from codemoe.recipe_file import load_recipe

    recipe = load_recipe(recipe_path, overrides)
    quiet_libraries()
    from codemoe.smoke.run import lines_of, run_smoke

    smoked = run_smoke(recipe)
    if as_json:
        print_json(asdict(smoked))
        return
    for line in lines_of(smoked):
        print(line)


def _stage_command(stage: "Stage") -> None:
    def command(
        recipe: RecipeArg,
        overrides: OverridesArg = None,
        force: StageForce = False,
        as_json: Json = False,
    ) -> None:
        redo: Redo = "always" if force else "never"
        loaded, outcomes, missed = _run(recipe, overrides, (stage,), redo)
        if as_json:
            done = [asdict(outcome) for outcome in outcomes]
            print_json({"run": str(loaded.run_dir), "stages": done})
        if missed is not None:
            raise missed

    command.__doc__ = f"{stage.summary}\n\nWrites, under runs/<name>/, {stage.writes}."
    with_more = TWO_KINDS.get(stage.name)
    app.command(stage.name)(with_more(command) if with_more else command)


def _stage_commands() -> None:
    from codemoe.pipeline import STAGES

    for stage in STAGES:
        _stage_command(stage)


_stage_commands()
