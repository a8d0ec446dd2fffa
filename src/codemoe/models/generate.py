"""Batched generation, streamed if wanted: one loop for every way of routing."""

# B batch, T tokens, L layers, E experts, V vocabulary

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch

from codemoe.data.prompt import EncodedPrompt, check_marker
from codemoe.errors import UserError
from codemoe.models.decoding import Decoder, left_pad
from codemoe.models.fences import Fences
from codemoe.models.load import CodeModel, Mixture
from codemoe.models.prefill import (
    Start,
    choices_of,
    hand_over,
    read_instructions,
    start,
    token_routing,
)
from codemoe.models.routes import Choice, HandOver, Route, named
from codemoe.models.sampling import Sampling, choose

__all__ = ["Choice", "Generation", "Route", "generate_batch", "generate_with_each_expert"]

OnToken = Callable[[int, int], None]
IsFinished = Callable[[int, Sequence[int]], bool]


@dataclass(frozen=True)
class Generation:
    text: str
    token_ids: tuple[int, ...]
    prompt_tokens: int
    finish_reason: Literal["stop", "length"]
    choice: Choice | None = None
    # With `follow_fences`: where other experts took over.
    hand_overs: tuple[HandOver, ...] = ()
    # Token routing: share of the generated tokens that each layer sent to each expert, (L, E).
    load_LE: tuple[tuple[float, ...], ...] | None = None


@torch.no_grad()
def route_prompts(model: CodeModel, prompts: Sequence[EncodedPrompt]) -> list[Choice]:
    """Only route: what the sequence router chooses for each prompt."""
    assert model.mixture is not None
    found: dict[int, Choice] = {}
    for rows in _by_marker(prompts):
        batch = _batch(model, [prompts[row] for row in rows])
        routing = read_instructions(model.mixture, Decoder(model.model, batch))
        found |= dict(zip(rows, choices_of(model.mixture, routing), strict=True))
    return [found[row] for row in range(len(prompts))]


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
    on_token: OnToken | None = None,
    is_finished: IsFinished | None = None,
) -> list[Generation]:
    """Answer all prompts in one batch; `on_token(row, token_id)` streams all but the end token.

    `is_finished(row, token_ids)` is asked after each token and may end an answer: a stop rule.

    Rows do not influence each other: a batched answer differs from a single one by rounding only,
    a sampled one too, as row i draws by itself with seed `sampling.seed + i`. Prompts whose markers
    have different numbers of tokens are answered one group after another.
    """
    if route.by != "none" and model.mixture is None:
        raise UserError(f"routing by {route.by!r} needs a mixture; this is a dense model")
    if route.follow_fences and route.by == "token":
        raise UserError("token gates choose at every token; follow_fences is for one expert a text")
    _check_window(model, prompts)
    if model.mixture is not None and route.by != "none":
        for prompt in prompts:
            if (route.activation or model.mixture.activation) != "all" or route.by == "sequence":
                check_marker(prompt)
    found: dict[int, Generation] = {}
    for rows in _by_marker(prompts):
        own = [prompts[row] for row in rows]
        by_name = replace(route, experts=tuple(route.experts[row] for row in rows if route.experts))
        with torch.inference_mode():
            decoder = Decoder(model.model, _batch(model, own))
            begun = start(model, decoder, by_name)
            texts = _Texts.begin(model, own, rows, max_new_tokens, sampling, route, begun, on_token)
            texts.is_finished = is_finished
            found |= dict(zip(rows, _decode(model, decoder, begun, texts), strict=True))
    return [found[row] for row in range(len(prompts))]


