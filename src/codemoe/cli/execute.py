"""`codemoe execute`."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from codemoe.cli.app import Json, app, print_json
from codemoe.errors import UserError, WorkError


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
    timeout_s: Annotated[
        float, typer.Option(help="Seconds for a program on an idle machine; scaled to this one.")
    ] = 6.0,
    memory_mb: Annotated[int, typer.Option(help="Memory of a program.")] = 512,
    workers: Annotated[
        int | None, typer.Option(help="Programs at a time; the number of cores by default.")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder that keeps verdicts by the programs' content.")
    ] = None,
    unsafe_no_sandbox: Annotated[
        bool,
        typer.Option("--unsafe-no-sandbox", help="Run programs with YOUR rights; recorded."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run programs against their tests; pass@k.

    Programs run in a sandbox: no network, no files of yours, limited time and memory. A run that
    is stopped goes on with the same command when --results is given.
    """
    from codemoe.evaluate.execute import execute_suite
    from codemoe.evaluate.sandbox import UNSAFE, Limits
    from codemoe.progress import say

    if canonical == (samples is not None):
        raise UserError("give either --samples FILE or --canonical", "codemoe execute --help")
    try:
        ks = tuple(int(part) for part in k.split(","))
    except ValueError:
        raise UserError(f"--k is {k!r}; expected numbers such as 1,10") from None
    for name, value in (("timeout-s", timeout_s), ("memory-mb", memory_mb), ("workers", workers)):
        if value is not None and not 0 < value < 1e6:
            raise UserError(f"--{name} is {value}; expected a number above 0")
    if unsafe_no_sandbox:
        say("no sandbox: the programs run with your rights and can do all that you can")
    with _Bar() as bar:
        result = execute_suite(
            suite,
            samples,
            results,
            ks,
            bar.take,
            limits=Limits(wall_s=timeout_s, memory_mb=memory_mb),
            workers=workers,
            cache=cache,
            tier=UNSAFE if unsafe_no_sandbox else None,
            on_plan=bar.plan,
        )
    if as_json:
        print_json(result)
    else:
        _show(result)
    if result["n"] == 0:
        raise WorkError("no program could be run", _fix(result))


class _Bar:
    """The progress bar, which opens when it is known how much there is to do."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._passed = self._seen = 0

    def plan(self, total: int, done: int) -> None:
        from codemoe.progress import progress

        self._advance = self._stack.enter_context(progress("execute", total, "programs", done))

    def take(self, verdict: Any) -> None:
        self._seen += 1
        self._passed += verdict.status == "pass"
        self._advance(1, f"{self._passed} of {self._seen} passed")

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.__exit__(*exc)


def _fix(result: dict[str, Any]) -> str:
    missing = list(result["missing_toolchains"].values())
    return missing[0] if missing else "codemoe doctor says what works here"


def _show(result: dict[str, Any]) -> None:
    tier, form = result["sandbox_tier"], result["verdict_form"]
    print(f"passed {result['passed']} of {result['n']} (sandbox: {tier}; verdicts: {form})")
    for language, part in result["by_language"].items():
        statuses = ", ".join(f"{status} {n}" for status, n in part["by_status"].items())
        print(f"  {language:<12} {part['passed']:>5} of {part['n']:<5} {statuses}")
    for language, why in result["missing_toolchains"].items():
        print(f"  {language:<12} not run: {why}")
    if result["failures"]:
        print("why programs failed:")
    for group in result["failures"]:
        what = f"{group['status']}: {group['cause']} (such as {group['example']})"
        print(f"  {group['n']:>5} x {group['language']:<12} {what}")
    if left_out := result["failures_left_out"]:
        print(f"  {left_out:>5} more, of other causes")
    for key, value in result["pass_at_k"].items():
        low, high = result["pass_at_k_interval"][key] or (None, None)
        shown = "none" if value is None else f"{value:.4f} (95 %: {low:.4f} to {high:.4f})"
        print(f"  pass@{key} = {shown}")
    if (least := result["detectable_difference"]) is not None:
        name = f"pass@{next(iter(result['pass_at_k']))}"
        told = f"a change of {name} below about {least:.3f} cannot be told from chance"
        if least >= 1:
            told = f"no change of {name} can be told from chance"
        print(f"  {told} with so {'few' if least >= 1 else 'many'} problems")
    if missing := result["unanswered"]:
        print(f"  {missing} problems of the suite have no sample here and are left out")
