"""Which expert each token of an answer went to, layer by layer: for a few answers, to be looked at.

The answer is read once more behind its prompt, which routes every token as generation did (but for
rounding). Until the marker no expert acts in a mixture that runs as `completion`; what a sequence
router would choose, had the instruction ended there, is told for those tokens instead.
"""

# T tokens, L layers, D model, E experts

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from codemoe.data.prompt import encode_prompt
from codemoe.data.rows import Row
from codemoe.models.features import mlp_inputs
from codemoe.models.load import CodeModel

TRACES = "traces.json"
MAX_TOKENS = 400  # of a trace; what is longer shows its beginning
NONE = -1  # no expert acts on this token in this layer


@dataclass(frozen=True)
class Trace:
    """One answer. `chosen_TL` holds indices of experts (or NONE), `sure_T` how sure each token is:
    the share of layers that agree, or the sequence router's probability."""

    id: str
    language: str
    marker: int  # token that the end-of-instruction marker begins with
    answer: int  # token that the answer begins with
    tokens: list[str]
    chosen_TL: list[list[int]]
    sure_T: list[float]


def trace_rows(
    model: CodeModel,
    routers: str,
    rows: Sequence[Row],
    samples: Sequence[Mapping[str, Any]],
    own: Sequence[str],
) -> dict[str, Any] | None:
    """Traces of one answer in each language: the one whose routing was least sure. As JSON.

    None for a model that does not route.
    """
    if model.mixture is None or routers == "none":
        return None
    experts = list(model.mixture.experts)
    chosen: dict[str, tuple[float, str, Row, str]] = {}
    for row, sample, expert in zip(rows, samples, own, strict=True):
        if not sample["completion"]:
            continue
        if routers == "token":
            layers = sample["load"] or [[]]
            sure = sum(layer[experts.index(expert)] for layer in layers if layer) / len(layers)
        else:
            sure = sample["confidence"] or 0.0
        found = chosen.get(row.language)
        if found is None or (sure, row.id) < found[:2]:
            chosen[row.language] = (sure, row.id, row, sample["completion"])
    trace = _by_token if routers == "token" else _by_sequence
    made = [trace(model, row, text) for _, _, row, text in chosen.values()]
    return {"routers": routers, "experts": experts, "traces": [asdict(one) for one in made]}


@torch.inference_mode()
def token_choices(model: CodeModel, ids: Sequence[int], marker: int) -> list[list[int]]:
    """(T, L) indices of experts: what each layer's gate chooses for each token.

    NONE where no expert acts: before the marker of a mixture that runs as `completion`, and in
    layers without a gate.
    """
    mixture = model.mixture
    assert mixture is not None
    first = 0 if mixture.activation == "all" else marker
    with mixture.layers.use_tokens(mixture.token_routers, None, first) as records:
        _read(model, ids)
    chosen_TL = torch.full((len(ids), len(mixture.token_routers)), NONE)
    for layer, record in records.items():
        chosen_TL[first:, layer] = record.experts_NK[:, 0].cpu()
    choices: list[list[int]] = chosen_TL.tolist()
    return choices


def _by_token(model: CodeModel, row: Row, text: str) -> Trace:
    ids, marker, answer = _ids(model, row, text)
    chosen = token_choices(model, ids, marker)
    sure = [_agreement(layers) for layers in chosen]
    return Trace(row.id, row.language, marker, answer, _pieces(model, ids), chosen, sure)


@torch.inference_mode()
def _by_sequence(model: CodeModel, row: Row, text: str) -> Trace:
    mixture = model.mixture
    assert mixture is not None
    assert mixture.sequence_router is not None
    ids, marker, answer = _ids(model, row, text)
    sequence = mixture.sequence_router
    with mlp_inputs(model.model, [sequence.layer]) as inputs:
        _read(model, ids[:marker])
    x_TD = inputs[sequence.layer][0].float()
    counts_T1 = torch.arange(1, len(x_TD) + 1, device=x_TD.device)[:, None]
    # What `instruction_features` gives of every beginning of the instruction.
    features_TF = torch.cat([x_TD.cumsum(0) / counts_T1, x_TD], dim=-1)
    routing = sequence.router(features_TF)
    chosen = routing.experts_NK[:, :1].tolist()
    sure = routing.probs_NE.max(-1).values.tolist()
    rest = len(ids) - marker
    pieces = _pieces(model, ids)
    return Trace(
        row.id,
        row.language,
        marker,
        answer,
        pieces,
        chosen + [chosen[-1]] * rest,
        sure + [sure[-1]] * rest,
    )


def _ids(model: CodeModel, row: Row, text: str) -> tuple[list[int], int, int]:
    prompt = encode_prompt(model.tokenizer, row.text, row.language)
    answer = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = [*prompt.input_ids, *answer][: max(MAX_TOKENS, len(prompt.input_ids) + 1)]
    return ids, prompt.marker_start, len(prompt.input_ids)


def _read(model: CodeModel, ids: Sequence[int]) -> None:
    model.model(input_ids=torch.tensor([list(ids)], device=model.model.device), use_cache=False)


def _agreement(layers: Sequence[int]) -> float:
    """Share of the layers that route which send the token to its commonest expert."""
    routed = [expert for expert in layers if expert != NONE]
    return max((routed.count(expert) for expert in set(routed)), default=1) / max(len(routed), 1)


def _pieces(model: CodeModel, ids: Sequence[int]) -> list[str]:
    """The text of each token; joined they are the text. A character of several tokens is whole at
    the last of them."""

    def texts() -> Iterator[str]:
        shown = ""
        for end in range(1, len(ids) + 1):
            text = str(model.tokenizer.decode(list(ids[:end]), skip_special_tokens=False))
            if text.endswith("\ufffd") and end < len(ids):
                yield ""
                continue
            yield text[len(shown) :]
            shown = text

    return list(texts())
