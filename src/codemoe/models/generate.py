"""Batched generation with route, then activate.

The base reads the prompt, the router reads the base's own states in that same prefill, and the
chosen expert takes over at the marker.
"""

# B batch, T tokens, E experts, V vocabulary

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch

from codemoe.data.prompt import EncodedPrompt
from codemoe.errors import UserError
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.features import instruction_features, mlp_inputs
from codemoe.models.load import CodeModel, Mixture
from codemoe.models.sampling import Sampling, choose
from codemoe.routing.record import Routing

RouteBy = Literal["none", "sequence", "token", "named"]


@dataclass(frozen=True)
class Route:
    """How experts are chosen: not at all, by the sequence router, by token gates, or by name."""

    by: RouteBy
    experts: tuple[str, ...] = ()  # one a prompt, for `named`
    activation: str | None = None  # all | completion; the mixture's own when None


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


@dataclass(frozen=True)
class _Batch:
    """Left-padded prompts; columns from `cut` on hold every row's marker."""

    input_ids_BT: torch.Tensor
    mask_BT: torch.Tensor
    marked_BT: torch.Tensor  # 1 from each row's marker on
    cut: int


def _left_pad(prompts: Sequence[EncodedPrompt], pad_id: int, device: torch.device) -> _Batch:
    width = max(len(p.input_ids) for p in prompts)
    ids_BT = torch.full((len(prompts), width), pad_id, dtype=torch.long)
    mask_BT = torch.zeros((len(prompts), width), dtype=torch.long)
    marked_BT = torch.zeros((len(prompts), width))
    for row, prompt in enumerate(prompts):
        ids_BT[row, width - len(prompt.input_ids) :] = torch.tensor(prompt.input_ids)
        mask_BT[row, width - len(prompt.input_ids) :] = 1
        marked_BT[row, width - len(prompt.input_ids) + prompt.marker_start :] = 1
    longest_marker = max(len(p.input_ids) - p.marker_start for p in prompts)
    return _Batch(
        ids_BT.to(device), mask_BT.to(device), marked_BT.to(device), width - longest_marker
    )


class _Decoder:
    """One batch on its way through the model: the cache, the mask and the rows still alive."""

    def __init__(self, model: Any, batch: _Batch) -> None:
        from transformers import DynamicCache

        self.model = model
        self.batch = batch
        self.cache = DynamicCache(config=model.config)
        self.mask_BT = batch.mask_BT
        self.positions_BT = (batch.mask_BT.cumsum(-1) - 1).clamp_min(0)
        self.position_B1 = self.positions_BT[:, -1:]

    def prefill(self, start: int, end: int) -> torch.Tensor:
        """Logits (B, V) after the prompt's columns start..end; they enter the cache."""
        out = self.model(
            input_ids=self.batch.input_ids_BT[:, start:end],
            attention_mask=self.mask_BT[:, :end],
            position_ids=self.positions_BT[:, start:end],
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1]

    def step(self, token_B: torch.Tensor) -> torch.Tensor:
        self.position_B1 = self.position_B1 + 1
        self.mask_BT = torch.cat([self.mask_BT, torch.ones_like(self.mask_BT[:, :1])], dim=1)
        out = self.model(
            input_ids=token_B[:, None],
            attention_mask=self.mask_BT,
            position_ids=self.position_B1,
            past_key_values=self.cache,
            use_cache=True,
        )
        return out.logits[:, -1]

    def keep(self, rows: torch.Tensor) -> None:
        """Drop finished rows, so that a batch does not wait for its longest answer at full cost."""
        self.cache.batch_select_indices(rows)
        self.mask_BT = self.mask_BT[rows]
        self.position_B1 = self.position_B1[rows]


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
    decoder = _Decoder(
        model.model, _left_pad(prompts, model.tokenizer.pad_token_id, model.model.device)
    )
    assert model.mixture is not None
    return _choices(model.mixture, _prefill_and_route(model.mixture, decoder))


def _prefill_and_route(mixture: Mixture, decoder: _Decoder) -> Routing:
    """The bare base reads the instruction; the router reads its states in the same pass."""
    sequence = mixture.sequence_router
    if sequence is None:
        raise UserError(
            "this mixture has no fitted sequence router", "codemoe router RECIPE, or name an expert"
        )
    cut = decoder.batch.cut
    with mlp_inputs(decoder.model, [sequence.layer]) as inputs:
        decoder.prefill(0, cut)
    batch = decoder.batch
    instruction_BT = batch.mask_BT[:, :cut] * (1 - batch.marked_BT[:, :cut])
    return sequence.router(instruction_features(inputs[sequence.layer], instruction_BT))


