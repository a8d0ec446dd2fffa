"""What the engine is asked for, and what it tells while it answers."""

from dataclasses import dataclass
from typing import Literal

from codemoe.data.prompt import EncodedPrompt
from codemoe.models.routes import Choice, Route
from codemoe.models.sampling import Sampling
from codemoe.models.texts import Generation, TokenLogprob


@dataclass(frozen=True)
class Wanted:
    """One answer: a row of a batch. `sampling.seed` is its own."""

    prompt: EncodedPrompt
    route: Route
    by: str  # who decides on the expert, in words
    sampling: Sampling
    max_new_tokens: int
    stops: tuple[str, ...] = ()
    ends: frozenset[int] = frozenset()  # tokens that end it, besides the end token
    num_logprobs: int | None = None
    trace: bool = False

    @property
    def size(self) -> int:
        """Tokens that prompt and answer may come to."""
        return len(self.prompt.input_ids) + self.max_new_tokens


@dataclass(frozen=True)
class Written:
    """A token of an answer; `start` is where its text begins in the answer's."""

    token_id: int
    start: int
    logprob: TokenLogprob | None
    # Who wrote it: one name, or with token gates one a layer (None: the base alone).
    experts: tuple[str | None, ...] | None


@dataclass(frozen=True)
class Begun:
    """The prompt has been read. None: the base answers, or token gates decide."""

    row: int
    choice: Choice | None


@dataclass(frozen=True)
class Wrote:
    row: int
    text: str
    tokens: tuple[Written, ...] = ()  # where probabilities or a trace were asked for


@dataclass(frozen=True)
class Ended:
    row: int
    num_tokens: int  # written; 0 where another server did not say
    finish_reason: Literal["stop", "length"]
    generation: Generation | None = None  # None where another server wrote it


@dataclass(frozen=True)
class Failed:
    """Nothing more comes, for any row of the request."""

    error: BaseException


Event = Begun | Wrote | Ended | Failed