def generate_with_each_expert(
    model: CodeModel,
    prompt: EncodedPrompt,
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
) -> tuple[list[Generation], Choice | None]:
    """One answer from every expert, in the mixture's order, after one reading of the prompt; and
    what the sequence router, if there is one, would have chosen."""
    mixture = model.mixture
    if mixture is None:
        raise UserError("comparing experts needs a mixture; this is a dense model")
    if mixture.activation != "completion":
        raise UserError(
            "this mixture's experts act on the prompt too, so one reading cannot serve them all",
            "make it with moe.activation=completion, or ask once for each: --expert NAME",
        )
    _check_window(model, [prompt])
    check_marker(prompt)
    num_experts = len(mixture.experts)
    with torch.inference_mode():
        decoder = Decoder(model.model, _batch(model, [prompt]))
        routed = None
        if mixture.sequence_router is None:
            decoder.read(0, decoder.batch.cut)
        else:
            (routed,) = choices_of(mixture, read_instructions(mixture, decoder))
        decoder.repeat(num_experts)
        begun = hand_over(mixture, decoder, torch.arange(num_experts), named(mixture.experts))
        texts = _Texts.begin(
            model,
            [prompt] * num_experts,
            # All draw the same numbers: they differ in nothing but the expert.
            [0] * num_experts,
            max_new_tokens,
            sampling,
            Route("named", mixture.experts),
            begun,
            None,
        )
        return _decode(model, decoder, begun, texts), routed


def _batch(model: CodeModel, prompts: Sequence[EncodedPrompt]) -> Any:
    return left_pad(prompts, model.tokenizer.pad_token_id, model.model.device)


def _by_marker(prompts: Sequence[EncodedPrompt]) -> list[list[int]]:
    """Rows by the number of tokens of their markers. In one batch a router would have to decide
    when the longest marker begins, before shorter ones' instructions have been read to their end.
    """
    groups: dict[int, list[int]] = defaultdict(list)
    for row, prompt in enumerate(prompts):
        groups[len(prompt.input_ids) - prompt.marker_start].append(row)
    return list(groups.values())


def _check_window(model: CodeModel, prompts: Sequence[EncodedPrompt]) -> None:
    window = context_window(model)
    longest = max(len(p.input_ids) for p in prompts)
    if window and longest + 1 > window:
        raise UserError(
            f"the prompt has {longest} tokens but the model's window is {window}", "shorten it"
        )


@dataclass
class _Texts:
    """The answers of a batch while they are written; one entry a row in each list."""

    tokenizer: Any
    prompt_tokens: list[int]
    limits: list[int]
    choices: Sequence[Choice | None]
    sampling: Sampling
    generators: list[torch.Generator]
    rows: Sequence[int]  # what `on_token` calls them
    on_token: OnToken | None
    fences: list[Fences] | None
    answers: list[list[int]] = field(default_factory=list)
    stopped: list[bool] = field(default_factory=list)  # by end token or rule, not by the limit
    is_finished: IsFinished | None = None
    hand_overs: list[list[HandOver]] = field(default_factory=list)

    @classmethod
    def begin(
        cls,
        model: CodeModel,
        prompts: Sequence[EncodedPrompt],
        rows: Sequence[int],
        max_new_tokens: int,
        sampling: Sampling | None,
        route: Route,
        begun: Start,
        on_token: OnToken | None,
    ) -> "_Texts":
        lengths = [len(prompt.input_ids) for prompt in prompts]
        window = context_window(model)  # each row's own prompt counts, its neighbours' do not
        limits = [min(max_new_tokens, window - n) if window else max_new_tokens for n in lengths]
        sampling = sampling or Sampling()
        device = begun.logits_BV.device
        generators = [torch.Generator(device).manual_seed(sampling.seed + row) for row in rows]
        fences = None
        if route.follow_fences and model.mixture is not None:
            fences = [
                Fences(model.tokenizer, model.mixture.expert_of_language, choice.expert)
                for choice in begun.choices
                if choice is not None
            ]
        texts = cls(
            model.tokenizer,
            lengths,
            limits,
            begun.choices,
            sampling,
            generators,
            rows,
            on_token,
            fences,
        )
        texts.answers = [[] for _ in lengths]
        texts.stopped = [False] * len(lengths)
        texts.hand_overs = [[] for _ in lengths]
        return texts

    def choose(self, logits_BV: torch.Tensor, alive: Sequence[int]) -> torch.Tensor:
        return choose(logits_BV, self.sampling, [self.generators[row] for row in alive])

    def going(self, row: int) -> bool:
        return not self.stopped[row] and len(self.answers[row]) < self.limits[row]

    def write(self, row: int, token: int) -> str | None:
        """Take a row's next token; the expert that writes from then on, if another one does."""
        if token == self.tokenizer.eos_token_id:
            self.stopped[row] = True
            return None
        self.answers[row].append(token)
        if self.on_token is not None:
            self.on_token(self.rows[row], token)
        if self.is_finished is not None and self.is_finished(self.rows[row], self.answers[row]):
            self.stopped[row] = True
            return None
        expert = None if self.fences is None else self.fences[row].read(self.answers[row])
        if expert is not None:
            self.hand_overs[row].append(HandOver(len(self.answers[row]), expert))
        return expert

    def finished(self, row: int, counts_LE: torch.Tensor | None) -> Generation:
        return Generation(
            text=str(self.tokenizer.decode(self.answers[row], skip_special_tokens=True)),
            token_ids=tuple(self.answers[row]),
            prompt_tokens=self.prompt_tokens[row],
            finish_reason="stop" if self.stopped[row] else "length",
            choice=self.choices[row],
            hand_overs=tuple(self.hand_overs[row]),
            load_LE=None if counts_LE is None else _shares(counts_LE),
        )


