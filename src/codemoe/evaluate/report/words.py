"""Numbers and results in words: formats, model names, the headline. Honest before short."""

from collections.abc import Mapping
from typing import Any

from codemoe.evaluate.report.compare import Ratio, difference
from codemoe.evaluate.report.read import Evaluation, Interval, ModelResult
from codemoe.evaluate.report.summary import ALL, BASE, EXPERT, MIXTURE, main_model, ratios
from codemoe.languages import LANGUAGES

DASH = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
NOT_RUN = "not run"

_MODEL_LABELS = {
    "base": "Base",
    "expert": "Own expert",
    "merged-ties": "Dense merge, TIES",
    "merged-average": "Dense merge, average",
    "merged-slerp": "Dense merge, SLERP",
    "dense-all": "One model, all languages",
    "moe-token": "Mixture, token routing",
    "moe-sequence": "Mixture",
    "moe-oracle": "Mixture, perfect routing",
}


def language_label(name: str) -> str:
    if name == ALL:
        return "All"
    return LANGUAGES[name].label if name in LANGUAGES else name


def model_label(name: str) -> str:
    return _MODEL_LABELS.get(name, name)


def score(value: float | None, digits: int = 3) -> str:
    if value is None:
        return DASH
    return f"{value:.{digits}f}".replace("-", MINUS)


def percent(value: float | None, digits: int = 1) -> str:
    """A share as percent; 100 % and 0 % are only said of what is exactly that."""
    if value is None:
        return DASH
    if value in (0, 1):
        digits = 0
    else:
        while digits < 9 and float(f"{100 * value:.{digits}f}") in (0, 100):
            digits += 1
    shown = f"{100 * value:.{digits}f}"
    return f"{shown}\N{NO-BREAK SPACE}%"


def times(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.1f}{TIMES}" if value >= 1.95 else f"{value:.2f}{TIMES}"


def interval(pair: Interval | None, digits: int = 3, scale: float = 1.0) -> str:
    if pair is None:
        return ""
    low, high = (score(scale * bound, digits) for bound in pair)
    return f"{low}{DASH}{high}" if MINUS not in low + high else f"{low} to {high}"


def quantity(value: float | None) -> str:
    """1234567 -> 1.23 M."""
    if value is None:
        return DASH
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:#.3g}".rstrip(".") + f"\N{NO-BREAK SPACE}{letter}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    space = "\N{NO-BREAK SPACE}"
    if seconds < 10:
        return f"{seconds:.1f}{space}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}{space}s"
    if whole < 3600:
        return f"{whole // 60}{space}min {whole % 60:02d}{space}s"
    return f"{whole // 3600}{space}h {whole % 3600 // 60:02d}{space}min"


def headline(evaluation: Evaluation) -> str:
    """The result in one sentence, bad news included."""
    retention = ratios(evaluation, MIXTURE, EXPERT).get(ALL)
    gain = ratios(evaluation, MIXTURE, BASE).get(ALL)
    if MIXTURE not in evaluation.models:
        missing = "No mixture was evaluated"
        if any(name.startswith("moe-") for name in evaluation.models):
            missing = "The mixture was not evaluated with sequence routing"
        expert = ratios(evaluation, EXPERT, BASE).get(ALL)
        return (
            missing
            if expert is None
            else f"{missing}; its experts {_beats(expert, plural=True)[0]}"
        )
    if retention is None and gain is None:
        return "The mixture was evaluated, but nothing to compare it with"
    keeps = _keeps(retention)
    beats, good = _beats(gain)
    if not keeps:
        return f"The mixture {beats}"
    if not beats:
        return f"The mixture {keeps}"
    joined = "and" if good == _kept_well(retention) else "but"
    return f"The mixture {keeps} {joined} {beats}"


def _kept_well(retention: Ratio | None) -> bool:
    return retention is not None and retention.value >= 0.95


def _keeps(retention: Ratio | None) -> str:
    if retention is None:
        return ""
    if retention.value >= 0.9995:
        return "keeps all of its experts\N{RIGHT SINGLE QUOTATION MARK} score"
    only = "" if _kept_well(retention) else "only "
    owner = "its experts\N{RIGHT SINGLE QUOTATION MARK} score"
    return f"keeps {only}{percent(retention.value)} of {owner}"


def _beats(gain: Ratio | None, plural: bool = False) -> tuple[str, bool]:
    """The comparison with the base in words, and whether it is good news."""
    if gain is None:
        return "", True
    low, high = gain.interval or (gain.value, gain.value)
    beats, scores, are, its = (
        ("beat", "score", "are", "their") if plural else ("beats", "scores", "is", "its")
    )
    if low > 1:
        return f"{beats} the base {times(gain.value)}", True
    if high < 1:
        return f"{scores} below {its} base ({times(gain.value)})", False
    return f"{are} not shown to beat {its} base ({times(gain.value)})", False


