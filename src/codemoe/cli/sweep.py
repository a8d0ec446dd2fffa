"""`codemoe sweep`."""

import shlex
import sys
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json, quiet_libraries
from codemoe.cli.pipeline import RecipeArg
from codemoe.errors import WorkError


@app.command()
def sweep(
    recipe: RecipeArg,
    values: Annotated[
        list[str],
        typer.Argument(
            help="Keys with several values, such as router.kind=top-k,softmax "
            "router.num_experts_per_tok=1,2; all combinations are run. With one value: for all.",
            metavar="KEY=A,B,C",
            show_default=False,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Variants of a recipe side by side, with intervals.

    Stages that a key does not touch are made once and shared, also with a finished run of the plain
    recipe. Stopped at any point, the same command goes on where it was. Choose settings with
    eval.split=valid.
    """
    from codemoe.sweep.variants import grid, sweep_dir

    loaded, variants = grid(recipe, values)
    quiet_libraries()
    from codemoe.sweep.run import TABLE, run_sweep

    compared = run_sweep(loaded, variants, shlex.join(["codemoe", *sys.argv[1:]]))
    if as_json:
        print_json(compared)
    else:
        from codemoe.terminal_sweep import show_sweep

        show_sweep(compared, sweep_dir(loaded) / TABLE)
    failed = [v for v in compared["variants"] if v["failed"]]
    if failed:
        raise WorkError(
            f"{len(failed)} of {len(variants)} variants failed: "
            + "; ".join(f"{v['label']}: {v['failed']}" for v in failed),
            "the same command tries them again",
        )