def _decode(model: CodeModel, decoder: Decoder, begun: Start, texts: _Texts) -> list[Generation]:
    mixture, logits_BV, gates_B1E = model.mixture, begun.logits_BV, begun.gates_B1E
    num_rows = len(texts.answers)
    alive = list(range(num_rows))  # index of each row still in the batch
    counts_BLE = None
    if mixture is not None and gates_B1E is None and begun.by_token:
        counts_BLE = torch.zeros(num_rows, len(mixture.token_routers), len(mixture.experts))
    while True:
        token_B = texts.choose(logits_BV, alive)
        for at, (row, token) in enumerate(zip(alive, token_B.tolist(), strict=True)):
            if not texts.going(row):
                continue
            expert = texts.write(row, token)
            if expert is not None and gates_B1E is not None and mixture is not None:
                gates_B1E = gates_B1E.clone()
                gates_B1E[at] = 0
                gates_B1E[at, :, mixture.experts.index(expert)] = 1
        going = [i for i, row in enumerate(alive) if texts.going(row)]
        if not going:
            return [
                texts.finished(row, None if counts_BLE is None else counts_BLE[row])
                for row in range(num_rows)
            ]
        if len(going) <= 0.75 * len(alive):
            rows = torch.tensor(going, device=token_B.device)
            decoder.keep(rows)
            token_B = token_B[rows]
            gates_B1E = None if gates_B1E is None else gates_B1E[rows]
            alive = [alive[i] for i in going]
        if counts_BLE is not None and mixture is not None:
            step_BLE = torch.zeros(len(alive), *counts_BLE.shape[1:])
            logits_BV = _step_by_token(mixture, decoder, token_B, step_BLE)
            for i, row in enumerate(alive):
                if texts.going(row):
                    counts_BLE[row] += step_BLE[i]
        elif gates_B1E is not None and mixture is not None:
            with mixture.layers.use(gates_B1E):
                logits_BV = decoder.step(token_B)
        else:
            logits_BV = decoder.step(token_B)


def _step_by_token(
    mixture: Mixture, decoder: Decoder, token_B: torch.Tensor, counts_BLE: torch.Tensor
) -> torch.Tensor:
    with token_routing(mixture, None, counts_BLE):
        return decoder.step(token_B)


def _shares(counts_LE: torch.Tensor) -> tuple[tuple[float, ...], ...]:
    totals_L1 = counts_LE.sum(-1, keepdim=True).clamp_min(1.0)
    return tuple(tuple(row) for row in (counts_LE / totals_L1).tolist())
