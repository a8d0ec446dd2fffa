"""Answers token by token, each token in the colour of the expert it went to."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from codemoe.evaluate.report.read import Evaluation, Trace, Traces
from codemoe.evaluate.report.words import language_label, model_label, percent

_MODELS = ("moe-token", "moe-sequence")
COLOURS = 7  # of the style sheet, --x0 to --x6; more experts share them
_NONE = -1


@dataclass(frozen=True)
class Token:
    """`colour` None: no expert acts on it; `strength`: 25, 50, 75 or 100 % of its colour."""

    text: str
    colour: int | None
    strength: int
    title: str


@dataclass(frozen=True)
class TraceView:
    language: str
    id: str
    prompt: tuple[Token, ...]
    answer: tuple[Token, ...]
    told: str


@dataclass(frozen=True)
class TraceGroup:
    """The traces of one model, and what a reader needs to know to read them."""

    model: str
    reading: str
    legend: tuple[tuple[str, int], ...]  # expert, colour
    traces: tuple[TraceView, ...]


def trace_groups(evaluation: Evaluation) -> list[TraceGroup]:
    """The traces of every mixture that has them, token routing first."""
    groups = []
    for name in _MODELS:
        model = evaluation.models.get(name)
        found = model.traces if model else None
        if found is None or not found.traces:
            continue
        legend = [(language_label(e), i % COLOURS) for i, e in enumerate(found.experts)]
        views = tuple(_view(found, trace) for trace in found.traces)
        groups.append(TraceGroup(model_label(name), _READING[found.routers], tuple(legend), views))
    return groups


def traces_csv(evaluation: Evaluation) -> str:
    """Every token and layer of every trace, one a row; "" when there are none."""
    rows = [
        (name, trace.id, position, part, token, layer, found.experts[chosen] if chosen >= 0 else "")
        for name in _MODELS
        if (model := evaluation.models.get(name)) is not None
        and (found := model.traces) is not None
        for trace in found.traces
        for position, (token, layers) in enumerate(zip(trace.tokens, trace.chosen_TL, strict=True))
        for part in ("prompt" if position < trace.answer else "answer",)
        for layer, chosen in enumerate(layers)
    ]
    if not rows:
        return ""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("model", "id", "position", "part", "token", "layer", "expert"))
    writer.writerows(rows)
    return buffer.getvalue()


_READING = {
    "token": "Each token has the colour of the expert that most layers sent it to, the paler the "
    "fewer they were; where no expert acts, it has none.",
    "sequence": "Until the marker a token has the colour of the expert that the router would "
    "choose if the instruction ended there, the paler the less sure; from the marker on the "
    "chosen expert acts on all of them.",
}


def _view(traces: Traces, trace: Trace) -> TraceView:
    by_token = traces.routers == "token"
    tokens = tuple(
        _token(text, layers, sure, traces.experts, by_token)
        for text, layers, sure in zip(trace.tokens, trace.chosen_TL, trace.sure_T, strict=True)
    )
    return TraceView(
        trace.language,
        trace.id,
        tokens[: trace.answer],
        tokens[trace.answer :],
        _told(traces, trace, by_token),
    )


def _token(
    text: str, layers: Sequence[int], sure: float, experts: Sequence[str], by_token: bool
) -> Token:
    counts = Counter(expert for expert in layers if expert != _NONE)
    if not counts:
        return Token(text, None, 0, "no expert acts here")
    expert, most = counts.most_common(1)[0]
    strength = min(100, 25 * max(1, round(4 * sure)))
    if by_token:
        parts = [f"{language_label(experts[e])} {n}" for e, n in counts.most_common()]
        title = f"layers: {', '.join(parts)}"
        if most == len(layers):
            title = f"{language_label(experts[expert])} in all {most} layers"
    else:
        title = f"{language_label(experts[expert])}, {percent(sure)} sure"
    return Token(text, expert % COLOURS, strength, title)


def _told(traces: Traces, trace: Trace, by_token: bool) -> str:
    """How the answer was routed, in a sentence."""
    answer = trace.chosen_TL[trace.answer :]
    counts = Counter(expert for layers in answer for expert in layers if expert != _NONE)
    total = sum(counts.values())
    if not total:
        return ""
    if by_token:
        shares = [
            f"{language_label(traces.experts[expert])} {percent(count / total, 0)}"
            for expert, count in counts.most_common()
        ]
        return f"asked: of all choices in the answer {', '.join(shares)}."
    chosen = counts.most_common(1)[0][0]
    sure = trace.sure_T[max(trace.marker - 1, 0)]
    settled = trace.marker
    while settled > 0 and trace.chosen_TL[settled - 1][0] == chosen:
        settled -= 1
    label = language_label(traces.experts[chosen])
    when = "from the first token" if settled == 0 else f"from token {settled + 1} of {trace.marker}"
    return f"asked: {label} chosen, {percent(sure)} sure at the marker, and settled on {when}."
