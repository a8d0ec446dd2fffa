"""Batched generation with route, then activate.

The base reads the prompt, the router reads the base's own states in that same prefill, and the
chosen expert takes over at the marker.
"""

# B batch, T tokens, E experts, V vocabulary

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

import torch

from codemoe.data.prompt import EncodedPrompt
from codemoe.errors import UserError
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.decoding import Batch, Decoder, left_pad
from codemoe.models.features import instruction_features, mlp_inputs
from codemoe.models.fences import opened_by_tokens
from codemoe.models.load import CodeModel, Mixture
from codemoe.models.one_pass import read_and_route
from codemoe.models.routers_file import SequenceRouter
from codemoe.models.sampling import Sampling, choose
from codemoe.routing.record import Routing

RouteBy = Literal["none", "sequence", "token", "named"]


@dataclass(frozen=True)
class Route:
    """How experts are chosen: not at all, by the sequence router, by token gates, or by name."""

    by: RouteBy
    experts: tuple[str, ...] = ()  # one a prompt, for `named`
    activation: str | None = None  # all | completion; the mixture's own when None
    # A fenced block that opens in another language switches to that language's expert.
    follow_fences: bool = False


@dataclass(frozen=True)
class Choice:
    """What the sequence router (or the caller) decided for one prompt."""

    expert: str
    confidence: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class Generation:
    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    finish_reason: Literal["stop", "length"]
    choice: Choice | None = None
    # Token routing: share of the generated tokens that each layer sent to each expert, (L, E).
    load_LE: tuple[tuple[float, ...], ...] | None = None


def _expert_indices(mixture: Mixture, names: Sequence[str]) -> torch.Tensor:
    unknown = sorted({name for name in names if name not in mixture.experts})
    if unknown:
        raise UserError(
            f"no expert named {', '.join(unknown)}; this mixture has {', '.join(mixture.experts)}"
        )
    return torch.tensor([mixture.experts.index(name) for name in names])


def _choices(mixture: Mixture, routing: Routing) -> list[Choice]:
    result = []
    for probs_E, chosen in zip(
        routing.probs_NE.tolist(), routing.experts_NK[:, 0].tolist(), strict=True
    ):
        by_name = dict(zip(mixture.experts, probs_E, strict=True))
        result.append(Choice(mixture.experts[chosen], probs_E[chosen], by_name))
    return result


@torch.no_grad()
def route_prompts(model: CodeModel, prompts: Sequence[EncodedPrompt]) -> list[Choice]:
    """Only route: what the sequence router chooses for each prompt."""
    decoder = Decoder(
        model.model, left_pad(prompts, model.tokenizer.pad_token_id, model.model.device)
    )
    assert model.mixture is not None
    return _choices(model.mixture, _prefill_and_route(model.mixture, decoder))


def _sequence_router(mixture: Mixture) -> SequenceRouter:
    if mixture.sequence_router is None:
        raise UserError(
            "this mixture has no fitted sequence router", "codemoe router RECIPE, or name an expert"
        )
    return mixture.sequence_router


def _prefill_and_route(mixture: Mixture, decoder: Decoder) -> Routing:
    """The bare base reads the instruction; the router reads its states in the same pass."""
    sequence = _sequence_router(mixture)
    cut = decoder.batch.cut
    with mlp_inputs(decoder.model, [sequence.layer]) as inputs:
        decoder.read(0, cut)
    instruction_BT = decoder.batch.instruction_BT()
    return sequence.router(instruction_features(inputs[sequence.layer], instruction_BT))


@contextmanager
def _token_routing(
    mixture: Mixture,
    active_BT1: torch.Tensor | None,
    counts_BLE: torch.Tensor | None,
    start: int = 0,
) -> Iterator[None]:
    if not mixture.token_routers:
        raise UserError("this mixture has no token gates", "codemoe router RECIPE")
    with mixture.layers.use_tokens(mixture.token_routers, active_BT1, start) as records:
        yield
    if counts_BLE is not None:
        for layer, routing in records.items():
            counts_BLE[:, layer] += routing.gates_NE().cpu()


def context_window(model: CodeModel) -> int | None:
    """Tokens that prompt and answer may have together; None where the model sets no limit."""
    limit = getattr(model.model.config, "max_position_embeddings", None)
    return int(limit) if limit else None


