"""The two forms that answers have: chat and completion, whole and in chunks."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from codemoe.models.ask import told
from codemoe.models.load import Mixture
from codemoe.models.routes import Choice
from codemoe.models.texts import Generation
from codemoe.serve.events import Begun, Ended, Event, Written, Wrote
from codemoe.serve.plans import Plan
from codemoe.serve.served import Served
from codemoe.serve.token_bytes import token_bytes

Form = Literal["chat", "completion"]


@dataclass
class _Row:
    """What is known of one answer so far."""

    choice: Choice | None = None
    text: list[str] = field(default_factory=list)
    tokens: list[Written] = field(default_factory=list)
    ended: Ended | None = None


class Reply:
    """One request's answer, built from events: `chunks` as they come, or `whole` at the end."""

    def __init__(self, form: Form, served: Served, plan: Plan, model: str) -> None:
        self.form = form
        self.served = served
        self.plan = plan
        self.model = model
        prefix = "chatcmpl" if form == "chat" else "cmpl"
        self.id = f"{prefix}-{uuid.uuid4().hex}"
        self.created = int(time.time())
        self.rows = [_Row() for _ in plan.rows]

    @property
    def is_complete(self) -> bool:
        return all(row.ended is not None for row in self.rows)

    def take(self, event: Event) -> None:
        if isinstance(event, Begun):
            self.rows[event.row].choice = event.choice
        elif isinstance(event, Wrote):
            self.rows[event.row].text.append(event.text)
            self.rows[event.row].tokens += event.tokens
        elif isinstance(event, Ended):
            self.rows[event.row].ended = event

    def whole(self) -> dict[str, Any]:
        choices = []
        for index, row in enumerate(self.rows):
            assert row.ended is not None
            text = "".join(row.text)
            said = {"role": "assistant", "content": text, "refusal": None}
            content = {"message": said} if self.form == "chat" else {"text": text}
            choices.append(
                {
                    "index": index,
                    **content,
                    "logprobs": self._logprobs(index, row.tokens),
                    "finish_reason": row.ended.finish_reason,
                    "routing": self._routing(row.choice, row.ended.generation, row.tokens),
                }
            )
        object_name = "chat.completion" if self.form == "chat" else "text_completion"
        return self._head(object_name) | {"choices": choices, "usage": self.usage()}

    def chunks(self, event: Event) -> list[dict[str, Any]]:
        """What a stream sends for an event, which has been taken."""
        if isinstance(event, Begun):
            return [self._chunk(event.row, "", True, {"routing": self._routing(event.choice)})]
        if isinstance(event, Wrote):
            extra: dict[str, Any] = {"logprobs": self._logprobs(event.row, event.tokens)}
            if self.plan.rows[event.row].trace:
                extra["routing"] = {"tokens": self._trace(event.tokens)}
            return [self._chunk(event.row, event.text, False, extra)]
        if isinstance(event, Ended):
            row = self.rows[event.row]
            extra = {
                "finish_reason": event.finish_reason,
                "routing": self._routing(row.choice, event.generation),
            }
            return [self._chunk(event.row, None, False, extra)]
        return []

    def usage_chunk(self) -> dict[str, Any]:
        return self._head(self._chunk_name) | {"choices": [], "usage": self.usage()}

    def usage(self) -> dict[str, int]:
        written = sum(row.ended.num_tokens for row in self.rows if row.ended is not None)
        prompt = self.plan.prompt_tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": written,
            "total_tokens": prompt + written,
        }

    @property
    def _chunk_name(self) -> str:
        return "chat.completion.chunk" if self.form == "chat" else "text_completion"

    def _head(self, object_name: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": object_name,
            "created": self.created,
            "model": self.model,
        }

    def _chunk(
        self, row: int, text: str | None, first: bool, extra: dict[str, Any]
    ) -> dict[str, Any]:
        content: dict[str, Any]
        if self.form == "chat":
            delta: dict[str, Any] = {"role": "assistant"} if first else {}
            content = {"delta": delta if text is None else delta | {"content": text}}
        else:
            content = {"text": text or ""}
        choice = {"index": row, **content, "logprobs": None, "finish_reason": None, **extra}
        usage = {"usage": None} if self.plan.include_usage else {}
        return self._head(self._chunk_name) | {"choices": [choice]} | usage

    def _routing(
        self,
        choice: Choice | None,
        generation: Generation | None = None,
        tokens: Sequence[Written] = (),
    ) -> dict[str, Any] | None:
        """Who was chosen, by whom and how surely; with an answer, also what happened in it."""
        mixture = self.served.model.mixture
        if mixture is None:
            return None
        found: dict[str, Any] = {"by": self.plan.by}
        if choice is not None:
            found = told(choice, self.plan.by)
            found["language"] = _language(mixture, choice.expert)
        elif generation is not None and generation.load_LE is not None:
            found["load_by_layer"] = [
                dict(zip(mixture.experts, shares, strict=True)) for shares in generation.load_LE
            ]
        if generation is not None and generation.hand_overs:
            found["hand_overs"] = [
                {"token": one.token, "expert": one.expert} for one in generation.hand_overs
            ]
        if tokens and self.plan.rows[0].trace:
            found["tokens"] = self._trace(tokens)
        return found

    def _trace(self, tokens: Sequence[Written]) -> list[dict[str, Any]]:
        """Each token, where its text begins in the answer's, and its expert; with token gates,
        each layer's."""
        with self.served.tokenizer() as tokenizer:
            found = []
            for token in tokens:
                experts = list(token.experts or ())
                who = {"expert": experts[0]} if len(experts) == 1 else {"experts": experts}
                word = _word(tokenizer, token.token_id)
                found.append({"token": word, "start": token.start, **who})
            return found

    def _logprobs(self, row: int, tokens: Sequence[Written]) -> dict[str, Any] | None:
        if self.plan.rows[row].num_logprobs is None:
            return None
        with self.served.tokenizer() as tokenizer:
            if self.form == "chat":
                return {"content": [_chat_token(tokenizer, t) for t in tokens], "refusal": None}
            return _completion_tokens(tokenizer, tokens)


def _language(mixture: Mixture, expert: str) -> str | None:
    """The expert's language, where it has one and no more."""
    own = [name for name, of in mixture.expert_of_language.items() if of == expert]
    return own[0] if len(own) == 1 else None


def _word(tokenizer: Any, token_id: int) -> str:
    return str(tokenizer.decode([token_id]))


def _chat_token(tokenizer: Any, token: Written) -> dict[str, Any]:
    assert token.logprob is not None

    def entry(token_id: int, logprob: float) -> dict[str, Any]:
        return {
            "token": _word(tokenizer, token_id),
            "logprob": _finite(logprob),
            "bytes": token_bytes(tokenizer, token_id),
        }

    top = [entry(token_id, value) for token_id, value in token.logprob.top]
    return entry(token.token_id, token.logprob.logprob) | {"top_logprobs": top}


def _completion_tokens(tokenizer: Any, tokens: Sequence[Written]) -> dict[str, Any]:
    top = []
    for token in tokens:
        assert token.logprob is not None
        top.append({_word(tokenizer, i): _finite(value) for i, value in token.logprob.top})
    return {
        "tokens": [_word(tokenizer, token.token_id) for token in tokens],
        "token_logprobs": [_finite(t.logprob.logprob) for t in tokens if t.logprob is not None],
        "top_logprobs": top,
        "text_offset": [token.start for token in tokens],
    }


def _finite(logprob: float) -> float:
    """JSON has no infinity; -9999 is what OpenAI writes for "very unlikely"."""
    return max(logprob, -9999.0)
