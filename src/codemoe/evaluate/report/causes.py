"""Why a threshold was probably missed: read off the summary, in words that say what to do.

Kinds: `router` (prompts went to other experts), `wrong language`, `degenerate output` (empty or
looping answers), `activation` (the mixture does not run its experts as they were trained),
`expert` (it is no better alone), `not measured`, `unknown`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codemoe.evaluate.report.summary import ALL, BASE, EXPERT, MIXTURE, ORACLE
from codemoe.languages import find_language

Summary = Mapping[str, Any]
_NEAR = 0.98  # of an expert's score: what perfect routing reaches when nothing else is wrong


@dataclass(frozen=True)
class Cause:
    kind: str
    words: str


def cause_of(name: str, summary: Summary, language: str | None) -> Cause:
    """The likely cause of a missed threshold; `language` None: of the run as a whole."""
    return CAUSES[name](summary, language)


def unmeasured(name: str, summary: Summary) -> Cause:
    """Why a threshold has nothing to be held against."""
    needed = {"retention": (MIXTURE, EXPERT), "base_ratio": (MIXTURE, BASE)}.get(name, (MIXTURE,))
    missing = [model for model in needed if model not in summary["models"]]
    if missing:
        words = f"{' and '.join(missing)} not evaluated; add it to eval.models and run codemoe eval"
    elif name == "pass_at_1":
        words = "the tests were not run: codemoe doctor says what they need"
    else:
        words = "the evaluation holds no value for it; run codemoe eval again with --force"
    return Cause("not measured", words)


def _label(language: str | None) -> str:
    row = find_language(language) if language else None
    return row.label if row else language or "all languages"


def _code_bleu(summary: Summary, model: str, language: str | None) -> float | None:
    found = summary["models"].get(model, {}).get(language or ALL)
    return found["codebleu"] if found else None


def _misrouted(summary: Summary, language: str | None) -> str:
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


def _degenerate(summary: Summary, language: str | None) -> str:
    """More empty or looping answers of the mixture than of the expert, or ""."""
    counts = summary.get("answers", {})
    ours = counts.get(MIXTURE, {}).get(language or ALL)
    theirs = counts.get(EXPERT, {}).get(language or ALL)
    if not ours or not ours["n"]:
        return ""
    bad = ours["empty"] + ours["degenerate"]
    expected = (theirs["empty"] + theirs["degenerate"]) / theirs["n"] if theirs else 0.0
    if not bad or bad / ours["n"] <= expected:
        return ""
    parts = [
        f"{ours[key]} {word}"
        for key, word in (("empty", "empty"), ("degenerate", "loop"))
        if ours[key]
    ]
    alone = f", of the expert alone {expected:.1%}" if theirs else ""
    cut = f"; {ours['cut_off']} reached eval.max_new_tokens" if ours["cut_off"] else ""
    return f"of {ours['n']} answers {' and '.join(parts)}{alone}{cut}"


def _wrong_language(summary: Summary, language: str | None) -> str:
    """A higher share of wrong languages than the expert's, or ""."""
    ours = summary["models"].get(MIXTURE, {}).get(language or ALL)
    theirs = summary["models"].get(EXPERT, {}).get(language or ALL)
    if not ours or not ours["wrong_language"]:
        return ""
    alone = theirs["wrong_language"] if theirs else 0.0
    if ours["wrong_language"] <= alone:
        return ""
    return (
        f"{ours['wrong_language']:.1%} of the answers are in another language than asked, "
        f"of the expert alone {alone:.1%}"
    )


def _retention(summary: Summary, language: str | None) -> Cause:
    wrong_way = _misrouted(summary, language)
    expert = _code_bleu(summary, EXPERT, language)
    oracle = _code_bleu(summary, ORACLE, language)
    lost = bool(expert) and oracle is not None and oracle < _NEAR * (expert or 0.0)
    if wrong_way and not lost:
        return Cause("router", f"the router: {wrong_way}")
    looping = _degenerate(summary, language)
    strayed = _wrong_language(summary, language)
    if lost and not looping and not strayed:
        also = f"; besides, {wrong_way}" if wrong_way else ""
        return Cause(
            "activation",
            f"not the router: with perfect routing the mixture also scores only {oracle:.3f} where "
            f"the expert scores {expert:.3f}, so it does not run the expert as it was trained "
            f"(compare experts.activation with moe.activation){also}",
        )
    if looping:
        return Cause("degenerate output", f"degenerate output: {looping}")
    if strayed:
        return Cause("wrong language", f"wrong language: {strayed}")
    return Cause(
        "unknown",
        "no prompt is known to have gone to a wrong expert; compare the mixture run with perfect "
        "routing (eval.models: moe-oracle) with the expert to see whether it runs it as trained",
    )


def _routing(summary: Summary, language: str | None) -> Cause:
    wrong_way = _misrouted(summary, None)
    where = f"most often {wrong_way}" if wrong_way else "prompts went to experts of other languages"
    return Cause(
        "router",
        f"{where}; raise router.samples_per_expert, or look at prompts that fit both languages",
    )


def _ratio(summary: Summary, language: str | None) -> Cause:
    expert = _code_bleu(summary, EXPERT, language)
    mixture = _code_bleu(summary, MIXTURE, language)
    if expert and mixture is not None and mixture >= 0.95 * expert:
        return Cause(
            "expert",
            f"the {_label(language)} expert is no better ({expert:.3f}): it needs more data or "
            "steps (experts.train.steps), or the base already does the task",
        )
    if expert:
        found = _retention(summary, language)
        return Cause(
            found.kind,
            f"the expert alone scores {expert:.3f}: the mixture loses it, see retention",
        )
    return Cause(
        "expert", "there is no expert for this language, so the mixture answers as its base does"
    )


def _tests(summary: Summary, language: str | None) -> Cause:
    expert = summary["models"].get(EXPERT, {}).get(language)
    if expert is None or expert["pass_at_1"] is None:
        looping = _degenerate(summary, language)
        if looping:
            return Cause("degenerate output", f"degenerate output: {looping}")
        return Cause("unknown", "see the worst sample answers")
    if expert["pass_at_1"] > summary["models"][MIXTURE][language]["pass_at_1"]:
        found = _retention(summary, language)
        return Cause(
            found.kind, f"the expert alone passes {expert['pass_at_1']:.1%}: the mixture loses it"
        )
    return Cause(
        "expert",
        f"the {_label(language)} expert alone passes no more ({expert['pass_at_1']:.1%}): it needs "
        "more data or steps (experts.train.steps)",
    )


def _language(summary: Summary, language: str | None) -> Cause:
    wrong_way = _misrouted(summary, language)
    if wrong_way:
        return Cause("router", f"the router: {wrong_way}")
    expert = summary["models"].get(EXPERT, {}).get(language)
    if expert and expert["wrong_language"] > 0:
        return Cause(
            "expert",
            f"the {_label(language)} expert itself answers in another language "
            f"({expert['wrong_language']:.1%}): look for mislabelled rows in its training data",
        )
    if expert is None:
        words = f"no expert for {_label(language)} was evaluated; others answer in its place"
        return Cause("expert", words)
    return Cause(
        "wrong language",
        "the expert alone answers in the right language; see the worst sample answers",
    )


CAUSES: dict[str, Callable[[Summary, str | None], Cause]] = {
    "retention": _retention,
    "routing_accuracy": _routing,
    "base_ratio": _ratio,
    "wrong_language": _language,
    "pass_at_1": _tests,
}
