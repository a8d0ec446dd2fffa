"""`codemoe sweep`."""

import shlex
import sys
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json, quiet_libraries
from codemoe.cli.pipeline import RecipeArg, RunForce
from codemoe.errors import WorkError


@app.command()
def sweep(
    recipe: RecipeArg,
    values: Annotated[
        list[str],
        typer.Argument(
            help="Keys with several values, such as router.kind=top-k,softmax "
            "router.num_experts_per_tok=1,2; all combinations are run. With one value: for all. "
            "Keys that vary together: 'router={kind: softmax},{kind: top-k, from_layer: 2}'.",
            metavar="KEY=A,B,C",
            show_default=False,
        ),
    ],
    force: RunForce = False,
    as_json: Json = False,
) -> None:
    """Variants of a recipe side by side, with intervals.

    Stages that a key does not touch are made once and shared, also with the recipe's plain run and
    its other sweeps. Stopped at any point, the same command goes on where it was. Choose settings
    with eval.split=valid.
    """
    from codemoe.sweep.variants import grid

    planned = grid(recipe, values)
    quiet_libraries()
    from codemoe.sweep.run import FIX, run_sweep

    command = shlex.join(["codemoe", *(a for a in sys.argv[1:] if a not in ("--json", "--force"))])
    compared = run_sweep(planned, command, "different" if force else "never")
    if as_json:
        print_json(compared)
    else:
        from codemoe.terminal_sweep import show_sweep

        show_sweep(compared, planned.folder / f"{planned.name}.md")
    failed = [v for v in compared["variants"] if v["failed"]]
    if failed:
        raise WorkError(
            f"{len(failed)} of {len(planned.variants)} variants failed: "
            + "; ".join(f"{v['label']}: {v['failed']}" for v in failed),
            FIX,
        )