@contextmanager
def _token_routing(
    mixture: Mixture, active_BT1: torch.Tensor | None, counts_BLE: torch.Tensor | None
) -> Iterator[None]:
    if not mixture.token_routers:
        raise UserError("this mixture has no token gates", "codemoe router RECIPE")
    with mixture.layers.use_tokens(mixture.token_routers, active_BT1) as records:
        yield
    if counts_BLE is not None:
        for layer, routing in enumerate(records):
            counts_BLE[:, layer] += routing.gates_NE().cpu()


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
    sampling = sampling or Sampling()
    if route.by != "none" and model.mixture is None:
        raise UserError(f"routing by {route.by!r} needs a mixture; this is a dense model")
    limit = getattr(model.model.config, "max_position_embeddings", None)
    longest = max(len(p.input_ids) for p in prompts)
    if limit and longest + 1 > limit:
        raise UserError(
            f"the prompt has {longest} tokens but the model's window is {limit}", "shorten it"
        )
    steps = min(max_new_tokens, limit - longest) if limit else max_new_tokens
    batch = _left_pad(prompts, model.tokenizer.pad_token_id, model.model.device)
    with torch.inference_mode():
        return _decode(model, prompts, batch, route, steps, sampling, on_token)


def _start(
    model: CodeModel, decoder: _Decoder, route: Route
) -> tuple[torch.Tensor, torch.Tensor | None, list[Choice | None]]:
    """Read the prompt: the first logits, the gates (B, 1, E) from then on, and the choices."""
    batch = decoder.batch
    width = batch.input_ids_BT.shape[1]
    none: list[Choice | None] = [None] * len(batch.input_ids_BT)
    mixture = model.mixture
    if route.by == "none" or mixture is None:
        return decoder.prefill(0, width), None, none
    activation = route.activation or mixture.activation
    active_BT1 = None if activation == "all" else batch.marked_BT[:, batch.cut :, None]
    if route.by == "token":
        if activation == "all":
            with _token_routing(mixture, None, None):
                return decoder.prefill(0, width), None, none
        decoder.prefill(0, batch.cut)
        with _token_routing(mixture, active_BT1, None):
            return decoder.prefill(batch.cut, width), None, none
    choices: list[Choice | None]
    if route.by == "named":
        experts_B = _expert_indices(mixture, route.experts)
        choices = [Choice(name, 1.0, {name: 1.0}) for name in route.experts]
        if activation == "completion":
            decoder.prefill(0, batch.cut)
    else:
        reader = decoder if activation == "completion" else _Decoder(model.model, batch)
        routing = _prefill_and_route(mixture, reader)
        experts_B = routing.experts_NK[:, 0]
        choices = list(_choices(mixture, routing))
    gates_B1E = one_hot_gates(experts_B, len(mixture.experts)).to(batch.marked_BT.device)
    if active_BT1 is None:
        with mixture.layers.use(gates_B1E):
            return decoder.prefill(0, width), gates_B1E, choices
    with mixture.layers.use(gates_B1E * active_BT1):
        return decoder.prefill(batch.cut, width), gates_B1E, choices


def _decode(
    model: CodeModel,
    prompts: Sequence[EncodedPrompt],
    batch: _Batch,
    route: Route,
    steps: int,
    sampling: Sampling,
    on_token: Callable[[int, int], None] | None,
) -> list[Generation]:
    decoder = _Decoder(model.model, batch)
    logits_BV, gates_B1E, choices = _start(model, decoder, route)
    generator = torch.Generator(device=logits_BV.device).manual_seed(sampling.seed)
    eos = model.tokenizer.eos_token_id
    answers: list[list[int]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    alive = list(range(len(prompts)))  # prompt index of each row still in the batch
    mixture = model.mixture
    counts = None
    if route.by == "token" and mixture is not None:
        counts = torch.zeros(len(prompts), len(mixture.token_routers), len(mixture.experts))
    for step in range(steps):
        token_B = choose(logits_BV, sampling, generator)
        for row, token in zip(alive, token_B.tolist(), strict=True):
            if finished[row]:
                continue
            if token == eos:
                finished[row] = True
                continue
            answers[row].append(token)
            if on_token is not None:
                on_token(row, token)
        open_rows = [i for i, row in enumerate(alive) if not finished[row]]
        if not open_rows or step == steps - 1:
            break
        if len(open_rows) <= 0.75 * len(alive):
            rows = torch.tensor(open_rows, device=token_B.device)
            decoder.keep(rows)
            token_B = token_B[rows]
            gates_B1E = None if gates_B1E is None else gates_B1E[rows]
            alive = [alive[i] for i in open_rows]
        if counts is not None and mixture is not None:
            step_counts = torch.zeros(len(alive), *counts.shape[1:])
            with _token_routing(mixture, None, step_counts):
                logits_BV = decoder.step(token_B)
            for i, row in enumerate(alive):
                if not finished[row]:
                    counts[row] += step_counts[i]
        elif gates_B1E is not None and mixture is not None:
            with mixture.layers.use(gates_B1E):
                logits_BV = decoder.step(token_B)
        else:
            logits_BV = decoder.step(token_B)
    return [
        Generation(
            text=str(model.tokenizer.decode(answers[i], skip_special_tokens=True)),
            token_ids=tuple(answers[i]),
            prompt_tokens=len(prompt.input_ids),
            finish_reason="stop" if finished[i] else "length",
            choice=choices[i],
            load_LE=None if counts is None else _shares(counts[i]),
        )
        for i, prompt in enumerate(prompts)
    ]


def _shares(counts_LE: torch.Tensor) -> tuple[tuple[float, ...], ...]:
    totals_L1 = counts_LE.sum(-1, keepdim=True).clamp_min(1.0)
    return tuple(tuple(row) for row in (counts_LE / totals_L1).tolist())
