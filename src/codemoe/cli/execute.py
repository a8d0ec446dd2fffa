"""`codemoe execute`."""

from pathlib import Path
from typing import Annotated

import typer

from codemoe.cli.app import Json, app, print_json
from codemoe.errors import UserError


@app.command()
def execute(
    suite: Annotated[
        Path,
        typer.Argument(
            help="Suite, .jsonl or .jsonl.gz: native, HumanEval(-X), MBPP, MBXP, MultiPL-E."
        ),
    ],
    samples: Annotated[
        Path | None, typer.Option(help="JSONL of {id, completion|program|answer}.")
    ] = None,
    canonical: Annotated[bool, typer.Option("--canonical", help="Run the solutions.")] = False,
    results: Annotated[
        Path | None, typer.Option(help="Append verdicts here; rows in it are not run again.")
    ] = None,
    k: Annotated[str, typer.Option(help="pass@k for these k, comma separated.")] = "1",
    as_json: Json = False,
) -> None:
    """Run programs against their tests; pass@k.

    Programs run in a sandbox: no network, no files of yours, limited time and memory.
    """
    from codemoe.evaluate.execute import execute_suite
    from codemoe.progress import progress

    if canonical == (samples is not None):
        raise UserError("give either --samples FILE or --canonical", "codemoe execute --help")
    try:
        ks = tuple(int(part) for part in k.split(","))
    except ValueError:
        raise UserError(f"--k is {k!r}; expected numbers such as 1,10") from None
    with progress("execute", _count_rows(samples or suite), "programs") as advance:
        result = execute_suite(
            suite, samples, results, ks, on_result=lambda verdict: advance(1, "")
        )
    if as_json:
        print_json(result)
        return
    print(f"passed {result['passed']} of {result['n']} (sandbox: {result['sandbox_tier']})")
    for language, part in result["by_language"].items():
        print(f"  {language:<12} {part['passed']:>5} of {part['n']:<5} {part['by_status']}")
    for key, value in result["pass_at_k"].items():
        low, high = result["pass_at_k_interval"][key] or (None, None)
        shown = "none" if value is None else f"{value:.4f} (95 %: {low:.4f} to {high:.4f})"
        print(f"  pass@{key} = {shown}")
    if (least := result["detectable_difference"]) is not None:
        print(
            f"  a change of pass@{next(iter(result['pass_at_k']))} below about {least:.3f} "
            "cannot be told from chance with so many problems"
        )


def _count_rows(path: Path) -> int:
    """For the progress bar only: what is wrong with the file is said by its reader."""
    import gzip
    import zlib

    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return sum(1 for line in file if line.strip())
    except (OSError, EOFError, zlib.error):
        return 0
