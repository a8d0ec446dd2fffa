"""How a caller wants prompts routed, and what was decided."""

from dataclasses import dataclass
from typing import Literal

RouteBy = Literal["none", "sequence", "token", "named"]


@dataclass(frozen=True)
class Route:
    """How experts are chosen: not at all, by the sequence router, by token gates, or by name."""

    by: RouteBy
    experts: tuple[str, ...] = ()  # one a prompt, for `named`
    activation: str | None = None  # all | completion; the mixture's own when None
    # A fenced block that opens in another language is that language's expert's, until it closes.
    follow_fences: bool = False


@dataclass(frozen=True)
class Choice:
    """What the sequence router (or the caller) decided for one prompt."""

    expert: str
    confidence: float
    probabilities: dict[str, float]


@dataclass(frozen=True)
class HandOver:
    """From this token of the answer on, another expert writes."""

    token: int
    expert: str


def named(experts: tuple[str, ...]) -> list[Choice]:
    """The choices of a caller who names the experts."""
    return [Choice(name, 1.0, {name: 1.0}) for name in experts]
