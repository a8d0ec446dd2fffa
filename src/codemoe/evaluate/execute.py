"""Run a suite's tests on samples in the sandbox: read, execute, record, resume, pass@k.

A suite is a file in any format of `evaluate/suites/`; how a completion becomes a program is its
problem's affair, and its tests are appended. Samples are `{id, completion}` (`task_id` is read as
`id`), `{id, program}` with a whole program, or `{id, answer}` with all that a model wrote, out of
which the program is extracted; an id may come many times.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from codemoe.errors import UserError, WorkError
from codemoe.evaluate.causes import describe
from codemoe.evaluate.pass_at_k import summarise
from codemoe.evaluate.sandbox import (
    NOT_COUNTED,
    STATUSES,
    Job,
    Limits,
    Verdict,
    choose_tier,
    run_jobs,
)
from codemoe.evaluate.suites import Problem, read_suite
from codemoe.evaluate.suites.extract import extract
from codemoe.evaluate.suites.fields import Fields
from codemoe.jsonl import read_jsonl

KINDS = ("completion", "program", "answer")  # a sample has exactly one of them
Key = tuple[str, int]  # problem id, and which of its samples


@dataclass(frozen=True)
class Sample:
    """One program to judge: the `number`-th of its problem, counted from 0."""

    problem: Problem
    number: int
    program: str

    @property
    def key(self) -> Key:
        return self.problem.id, self.number

    def job(self, name: str) -> Job:
        """What the sandbox is asked."""
        problem = self.problem
        return Job(
            name,
            problem.language,
            self.program,
            problem.tests,
            problem.prompt,
            problem.entry_point,
        )

    @property
    def digest(self) -> str:
        """Changes when program or tests do: a resumed run must not trust older rows then."""
        text = json.dumps([self.problem.language, self.program, self.problem.tests])
        return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def execute_suite(
    suite_path: Path | str,
    samples_path: Path | str | None = None,
    results_path: Path | str | None = None,
    k: Sequence[int] = (1,),
    on_result: Callable[[Verdict], None] | None = None,
    *,
    limits: Limits = Limits(),  # noqa: B008 (frozen)
    workers: int | None = None,
    cache: Path | None = None,
    suite_format: str | None = None,
    tier: str | None = None,
    on_plan: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Judge samples, or the canonical solutions when `samples_path` is None, and sum up.

    A row with the verdict, its form, tier, tools and limits is appended to `results_path` for each
    sample as it comes; rows already there for the same program, tier and limits are not run again.
    `on_plan` gets the number of samples and how many of them are done already; `on_result` is
    called for new verdicts only. Statuses that say nothing about a program (no toolchain, sandbox
    trouble) are left out of pass@k and counted under `not_run`. `suite_format` is one of
    `suites.FORMATS`; without it the suite's first row tells.
    Raises UserError for bad input, WorkError when there is no sandbox.
    """
    problems = read_suite(Path(suite_path), suite_format)
    if samples_path is None:
        samples = _canonical(problems, Path(suite_path))
    else:
        samples = read_samples(Path(samples_path), problems)
    _check_k(k, samples)
    chosen = choose_tier(tier)
    used = {"tier": chosen, "limits": asdict(limits)}
    verdicts: dict[Key, Verdict] = {}
    scales: dict[str, float] = {}
    with ExitStack() as stack:
        out = None
        if results_path is not None:
            verdicts = _resume(Path(results_path), samples, used)
            out = stack.enter_context(_open_results(Path(results_path)))
        remaining = [sample for sample in samples if sample.key not in verdicts]
        if on_plan is not None:
            on_plan(len(samples), len(verdicts))
        # The sandbox hands ids back, so a job's id is its place in the list.
        jobs = [sample.job(str(i)) for i, sample in enumerate(remaining)]

        def take(raw: Verdict) -> None:
            sample = remaining[int(raw.id)]
            verdict = replace(raw, id=sample.problem.id, seconds=round(raw.seconds, 4))
            verdicts[sample.key] = verdict
            if out is not None:
                _append(out, sample, verdict, used)
            if on_result is not None:
                on_result(verdict)

        run_jobs(jobs, limits, workers, take, cache, tier=chosen, scales=scales)
    in_order = [verdicts[sample.key] for sample in samples]
    return {
        **summarise(in_order, k),
        "unanswered": len(problems) - len({sample.problem.id for sample in samples}),
        "sandbox_tier": chosen,
        "verdict_form": _form(in_order),
        **describe(in_order),
        "limits": asdict(limits),
        "time_scale": scales,
    }


