"""Is the mixture good enough? Each threshold against what was found, and why it may have failed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.report.summary import ALL, BASE, EXPERT, MIXTURE, ORACLE
from codemoe.languages import find_language

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
    cause: str = ""  # of a failure, in words


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
                cause = _unmeasured(summary, name)
                checks.append(Check(name, None, None, required, False, cause))
            for language, value in found.items():
                checks.append(_check(summary, name, language, value, required))
    return checks


def _check(
    summary: Mapping[str, Any], name: str, language: str | None, value: float, required: float
) -> Check:
    passed = value <= required + _SLACK if name in AT_MOST else value >= required - _SLACK
    cause = "" if passed else _CAUSES[name](summary, language)
    return Check(name, language, value, required, passed, cause)


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


def _unmeasured(summary: Mapping[str, Any], name: str) -> str:
    needed = {"retention": (MIXTURE, EXPERT), "base_ratio": (MIXTURE, BASE)}.get(name, (MIXTURE,))
    missing = [model for model in needed if model not in summary["models"]]
    if missing:
        return f"{' and '.join(missing)} not evaluated; add it to eval.models and run codemoe eval"
    if name == "pass_at_1":
        return "the tests were not run: codemoe doctor says what they need"
    return "the evaluation holds no value for it; run codemoe eval again with --force"


def _label(language: str | None) -> str:
    row = find_language(language) if language else None
    return row.label if row else language or "all languages"


def _code_bleu(summary: Mapping[str, Any], model: str, language: str | None) -> float | None:
    found = summary["models"].get(model, {}).get(language or ALL)
    return found["codebleu"] if found else None


def _misrouted(summary: Mapping[str, Any], language: str | None) -> str:
    """The most frequent wrong way of a language's prompts, or "" (experts named as languages)."""
    confusion = summary["routing"]["confusion"] or {}
    errors = [
        (count, asked, expert)
        for asked, row in confusion.items()
        if asked in row and language in (None, asked)
        for expert, count in row.items()
        if expert != asked and count
    ]
    if not errors:
        return ""
    count, asked, expert = max(errors)
    total = sum(confusion[asked].values())
    return f"{count} of {total} {_label(asked)} prompts went to the {_label(expert)} expert"


def _retention_cause(summary: Mapping[str, Any], language: str | None) -> str:
    wrong_way = _misrouted(summary, language)
    if wrong_way:
        return f"the router: {wrong_way}"
    expert = _code_bleu(summary, EXPERT, language)
    oracle = _code_bleu(summary, ORACLE, language)
    if expert and oracle is not None and oracle < 0.98 * expert:
        return (
            f"not the router: with perfect routing the mixture also scores only {oracle:.3f} where "
            f"the expert scores {expert:.3f}, so it does not run the expert as it was trained "
            "(compare experts.activation with moe.activation)"
        )
    return (
        "no prompt is known to have gone to a wrong expert; compare the mixture run with perfect "
        "routing (eval.models: moe-oracle) with the expert to see whether it runs it as trained"
    )


def _routing_cause(summary: Mapping[str, Any], language: str | None) -> str:
    wrong_way = _misrouted(summary, None)
    where = f"most often {wrong_way}" if wrong_way else "prompts went to experts of other languages"
    return f"{where}; raise router.samples_per_expert, or look at prompts that fit both languages"


def _ratio_cause(summary: Mapping[str, Any], language: str | None) -> str:
    expert = _code_bleu(summary, EXPERT, language)
    mixture = _code_bleu(summary, MIXTURE, language)
    if expert and mixture is not None and mixture >= 0.95 * expert:
        return (
            f"the {_label(language)} expert is no better ({expert:.3f}): it needs more data or "
            "steps (experts.train.steps), or the base already does the task"
        )
    if expert:
        return f"the expert alone scores {expert:.3f}: the mixture loses it, see retention"
    return "there is no expert for this language, so the mixture answers as its base does"


def _tests_cause(summary: Mapping[str, Any], language: str | None) -> str:
    expert = summary["models"].get(EXPERT, {}).get(language)
    if expert is None or expert["pass_at_1"] is None:
        return "see the worst sample answers"
    if expert["pass_at_1"] > summary["models"][MIXTURE][language]["pass_at_1"]:
        return f"the expert alone passes {expert['pass_at_1']:.1%}: the mixture loses it"
    return (
        f"the {_label(language)} expert alone passes no more ({expert['pass_at_1']:.1%}): it needs "
        "more data or steps (experts.train.steps)"
    )


def _language_cause(summary: Mapping[str, Any], language: str | None) -> str:
    wrong_way = _misrouted(summary, language)
    if wrong_way:
        return f"the router: {wrong_way}"
    expert = summary["models"].get(EXPERT, {}).get(language)
    if expert and expert["wrong_language"] > 0:
        return (
            f"the {_label(language)} expert itself answers in another language "
            f"({expert['wrong_language']:.1%}): look for mislabelled rows in its training data"
        )
    if expert is None:
        return f"no expert for {_label(language)} was evaluated; others answer in its place"
    return "the expert alone answers in the right language; see the worst sample answers"


_CAUSES = {
    "retention": _retention_cause,
    "routing_accuracy": _routing_cause,
    "base_ratio": _ratio_cause,
    "wrong_language": _language_cause,
    "pass_at_1": _tests_cause,
}
