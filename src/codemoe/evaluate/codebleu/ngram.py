"""The two lexical parts of CodeBLEU: BLEU over code tokens, and the keyword-weighted recall.

Both are sentence scores over 1- to 4-grams, the geometric mean of the orders' ratios: of what the
prediction has, with a brevity penalty (BLEU, Papineni et al. 2002), or of what the reference has,
where brevity is punished already. A ratio without a match is smoothed to 0.1 / total
(method 1 of Chen and Cherry 2014 with epsilon 0.1, as CodeXGLUE does); without one matching
token the score is 0. Orders longer than the reference do not exist, so a reference of two tokens
against itself scores 1.
"""

import math
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise

import numpy as np
from numpy.typing import NDArray

from codemoe.evaluate.codebleu.counts import PairCounts

MAX_ORDER = 4
EPSILON = 0.1
KEYWORD_WEIGHT = 1.0
OTHER_WEIGHT = 0.2

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_ORDER_BITS = np.uint64(3)
_ONE, _TWO = np.uint64(1), np.uint64(2)


class Ngrams:
    """A program's tokens, and their sequences of two, three and four.

    A sequence is a number: a hash of 62 bits, and its order less two in the lowest two bits. Only
    whether two are equal counts, so it does not matter that Python hashes strings otherwise in
    every process.
    """

    __slots__ = ("_distinct", "_keywords", "length", "sequences", "tokens", "totals")

    def __init__(self, length: int, tokens: Counter[str], sequences: NDArray[np.uint64]) -> None:
        self.length = length  # tokens
        # How many n-grams of each order there are.
        self.totals = tuple([max(0, length - order) for order in range(MAX_ORDER)])
        self.tokens = tokens
        self.sequences = sequences  # sorted, each as often as it occurs
        self._distinct: Distinct | None = None
        self._keywords: tuple[Set[str], int] | None = None

    @property
    def distinct(self) -> "Distinct":
        """The different sequences: what is needed of a reference only, and of that again and
        again."""
        if self._distinct is None:
            every = self.sequences
            ends = np.append(np.flatnonzero(every[1:] != every[:-1]) + 1, len(every))
            counts = ends.copy()
            counts[1:] -= ends[:-1]
            values = every[ends - 1]
            self._distinct = Distinct(values, counts, (values & _ORDER_BITS).astype(np.int64))
        return self._distinct

    def count_of(self, keywords: Set[str]) -> int:
        """How many of the tokens are keywords."""
        if self._keywords is None or self._keywords[0] is not keywords:
            tokens = self.tokens
            self._keywords = keywords, sum([tokens[word] for word in keywords & tokens.keys()])
        return self._keywords[1]


@dataclass(frozen=True, slots=True, eq=False)
class Distinct:
    """Sorted sequences, how often each occurs, and its order less two."""

    values: NDArray[np.uint64]
    counts: NDArray[np.int64]
    orders: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class NgramMatches:
    """What a reference and a prediction share; each n-gram counts as often as in both."""

    by_order: tuple[int, ...]
    keywords: int  # of the shared tokens


def count_ngrams(tokens: Sequence[str]) -> Ngrams:
    """The n-grams of one program."""
    return count_ngrams_of([tokens])[0]


def count_ngrams_of(programs: Sequence[Sequence[str]]) -> list[Ngrams]:
    """The n-grams of each program."""
    bounds = list(accumulate([len(tokens) for tokens in programs], initial=0))
    every = map(hash, chain.from_iterable(programs))
    hashes = np.fromiter(every, np.int64, bounds[-1]).view(np.uint64) << _TWO
    two = hashes[:-1] * _FACTOR
    two += hashes[1:]
    three = two[:-1] * _FACTOR
    three += hashes[2:]
    four = three[:-1] * _FACTOR
    four += hashes[3:]
    three += _ONE
    four += _TWO
    counted = []
    for tokens, (start, end) in zip(programs, pairwise(bounds), strict=True):
        # Sequences that reach into the next program are none.
        parts = [row[start : max(start, end - n)] for n, row in enumerate((two, three, four), 1)]
        sequences = np.concatenate(parts)
        sequences.sort()
        counted.append(Ngrams(len(tokens), Counter(tokens), sequences))
    return counted


def match_ngrams(reference: Ngrams, prediction: Ngrams, keywords: Set[str]) -> NgramMatches:
    few, many = reference.tokens, prediction.tokens
    if len(few) > len(many):
        few, many = many, few
    first = shared = 0
    others_of = many.get
    for word, matches in few.items():
        others = others_of(word)
        if others:
            if others < matches:
                matches = others
            first += matches
            if word in keywords:
                shared += matches
    if not first:
        return NgramMatches((0,) * MAX_ORDER, 0)
    longer = [0] * (MAX_ORDER - 1)
    if len(reference.sequences) and len(prediction.sequences):
        distinct, every = reference.distinct, prediction.sequences
        times = every.searchsorted(distinct.values, "right")
        times -= every.searchsorted(distinct.values)
        np.minimum(times, distinct.counts, out=times)
        longer = [int(x) for x in np.bincount(distinct.orders, times, MAX_ORDER - 1).tolist()]
    return NgramMatches((first, *longer), shared)


def weights_of(ngrams: Ngrams, matches: NgramMatches, keywords: Set[str]) -> tuple[float, float]:
    """Weight of the shared tokens, and of all the reference's: keywords weigh 1, others 0.2."""
    extra = KEYWORD_WEIGHT - OTHER_WEIGHT
    return (
        OTHER_WEIGHT * matches.by_order[0] + extra * matches.keywords,
        OTHER_WEIGHT * ngrams.length + extra * ngrams.count_of(keywords),
    )


def ngram_match(counts: PairCounts) -> float:
    """BLEU of the prediction (clipped precision) in [0, 1]."""
    reference, prediction = counts.lengths
    if not counts.matches[0]:
        return 0.0
    penalty = min(1.0, math.exp(1 - reference / prediction))
    return penalty * _mean_ratio(counts.matches, counts.predicted, reference)


def weighted_ngram_match(counts: PairCounts) -> float:
    """Recall of the reference's n-grams in [0, 1]; among single tokens a keyword weighs 1, any
    other token 0.2 (arXiv:2009.10297 section 3.2; recall, as in the metric's first release).

    It is a recall: words after a complete answer do not lower it; `ngram_match` sees those.
    """
    return _mean_ratio(counts.weighted_matches, counts.weighted_wanted, counts.lengths[0])


def _mean_ratio(matches: Sequence[float], totals: Sequence[float], length: int) -> float:
    orders = min(MAX_ORDER, length)
    if not orders or not matches[0]:
        return 0.0
    log_mean = 0.0
    for match, total in zip(matches[:orders], totals[:orders], strict=True):
        # A prediction too short for an order has total 0 there: it counts as one miss.
        log_mean += math.log((match or EPSILON) / (total or 1)) / orders
    return math.exp(log_mean)
