"""Whose answer a reference is compared with for the wrong-answer floor: one to another problem.

Rows of one language and one reference are answers to the same problem, as where a model answered
each problem several times; they never stand in for each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

MOST_WAITING = 32  # pairs of a language that are kept until another problem is seen


@dataclass(frozen=True, slots=True)
class Pair:
    """One row; `language` is a canonical name."""

    language: str
    reference: str
    prediction: str


def partners_of(pairs: Sequence[Pair]) -> list[int | None]:
    """For each pair another one of its language whose reference is another; None: there is none.

    Every one is a partner once, where no problem has more than half of its language's pairs. The
    order is shuffled with a fixed seed first: neighbours in a file are often alike.
    """
    partners: list[int | None] = [None] * len(pairs)
    by_language: dict[str, list[int]] = {}
    for at, pair in enumerate(pairs):
        by_language.setdefault(pair.language, []).append(at)
    for members in by_language.values():
        Random(0).shuffle(members)
        problems: dict[str, list[int]] = {}
        for at in members:
            problems.setdefault(pairs[at].reference, []).append(at)
        if len(problems) == 1:
            continue
        groups = sorted(problems.values(), key=len, reverse=True)
        largest = len(groups[0])
        order = [at for group in groups for at in group]
        # A step as wide as the largest problem leaves every other one, too.
        others = order[largest:] + order[:largest]
        if 2 * largest > len(order):
            others = [order[largest + at % (len(order) - largest)] for at in range(largest)]
            others += order[:largest]
        for at, other in zip(order, others, strict=False):
            partners[at] = other
    return partners


class Strangers:
    """Answers from elsewhere in a file, for pairs that have no partner in their part of it."""

    def __init__(self) -> None:
        self._known: dict[str, list[Pair]] = {}  # language -> the newest of two problems
        self._waiting: dict[str, list[Pair]] = {}

    def answer_for(self, pair: Pair) -> str | None:
        """The newest answer to another problem, of the pairs seen before."""
        for known in self._known.get(pair.language, ()):
            if known.reference != pair.reference:
                return known.prediction
        return None

    def wait(self, pair: Pair) -> None:
        """Keep a pair that nothing was found for, until something is."""
        waiting = self._waiting.setdefault(pair.language, [])
        if len(waiting) < MOST_WAITING:
            waiting.append(pair)

    def see(self, pairs: Sequence[Pair]) -> Iterator[tuple[list[Pair], str]]:
        """Remember pairs; yield those that wait no longer, and an answer to compare them with."""
        for pair in pairs:
            known = self._known.setdefault(pair.language, [])
            other = [one for one in known if one.reference != pair.reference]
            self._known[pair.language] = [pair, *other[:1]]
        for language, waiting in list(self._waiting.items()):
            answer = self.answer_for(waiting[0])  # all of one problem: one of two would know
            if answer is not None:
                del self._waiting[language]
                yield waiting, answer
