"""Which of several answers to one task is preferred to which: pure functions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from codemoe.evaluate.sandbox.records import NOT_COUNTED

PASS_OVER_FAIL = "pass over fail"
RIGHT_LANGUAGE = "right language over wrong"
SHORTER = "shorter of equals"
CAUSES = (PASS_OVER_FAIL, RIGHT_LANGUAGE, SHORTER)

# Why a task makes no pair.
ALL_PASS, NONE_PASSES = "all answers pass", "no answer passes"
ALL_SAME, NOT_JUDGED = "all answers are the same", "not judged"
WITHOUT_CONTRAST = (ALL_PASS, NONE_PASSES, ALL_SAME, NOT_JUDGED)


@dataclass(frozen=True)
class Candidate:
    """One answer: its text, how its tests ended, the language that it is in as far as that is sure,
    its length in tokens, and whether the model ended it."""

    text: str
    status: str
    language: str | None
    length: int
    finished: bool = True

    @property
    def passes(self) -> bool:
        return self.status == "pass"


@dataclass(frozen=True)
class Pair:
    chosen: Candidate
    rejected: Candidate
    cause: str


def make_pairs(
    answers: Sequence[Candidate], asked: str, most: int, shorter_by: float | None
) -> tuple[list[Pair], str | None]:
    """At most `most` pairs of one task's answers, or why there is none.

    Causes take turns, in their order. What is preferred has an end: one learns to stop from it.
    Answers that were given more often come first: what a model does most is what most needs to be
    told. `shorter_by` is the share of its tokens by which a passing answer must be shorter to be
    preferred to another passing one.
    """
    judged = [one for one in answers if one.status not in NOT_COUNTED]
    if not judged:
        return [], NOT_JUDGED
    ranked = _ranked(judged)
    if len(ranked) == 1:
        return [], ALL_SAME
    passing = [one for one in ranked if one.passes]
    whole = [one for one in passing if one.finished]
    foreign = [one for one in ranked if not one.passes and one.language not in (None, asked)]
    failing = [one for one in ranked if not one.passes and one not in foreign]
    # One that fails is at least in the language, if that is sure.
    native = whole or [one for one in failing if one.language == asked and one.finished]
    by_cause = (
        _cross(whole, failing, PASS_OVER_FAIL),
        _cross(native, foreign, RIGHT_LANGUAGE),
        _shorter(whole, passing, shorter_by),
    )
    turns = [pair for turn in zip_longest(*by_cause) for pair in turn if pair is not None]
    if turns:
        return turns[:most], None
    return [], ALL_PASS if passing else NONE_PASSES


def _ranked(answers: Sequence[Candidate]) -> list[Candidate]:
    """Different answers, the most frequent first, equals in the order they were given in.

    White space at line ends and around an answer makes no difference.
    """

    def key(one: Candidate) -> str:
        return "\n".join(line.rstrip() for line in one.text.strip().split("\n"))

    counts = Counter(map(key, answers))
    firsts: dict[str, Candidate] = {}
    for one in answers:
        firsts.setdefault(key(one), one)
    return [firsts[text] for text, _ in counts.most_common()]


def _cross(better: Sequence[Candidate], worse: Sequence[Candidate], cause: str) -> list[Pair]:
    """Every better and every worse answer at least once, as long as there are both."""
    if not better or not worse:
        return []
    length = max(len(better), len(worse))
    pairs = [Pair(better[i % len(better)], worse[i % len(worse)], cause) for i in range(length)]
    return list(dict.fromkeys(pairs))


def _shorter(
    whole: Sequence[Candidate], passing: Sequence[Candidate], by: float | None
) -> list[Pair]:
    """The shortest passing answer over the longest, if it is shorter by so much."""
    if by is None or not whole:
        return []
    short = min(whole, key=lambda one: one.length)
    long = max(passing, key=lambda one: one.length)
    return [Pair(short, long, SHORTER)] if short.length <= (1 - by) * long.length else []
