"""Run the tests of answers to training tasks, and say in which language each answer is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codemoe.data.rows import Row
from codemoe.errors import UserError, WorkError
from codemoe.evaluate.sandbox import NOT_COUNTED, Job, Limits, Verdict, probe, run_jobs
from codemoe.evaluate.wrong_language import language_of
from codemoe.progress import progress


@dataclass(frozen=True)
class Task:
    """A training row and its tests."""

    row: Row
    tests: str


def check_sandbox(fix: str) -> None:
    """Raise UserError where programs cannot be run; `fix` is the way without running any."""
    found = probe()
    if found.tier is None:
        raise UserError(
            f"align runs the tests of sampled answers, but no sandbox works here: {found.reason}",
            f"{found.fix}; or {fix}",
        )


def judge(
    label: str, tasks: Sequence[Task], answers: Sequence[str], timeout_s: float, cache: Path
) -> list[Verdict]:
    """How the tests of `tasks[i]` end on `answers[i]`."""
    jobs = _jobs(tasks, answers)
    with progress(label, len(jobs), "programs") as advance:
        return run_jobs(
            jobs,
            Limits(wall_s=timeout_s),
            on_result=lambda verdict: advance(1, ""),
            cache=cache,
        )


def _jobs(tasks: Sequence[Task], answers: Sequence[str]) -> list[Job]:
    return [
        Job(str(i), task.row.language, answer, task.tests)
        for i, (task, answer) in enumerate(zip(tasks, answers, strict=True))
    ]


def languages(tasks: Sequence[Task], answers: Sequence[str]) -> list[str | None]:
    """The language of each answer; None where that is not sure. The one asked for has the benefit
    of the doubt."""
    known: dict[tuple[str, str], str | None] = {}
    found = []
    for task, answer in zip(tasks, answers, strict=True):
        key = (task.row.language, answer)
        if key not in known:
            known[key] = language_of(answer, asked=key[0]) if answer.strip() else None
        found.append(known[key])
    return found


def make_reward(
    tasks: Sequence[Task], timeout_s: float, cache: Path
) -> Callable[[Sequence[str], Sequence[str]], list[float]]:
    """GRPO's reward: (ids of training rows, an answer to each) -> a number each.

    It is asked at every step, so how fast this machine is, is measured the first time only.
    """
    by_id = {task.row.id: task for task in tasks}
    scales: dict[str, float] = {}

    def rewards(ids: Sequence[str], answers: Sequence[str]) -> list[float]:
        asked = [by_id[name] for name in ids]
        limits, known = Limits(wall_s=timeout_s), max(scales.values(), default=0.0)
        if known > 1:
            wall_s, compile_s = limits.wall_s * known, limits.compile_wall_s * known
            limits = replace(limits, wall_s=wall_s, compile_wall_s=compile_s)
        verdicts = run_jobs(
            _jobs(asked, answers), limits, cache=cache, calibrate=not scales, scales=scales
        )
        trouble = next((v for v in verdicts if v.status in NOT_COUNTED), None)
        if trouble is not None:
            raise WorkError(
                f"align: an answer in {trouble.language} could not be tested: {trouble.detail}",
                "codemoe doctor says what is missing here",
            )
        found = languages(asked, answers)
        return [
            reward(verdict.status, language, task.row.language)
            for verdict, language, task in zip(verdicts, found, asked, strict=True)
        ]

    return rewards


def reward(status: str, language: str | None, asked: str) -> float:
    """What GRPO is given for an answer: 1 passes, 0 does not, -1 is in another language."""
    if status == "pass":
        return 1.0
    return -1.0 if language not in (None, asked) else 0.0