def generate_batch(
    model: CodeModel,
    prompts: Sequence[EncodedPrompt],
    route: Route,
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
    on_token: Callable[[int, int], None] | None = None,
) -> list[Generation]:
    """Answer all prompts in one batch; `on_token(row, token_id)` streams all but the end token.

    Rows do not influence each other; a batched answer differs from a single one by rounding only.
    """
    if route.by != "none" and model.mixture is None:
        raise UserError(f"routing by {route.by!r} needs a mixture; this is a dense model")
    if route.follow_fences and route.by == "token":
        raise UserError("token gates choose at every token; follow_fences is for one expert a text")
    _check_window(model, prompts)
    batch = left_pad(prompts, model.tokenizer.pad_token_id, model.model.device)
    with torch.inference_mode():
        decoder = Decoder(model.model, batch)
        start = _start(model, decoder, route)
        limits = _limits(model, prompts, max_new_tokens)
        return _decode(model, decoder, start, route, limits, sampling or Sampling(), on_token)


def generate_with_each_expert(
    model: CodeModel,
    prompt: EncodedPrompt,
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
) -> list[Generation]:
    """One answer from every expert, in the mixture's order, after one reading of the prompt."""
    mixture = model.mixture
    if mixture is None:
        raise UserError("comparing experts needs a mixture; this is a dense model")
    if mixture.activation != "completion":
        raise UserError(
            "this mixture's experts act on the prompt too, so one reading cannot serve them all",
            "make it with moe.activation=completion, or ask once for each: --expert NAME",
        )
    _check_window(model, [prompt])
    num_experts = len(mixture.experts)
    batch = left_pad([prompt], model.tokenizer.pad_token_id, model.model.device)
    with torch.inference_mode():
        decoder = Decoder(model.model, batch)
        decoder.read(0, batch.cut)
        decoder.repeat(num_experts)
        route = Route("named", mixture.experts)
        start = _hand_over(mixture, decoder, torch.arange(num_experts))
        start = replace(start, choices=_named(route.experts))
        limits = _limits(model, [prompt] * num_experts, max_new_tokens)
        return _decode(model, decoder, start, route, limits, sampling or Sampling(), None)


def _check_window(model: CodeModel, prompts: Sequence[EncodedPrompt]) -> None:
    window = context_window(model)
    longest = max(len(p.input_ids) for p in prompts)
    if window and longest + 1 > window:
        raise UserError(
            f"the prompt has {longest} tokens but the model's window is {window}", "shorten it"
        )


def _limits(model: CodeModel, prompts: Sequence[EncodedPrompt], max_new_tokens: int) -> list[int]:
    """How long each answer may get: its own prompt counts, its neighbours' do not."""
    window = context_window(model)
    if window is None:
        return [max_new_tokens] * len(prompts)
    return [min(max_new_tokens, window - len(prompt.input_ids)) for prompt in prompts]


@dataclass(frozen=True)
class _Start:
    """The prompt has been read: the first logits, the gates from then on, who was chosen."""

    prompt_tokens: list[int]
    logits_BV: torch.Tensor
    gates_B1E: torch.Tensor | None
    choices: Sequence[Choice | None]


def _named(experts: Sequence[str]) -> list[Choice]:
    return [Choice(name, 1.0, {name: 1.0}) for name in experts]


def _hand_over(mixture: Mixture, decoder: Decoder, experts_B: torch.Tensor) -> _Start:
    """Each row's expert takes over at its marker; what stands before it has been read."""
    batch = decoder.batch
    gates_B1E = one_hot_gates(experts_B, len(mixture.experts)).to(batch.marked_BT.device)
    active_BT1 = batch.marked_BT[:, batch.cut :, None]
    with mixture.layers.use(gates_B1E * active_BT1):
        logits_BV = decoder.prefill(batch.cut, batch.width)
    return _Start(_lengths(batch), logits_BV, gates_B1E, [])


def _lengths(batch: Batch) -> list[int]:
    lengths: list[int] = batch.mask_BT.sum(1).tolist()
    return lengths


