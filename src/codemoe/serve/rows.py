"""One answer inside the engine: from its tokens to the events that its client sees."""

# L layers, E experts

from collections.abc import Sequence

import torch

from codemoe.models.generate import new_text
from codemoe.models.load import CodeModel
from codemoe.models.pieces import Pieces
from codemoe.serve.events import Begun, Ended, Event, Wanted, Written, Wrote


class Row:
    """Listens to its `text` and keeps the events that have not been sent."""

    def __init__(self, model: CodeModel, index: int, wanted: Wanted) -> None:
        self.index = index
        self.wanted = wanted
        sampling = wanted.sampling
        self.text = new_text(model, wanted.prompt, wanted.max_new_tokens, sampling, sampling.seed)
        self.text.on_token = self._took
        self.text.is_finished = self._is_finished
        self.text.num_logprobs = wanted.num_logprobs
        self.text.follow_fences = wanted.route.follow_fences
        self.begun = False
        self._experts = () if model.mixture is None else model.mixture.experts
        self._pieces = Pieces(model.tokenizer, wanted.stops)
        self._ended = False
        self._shown: list[str] = []
        self._tokens: list[Written] = []  # whose text has not been shown

    def events(self) -> list[Event]:
        """What happened since the last call, which ends with `Ended` once."""
        events: list[Event] = []
        if not self.begun:
            self.begun = True
            events.append(Begun(self.index, self.text.choice))
        done = not self.text.going
        if done:
            self._shown.append(self._pieces.finish())
        text, self._shown = "".join(self._shown), []
        # A token is shown when its text begins to be; all are at the end, but for a stop string's.
        everything = done and not self._pieces.stopped
        tokens = [t for t in self._tokens if everything or t.start < self._pieces.shown]
        self._tokens = self._tokens[len(tokens) :]
        if text or tokens:
            events.append(Wrote(self.index, text, tuple(tokens)))
        if done:
            found = self.text.finished()
            reason = found.finish_reason
            events.append(Ended(self.index, len(found.token_ids), reason, found))
        return events

    def _took(self, token: int) -> None:
        if token in self.wanted.ends:
            self._ended = True
            return
        self._shown.append(self._pieces.push(token))
        if self.wanted.num_logprobs is not None or self.wanted.trace:
            logprob = None if self.wanted.num_logprobs is None else self.text.logprobs[-1]
            writers = self._writers() if self.wanted.trace else None
            self._tokens.append(Written(token, self._pieces.starts[-1], logprob, writers))

    def _is_finished(self, token_ids: Sequence[int]) -> bool:
        return self._ended or self._pieces.stopped

    def _writers(self) -> tuple[str | None, ...]:
        """Who wrote the newest token. A fence's expert takes over after the fence's last token."""
        if self.text.gates_LE is None:
            return (self.text.expert,)
        return _strongest(self.text.gates_LE, self._experts)


def _strongest(gates_LE: torch.Tensor, experts: Sequence[str]) -> tuple[str | None, ...]:
    """Each layer's expert of the greatest weight; None where a layer's gates are all zero."""
    weights, chosen = gates_LE.max(-1)
    pairs = zip(weights.tolist(), chosen.tolist(), strict=True)
    return tuple(experts[expert] if weight > 0 else None for weight, expert in pairs)
