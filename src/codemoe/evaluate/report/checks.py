"""Is the mixture good enough? Each threshold against what was found."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.report.causes import cause_of, unmeasured
from codemoe.evaluate.report.summary import ALL, BASE, MIXTURE

AT_LEAST = ("retention", "routing_accuracy", "base_ratio", "pass_at_1")
AT_MOST = ("wrong_language",)
_SLACK = 1e-9  # rounding in a ratio of means must not fail a run that meets its threshold


@dataclass(frozen=True)
class Check:
    """One threshold for one language (None: for the run as a whole)."""

    name: str
    language: str | None
    found: float | None  # None: not measured
    required: float
    passed: bool
    kind: str = ""  # of the likely cause of a failure, see causes.py
    cause: str = ""  # the same in words


def check_thresholds(
    summary: Mapping[str, Any], thresholds: Mapping[str, float | None]
) -> list[Check]:
    """Compare a summary with thresholds; those that are None are left out. Pure.

    `retention`, `base_ratio`, `pass_at_1` (at least) and `wrong_language` (at most) hold for every
    language, `routing_accuracy` (at least) for the run. What was not measured has failed. A
    language without an expert of its own has no retention and is not asked for it.

    Raises UserError for an unknown threshold.
    """
    unknown = sorted(thresholds.keys() - {*AT_LEAST, *AT_MOST})
    if unknown:
        raise UserError(
            f"unknown threshold {', '.join(unknown)}",
            f"use {', '.join([*AT_LEAST, *AT_MOST])}",
        )
    checks: list[Check] = []
    for name in (*AT_LEAST, *AT_MOST):
        required = thresholds.get(name)
        if required is not None:
            found = dict(_measured(summary, name))
            if not found:
                why = unmeasured(name, summary)
                checks.append(Check(name, None, None, required, False, why.kind, why.words))
            for language, value in found.items():
                checks.append(_check(summary, name, language, value, required))
    return checks


def _check(
    summary: Mapping[str, Any], name: str, language: str | None, value: float, required: float
) -> Check:
    passed = value <= required + _SLACK if name in AT_MOST else value >= required - _SLACK
    if passed:
        return Check(name, language, value, required, passed)
    why = cause_of(name, summary, language)
    words = why.words + _chance(summary, name, language, required)
    return Check(name, language, value, required, passed, why.kind, words)


def _chance(summary: Mapping[str, Any], name: str, language: str | None, required: float) -> str:
    """Said of a miss that so few tasks cannot tell from a hit: its interval holds what is asked."""
    intervals = summary.get("intervals", {})
    pair = None
    if name in ("retention", "base_ratio"):
        pair = intervals.get(name, {}).get(language)
    elif name == "pass_at_1":
        pair = intervals.get("models", {}).get(MIXTURE, {}).get(language, {}).get(name)
    elif name == "routing_accuracy":
        pair = intervals.get("routing", {}).get("accuracy")
    if pair is None or pair[1] < required:
        return ""
    return (
        f"; or chance: the 95 % interval reaches to {pair[1]:.3f}, more tasks "
        "(eval.samples_per_language) would tell"
    )


def _measured(summary: Mapping[str, Any], name: str) -> Iterator[tuple[str | None, float]]:
    """The values a threshold is held against, by language."""
    mixture = summary["models"].get(MIXTURE, {})
    if name == "routing_accuracy":
        accuracy = summary["routing"]["accuracy"]
        if accuracy is not None:
            yield None, accuracy
    elif name == "retention":
        for language, value in summary["retention"].items():
            if language != ALL:
                yield language, value
    else:
        base = summary["models"].get(BASE, {})
        for language, scores in mixture.items():
            if language == ALL:
                continue
            if name == "wrong_language":
                yield language, scores["wrong_language"]
            elif name == "pass_at_1":
                if scores["pass_at_1"] is not None:
                    yield language, scores["pass_at_1"]
            elif language in base and base[language]["codebleu"] > 0:
                yield language, scores["codebleu"] / base[language]["codebleu"]


def missed_table(checks: Sequence[Check]) -> str:
    """What fell below its threshold, as an aligned table with the likely causes."""
    header = ("threshold", "language", "found", "required", "likely cause", "")
    rows = [
        (
            check.name,
            check.language or "all",
            "nothing" if check.found is None else f"{check.found:.4f}",
            f"{'<=' if check.name in AT_MOST else '>='} {check.required:.4f}",
            check.kind,
            check.cause,
        )
        for check in checks
        if not check.passed
    ]
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header) - 1)]
    return "\n".join(
        "  " + "  ".join((*(text.ljust(w) for text, w in zip(row, widths, strict=False)), row[-1]))
        for row in (header, *rows)
    )