def _start(model: CodeModel, decoder: Decoder, route: Route) -> _Start:
    batch, mixture = decoder.batch, model.mixture
    lengths = _lengths(batch)
    none: list[Choice | None] = [None] * len(lengths)
    if route.by == "none" or mixture is None:
        return _Start(lengths, decoder.prefill(0, batch.width), None, none)
    everywhere = (route.activation or mixture.activation) == "all"
    first = 0 if everywhere else batch.cut  # the first column that an expert may act on
    active_BT1 = None if everywhere else batch.marked_BT[:, first:, None]
    if route.by == "token":
        with _token_routing(mixture, active_BT1, None, first):
            return _Start(lengths, decoder.prefill(0, batch.width), None, none)
    if route.by == "named":
        experts_B = _expert_indices(mixture, route.experts)
        choices = _named(route.experts)
    else:
        sequence = _sequence_router(mixture)
        if not everywhere:
            read = read_and_route(mixture.layers, sequence, decoder)
            if read is not None:
                routing, logits_BV = read
                gates_B1E = one_hot_gates(routing.experts_NK[:, 0], len(mixture.experts))
                return _Start(lengths, logits_BV, gates_B1E, _choices(mixture, routing))
        # Experts that act on the whole prompt have to read it again, after the base has.
        reader = Decoder(model.model, batch) if everywhere else decoder
        routing = _prefill_and_route(mixture, reader)
        experts_B = routing.experts_NK[:, 0]
        choices = _choices(mixture, routing)
        if not everywhere:
            return replace(_hand_over(mixture, decoder, experts_B), choices=choices)
    gates_B1E = one_hot_gates(experts_B, len(mixture.experts)).to(batch.marked_BT.device)
    acting_BTE = gates_B1E if active_BT1 is None else gates_B1E * active_BT1
    with mixture.layers.use(acting_BTE, first):
        return _Start(lengths, decoder.prefill(0, batch.width), gates_B1E, choices)


def _decode(
    model: CodeModel,
    decoder: Decoder,
    start: _Start,
    route: Route,
    limits: Sequence[int],
    sampling: Sampling,
    on_token: Callable[[int, int], None] | None,
) -> list[Generation]:
    mixture, tokenizer = model.mixture, model.tokenizer
    logits_BV, gates_B1E = start.logits_BV, start.gates_B1E
    generator = torch.Generator(device=logits_BV.device).manual_seed(sampling.seed)
    answers: list[list[int]] = [[] for _ in limits]
    stopped = [False] * len(limits)  # by the end token, not by the limit
    alive = list(range(len(limits)))  # index of each row still in the batch
    counts_BLE = None
    if route.by == "token" and mixture is not None:
        counts_BLE = torch.zeros(len(limits), len(mixture.token_routers), len(mixture.experts))
    while True:
        token_B = choose(logits_BV, sampling, generator)
        for at, (row, token) in enumerate(zip(alive, token_B.tolist(), strict=True)):
            if stopped[row] or len(answers[row]) >= limits[row]:
                continue
            if token == tokenizer.eos_token_id:
                stopped[row] = True
                continue
            answers[row].append(token)
            if on_token is not None:
                on_token(row, token)
            if route.follow_fences and gates_B1E is not None and mixture is not None:
                opened = opened_by_tokens(tokenizer, answers[row])
                expert = mixture.expert_of_language.get(opened or "")
                if expert is not None:
                    gates_B1E = gates_B1E.clone()
                    gates_B1E[at] = 0
                    gates_B1E[at, :, mixture.experts.index(expert)] = 1
        going = [
            i for i, row in enumerate(alive) if not stopped[row] and len(answers[row]) < limits[row]
        ]
        if not going:
            break
        if len(going) <= 0.75 * len(alive):
            rows = torch.tensor(going, device=token_B.device)
            decoder.keep(rows)
            token_B = token_B[rows]
            gates_B1E = None if gates_B1E is None else gates_B1E[rows]
            alive = [alive[i] for i in going]
        if counts_BLE is not None and mixture is not None:
            step_counts = torch.zeros(len(alive), *counts_BLE.shape[1:])
            with _token_routing(mixture, None, step_counts):
                logits_BV = decoder.step(token_B)
            for i, row in enumerate(alive):
                if not stopped[row] and len(answers[row]) < limits[row]:
                    counts_BLE[row] += step_counts[i]
        elif gates_B1E is not None and mixture is not None:
            with mixture.layers.use(gates_B1E):
                logits_BV = decoder.step(token_B)
        else:
            logits_BV = decoder.step(token_B)
    return [
        Generation(
            text=str(tokenizer.decode(answers[i], skip_special_tokens=True)),
            token_ids=tuple(answers[i]),
            prompt_tokens=start.prompt_tokens[i],
            finish_reason="stop" if stopped[i] else "length",
            choice=start.choices[i],
            load_LE=None if counts_BLE is None else _shares(counts_BLE[i]),
        )
        for i in range(len(limits))
    ]


def _shares(counts_LE: torch.Tensor) -> tuple[tuple[float, ...], ...]:
    totals_L1 = counts_LE.sum(-1, keepdim=True).clamp_min(1.0)
    return tuple(tuple(row) for row in (counts_LE / totals_L1).tolist())
