"""`codemoe compare`."""

from pathlib import Path
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="results.jsonl of the first model.")],
    b: Annotated[Path, typer.Argument(help="results.jsonl of the second, on the same problems.")],
    as_json: Json = False,
) -> None:
    """Is the second model better, or is it chance?

    Paired bootstrap over the problems that both results files have; they come from `codemoe eval`
    or `codemoe execute --results`.
    """
    from codemoe.evaluate.compare_results import compare_results

    found = compare_results(a, b)
    if as_json:
        print_json(found)
        return
    for measure, one in found["measures"].items():
        low, high = one["interval"]
        name = measure.replace("pass_at_1", "pass@1").replace("codebleu", "CodeBLEU")
        print(f"{name} of {one['n']} problems: {one['a']:.4f} -> {one['b']:.4f}")
        print(
            f"  difference {one['difference']:+.4f} (95 %: {low:+.4f} to {high:+.4f}), "
            f"p = {one['p']:.3f}"
        )
        if low <= 0 <= high or one["p"] > 0.05:
            print(f"  not shown to differ{_unseen(one['detectable_difference'])}")
    if found["only_a"] or found["only_b"]:
        print(f"left out, in one file only: {found['only_a']} and {found['only_b']} problems")


def _unseen(least: float | None) -> str:
    if least is None:
        return ""
    return f"; a difference below about {least:.3f} would probably go unseen with so many problems"
