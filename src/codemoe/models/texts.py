"""One answer while it is written, and what comes of it."""

# L layers, E experts

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from codemoe.models.fences import Fences
from codemoe.models.routes import Choice, HandOver
from codemoe.models.sampling import Sampling


@dataclass(frozen=True)
class TokenLogprob:
    """Natural logarithm of a token's probability, before temperature; the likeliest beside it."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...]


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
    # With `num_logprobs`: one for each of `token_ids`.
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(eq=False)
class Text:
    """An answer that is being written; the batch it is in writes into it."""

    tokenizer: Any
    prompt_tokens: int
    limit: int
    sampling: Sampling
    generator: torch.Generator
    # Told of every token but the end token.
    on_token: Callable[[int], None] | None = None
    # Asked after each token: a stop rule.
    is_finished: Callable[[Sequence[int]], bool] | None = None
    # None: no probabilities; otherwise how many of the likeliest tokens to note beside the chosen.
    num_logprobs: int | None = None
    follow_fences: bool = False
    choice: Choice | None = None
    fences: Fences | None = None
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    hand_overs: list[HandOver] = field(default_factory=list)
    stopped: bool = False  # by end token or rule, not by the limit
    # Token routing: gates of the pass that wrote the newest token, and the sum over tokens read.
    gates_LE: torch.Tensor | None = None
    counts_LE: torch.Tensor | None = None

    @property
    def going(self) -> bool:
        return not self.stopped and len(self.token_ids) < self.limit

    @property
    def expert(self) -> str | None:
        """Who writes the next token, where one expert a text does."""
        if self.hand_overs:
            return self.hand_overs[-1].expert
        return None if self.choice is None else self.choice.expert

    def write(self, token: int, logprob: TokenLogprob | None = None) -> str | None:
        """Take the next token; the expert that writes from then on, if another one does."""
        if token == self.tokenizer.eos_token_id:
            self.stopped = True
            return None
        self.token_ids.append(token)
        if logprob is not None:
            self.logprobs.append(logprob)
        if self.on_token is not None:
            self.on_token(token)
        if self.is_finished is not None and self.is_finished(self.token_ids):
            self.stopped = True
            return None
        expert = None if self.fences is None else self.fences.read(self.token_ids)
        if expert is not None:
            self.hand_overs.append(HandOver(len(self.token_ids), expert))
        return expert

    def finished(self) -> Generation:
        return Generation(
            text=str(self.tokenizer.decode(self.token_ids, skip_special_tokens=True)),
            token_ids=tuple(self.token_ids),
            prompt_tokens=self.prompt_tokens,
            finish_reason="stop" if self.stopped else "length",
            choice=self.choice,
            hand_overs=tuple(self.hand_overs),
            load_LE=None if self.counts_LE is None else _shares(self.counts_LE),
            logprobs=tuple(self.logprobs),
        )


def _shares(counts_LE: torch.Tensor) -> tuple[tuple[float, ...], ...]:
    totals_L1 = counts_LE.sum(-1, keepdim=True).clamp_min(1.0)
    return tuple(tuple(row) for row in (counts_LE / totals_L1).tolist())