def lead(evaluation: Evaluation) -> list[str]:
    """Two to five sentences under the headline: numbers, floor, rivals, what was not run."""
    sentences = []
    main = main_model(evaluation)
    languages = [language_label(name) for name in main.languages]
    held_out = "held-out" if evaluation.split == "test" else "validation"
    tasks = f"{main.total.n:,} {held_out} tasks in {_listed(languages)}"
    compared = []
    for name, label in ((EXPERT, "its own experts"), (BASE, "the base")):
        model = evaluation.models.get(name)
        if model is not None and model is not main:
            fewer = "" if model.total.n == main.total.n else f" on their {model.total.n:,} tasks"
            compared.append(f"{label} {_with_interval(model)}{fewer}")
    versus = f", {_listed(compared)}" if compared else ""
    named = {
        MIXTURE: "the mixture",
        "moe-token": "the mixture with token routing",
        EXPERT: "each language's own expert",
        BASE: "the base",
    }
    who = named.get(main.name, main.name)
    sentences.append(f"On {tasks}, {who} scores CodeBLEU {_with_interval(main)}{versus}.")
    floor = main.total.floor
    if floor is not None:
        empty = main.total.empty
        verb = "is" if empty == 1 else "are"
        sentences.append(
            f"Its answers would score {score(floor)} against other tasks (the floor); "
            f"{empty or 'none'} of them {verb if empty else 'is'} empty."
        )
    base = evaluation.models.get(BASE)
    if base is not None and base.total.floor is not None:
        low = (base.total.codebleu_interval or (base.total.codebleu,))[0]
        if low <= base.total.floor:
            sentences.append("The base is not shown to be above its own floor.")
    sentences.append(_tests_sentence(evaluation, main))
    rival = _rival_sentence(evaluation, main)
    return [*sentences, rival] if rival else sentences


def _with_interval(model: ModelResult) -> str:
    pair = model.total.codebleu_interval
    return score(model.total.codebleu) + (f" ({interval(pair)})" if pair else "")


def _tests_sentence(evaluation: Evaluation, main: ModelResult) -> str:
    total = main.total
    if total.pass_at_1 is None:
        return "The tests were not run, so pass@1 is not known."
    base = evaluation.models.get(BASE)
    pair = interval(total.pass_at_1_interval, 1, 100)
    pair = f" ({pair})" if pair else ""
    against = ""
    if base is not None and base is not main and base.total.pass_at_1 is not None:
        against = f" (base: {percent(base.total.pass_at_1)})"
    return f"Of its programs {percent(total.pass_at_1)}{pair} pass their tests{against}."


def _rival_sentence(evaluation: Evaluation, main: ModelResult) -> str:
    """Name the best model that is neither an upper bound nor the mixture itself."""
    rivals = [
        model
        for name, model in evaluation.models.items()
        if name.startswith(("merged-", "dense-")) or name == "moe-token"
    ]
    if main.name != MIXTURE or not rivals:
        return ""
    best = max(rivals, key=lambda model: model.total.codebleu)
    gap = difference(main, best)
    label = model_label(best.name)
    text = f"The best alternative, {label[0].lower() + label[1:]}, scores {_with_interval(best)}"
    if gap is None:
        return text + "."
    by = f"{score(gap.difference)} ({interval(gap.interval)})"
    return f"{text}; on the same tasks the mixture is {standing(gap.interval)}: {by}."


def standing(pair: Interval) -> str:
    """What the interval of a paired difference says of the mixture."""
    low, high = pair
    return "ahead" if low > 0 else "behind" if high < 0 else "not shown to differ"


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def enabling(fix: str) -> list[str]:
    """The commands that get pass@1 measured; `fix` is one, or a recipe override (key=value)."""
    if not fix:
        return []
    if "=" in fix and " " not in fix:
        return [f"codemoe eval RECIPE {fix} --force"]
    return [fix, "codemoe run RECIPE"]


def versions_of(evaluation: Evaluation) -> Mapping[str, str]:
    """Package versions over all stages; several when stages were made with different ones."""
    found: dict[str, Any] = {}
    for stage in evaluation.stages:
        for name, version in stage.versions.items():
            found.setdefault(name, []).append(version)
    return {name: " and ".join(dict.fromkeys(values)) for name, values in sorted(found.items())}