def read_samples(path: Path, problems: Sequence[Problem]) -> list[Sample]:
    """The samples of a file in its order, joined with their problems."""
    by_id = {problem.id: problem for problem in problems}
    counts: Counter[str] = Counter()
    samples = []
    for line, row in read_jsonl(path):
        fields = Fields(path, line, row)
        name = fields.identity("id", "task_id")
        # MBPP's own ids are plain numbers; tools write "Mbpp/2" for them.
        problem = by_id.get(name) or by_id.get(name.rpartition("/")[2])
        if problem is None:
            raise UserError(
                f"{path}:{line}: the suite has no problem {name!r}",
                f"ids of the suite look like {next(iter(by_id))!r}",
            )
        given = [name for name in KINDS if name in row]
        if len(given) != 1:
            raise UserError(
                f"{path}:{line}: expected 'completion', 'program' or 'answer', "
                f"found {' and '.join(given) or 'none of them'} ({fields.names()})",
                "'completion' is placed after the prompt, 'program' is run as it is, and the code "
                "in an 'answer' is looked for",
            )
        text = fields.text(given[0])
        if given[0] == "completion":
            program = problem.program(text)
        else:
            program = text if given[0] == "program" else extract(problem, text).program(problem)
        samples.append(Sample(problem, counts[problem.id], program))
        counts[problem.id] += 1
    return samples


def _canonical(problems: Sequence[Problem], path: Path) -> list[Sample]:
    """The solutions; problems that have none are left out (published suites lack a few)."""
    samples = [
        Sample(problem, 0, problem.program(problem.solution))
        for problem in problems
        if problem.solution is not None
    ]
    if not samples:
        raise UserError(
            f"{path}: all {len(problems)} problems have no 'solution'",
            "give samples instead of running the canonical solutions: --samples FILE",
        )
    return samples


def _check_k(k: Sequence[int], samples: Sequence[Sample]) -> None:
    if not k or any(size < 1 for size in k):
        raise UserError(f"k must be at least 1, found {list(k)}", "for example --k 1,10")
    counts = Counter(sample.problem.id for sample in samples)
    for name, count in counts.items():
        if count < max(k):
            raise UserError(
                f"pass@{max(k)} needs {max(k)} samples of every problem; {name!r} has {count}",
                f"--k {count}",
            )


def _form(verdicts: Sequence[Verdict]) -> str:
    """ "strong" or "guarded", or "mixed": by_form has the numbers."""
    forms = {verdict.form for verdict in verdicts if verdict.counted}
    return "mixed" if len(forms) > 1 else next(iter(forms), "none")


def _resume(path: Path, samples: Sequence[Sample], used: Mapping[str, Any]) -> dict[Key, Verdict]:
    """Verdicts of an earlier run of the same programs in the same way.

    An unfinished last line is cut off.
    """
    if not path.exists():
        return {}
    _cut_torn_line(path)
    if path.stat().st_size == 0:
        return {}
    wanted = {sample.key: sample.digest for sample in samples}
    kept: dict[Key, Verdict] = {}
    for line, row in read_jsonl(path):
        fields = Fields(path, line, row)
        name = fields.identity("id")
        status = fields.text("status")
        if status not in STATUSES:
            raise UserError(
                f"{path}:{line}: unknown status {status!r}",
                "is this a results file? give another one with --results",
            )
        key = (name, row.get("sample", 0))
        same = all(row.get(name) == value for name, value in used.items())
        if status in NOT_COUNTED or wanted.get(key) != row.get("digest") or not same:
            continue
        seconds = row.get("seconds")
        reruns = row.get("reruns")
        kept[key] = Verdict(
            name,
            fields.text("language"),
            status,
            float(seconds) if isinstance(seconds, int | float) else 0.0,
            fields.optional("detail") or "",
            fields.optional("form") or "guarded",
            str(used["tier"]),
            fields.optional("tools") or "",
            reruns if isinstance(reruns, int) else 0,
        )
    return kept


def _cut_torn_line(path: Path) -> None:
    """What a killed run wrote after the last line end is not a row."""
    try:
        with path.open("r+b") as file:
            data = file.read()
            if data and not data.endswith(b"\n"):
                file.truncate(data.rfind(b"\n") + 1)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None


def _open_results(path: Path) -> IO[str]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("a", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def _append(out: IO[str], sample: Sample, verdict: Verdict, used: Mapping[str, Any]) -> None:
    row = {**asdict(verdict), "sample": sample.number, "digest": sample.digest, **used}
    try:
        out.write(json.dumps(row) + "\n")
        out.flush()
    except OSError as error:
        raise WorkError(
            f"cannot write {out.name}: {error.strerror or error}",
            f"make room and start again: it goes on after the rows in {os.path.basename(out.name)}",
        ) from error
