"""Two models on the same tasks: ratio and difference of their CodeBLEU, with intervals.

Both models answered the same ids, so a resample draws tasks, not answers: what makes a task hard
for both cancels out and the interval is as narrow as the data allow.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codemoe.errors import UserError
from codemoe.evaluate.report.read import Answer, Interval, ModelResult, Scores
from codemoe.evaluate.sandbox.records import NOT_COUNTED
from codemoe.evaluate.statistics import (
    RESAMPLES,
    PairedBootstrap,
    bootstrap_interval,
    detectable_difference,
    paired_bootstrap,
    share_interval,
)

_CELLS_AT_ONCE = 1_000_000  # resampled indices held in memory (8 bytes each)


@dataclass(frozen=True)
class Ratio:
    """Mean of one model over the mean of another; `n` tasks that both answered.

    `interval` is None when the answers cannot be paired (results.jsonl is missing).
    """

    value: float
    interval: Interval | None
    n: int


def paired_scores(
    a: ModelResult, b: ModelResult, language: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """CodeBLEU of the tasks that both models answered, in one order; `language` None: all."""
    ids = [
        key
        for key, answer in a.answers.items()
        if key in b.answers and language in (None, answer.language)
    ]
    return (
        np.array([a.answers[key].codebleu for key in ids], dtype=np.float64),
        np.array([b.answers[key].codebleu for key in ids], dtype=np.float64),
    )


def ratio_interval(
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """Percentile bootstrap interval of mean(a) / mean(b) over pairs (n,), (n,).

    None where it has no finite bounds (too few of b are above 0). Raises UserError when the
    lengths differ or there is nothing to compare.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape or not first.size:
        raise UserError(f"{first.size} and {second.size} values; a ratio needs pairs")
    generator = np.random.default_rng(seed)
    rows = max(1, _CELLS_AT_ONCE // first.size)
    chunks = []
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, first.size, (min(rows, resamples - start), first.size))
        above, below = first[drawn].sum(axis=1), second[drawn].sum(axis=1)
        chunks.append(np.divide(above, below, out=np.full_like(above, np.inf), where=below > 0))
    ratios = np.concatenate(chunks)
    # Observed values only: interpolating towards infinity would give no number at all.
    low = float(np.quantile(ratios, (1 - level) / 2, method="lower"))
    high = float(np.quantile(ratios, (1 + level) / 2, method="higher"))
    return (low, high) if np.isfinite(high) else None


def ratio(a: ModelResult, b: ModelResult, language: str | None = None) -> Ratio | None:
    """CodeBLEU of `a` over that of `b`; None where either was not evaluated, or b scores 0."""
    first, second = paired_scores(a, b, language)
    if first.size and second.mean() > 0:
        value = float(first.mean() / second.mean())
        return Ratio(value, ratio_interval(first, second), first.size)
    if first.size:
        return None
    if language is None and a.languages.keys() != b.languages.keys():
        return None
    ours = a.total if language is None else a.languages.get(language)
    theirs = b.total if language is None else b.languages.get(language)
    if ours is None or theirs is None or theirs.codebleu <= 0:
        return None
    return Ratio(ours.codebleu / theirs.codebleu, None, min(ours.n, theirs.n))


def over_languages(model: ModelResult, languages: Collection[str]) -> Scores | None:
    """The model's scores over its tasks in `languages`: as measured when that is all it has.

    Otherwise the mean over the answers, without floor and components; None: no such answers.
    """
    if model.languages.keys() <= set(languages):
        return model.total
    answers = [a for a in model.answers.values() if a.language in languages]
    if not answers:
        return None
    scores = [answer.codebleu for answer in answers]
    exact = [float(answer.exact) for answer in answers]
    counted = [a.status == "pass" for a in answers if a.status and a.status not in NOT_COUNTED]
    return Scores(
        n=len(answers),
        codebleu=float(np.mean(scores)),
        codebleu_interval=bootstrap_interval(scores),
        exact=float(np.mean(exact)),
        exact_interval=share_interval(float(np.mean(exact)), len(exact)),
        pass_at_1=float(np.mean(counted)) if counted else None,
        pass_at_1_interval=share_interval(float(np.mean(counted)), len(counted))
        if counted
        else None,
        wrong_language=float(
            np.mean([a.detected_language not in (None, a.language) for a in answers])
        ),
    )


def difference(
    a: ModelResult, b: ModelResult, language: str | None = None
) -> PairedBootstrap | None:
    """CodeBLEU of `a` minus that of `b` over their common tasks; None: they have none."""
    first, second = paired_scores(a, b, language)
    return paired_bootstrap(first, second) if first.size else None


ValueOf = Callable[[Answer], float | None]


@dataclass(frozen=True)
class Gap:
    """Two models on the tasks that both have a value for; `least`: the smallest true difference
    that so many tasks would have shown."""

    found: PairedBootstrap
    least: float
    n: int


def gap_between(a: ModelResult, b: ModelResult, value_of: ValueOf) -> Gap | None:
    """Mean of `value_of` over a's answers minus that over b's; None: no task in common."""
    pairs = [
        (first, second)
        for key, answer in a.answers.items()
        if key in b.answers
        and (first := value_of(answer)) is not None
        and (second := value_of(b.answers[key])) is not None
    ]
    if not pairs:
        return None
    ours, theirs = np.array(pairs, dtype=np.float64).T
    spread = float((ours - theirs).std(ddof=1)) if len(pairs) > 1 else 0.0
    least = detectable_difference(len(pairs), spread=spread)
    return Gap(paired_bootstrap(ours, theirs), least, len(pairs))
