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

import numpy as np
from numpy.typing import NDArray

from codemoe.evaluate.codebleu.counting import clipped_matches
from codemoe.evaluate.codebleu.counts import PairCounts

MAX_ORDER = 4
EPSILON = 0.1
KEYWORD_WEIGHT = 1.0
OTHER_WEIGHT = 0.2

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_ORDER_BITS = np.uint64(3)


@dataclass(frozen=True, slots=True)
class Ngrams:
    """Counts of a program's tokens, and of their sequences of two, three and four.

    A sequence is a number: a hash of 62 bits, and its order less two in the lowest two bits. Only
    whether two are equal counts, so it does not matter that Python hashes strings otherwise in
    every process.
    """

    length: int  # tokens
    tokens: Counter[str]
    longer: NDArray[np.uint64]  # the different sequences, sorted
    counts: NDArray[np.int64]  # how often each occurs

    @property
    def totals(self) -> tuple[int, ...]:
        """How many n-grams of each order there are."""
        return tuple([max(0, self.length - order) for order in range(MAX_ORDER)])


@dataclass(frozen=True, slots=True)
class NgramMatches:
    """What a reference and a prediction share; each n-gram counts as often as in both."""

    by_order: tuple[int, ...]
    keywords: int  # of the shared tokens


def count_ngrams(tokens: Sequence[str]) -> Ngrams:
    hashes = np.fromiter(map(hash, tokens), np.int64, len(tokens)).view(np.uint64)
    sequences = hashes
    parts = []
    for order in range(2, MAX_ORDER + 1):
        sequences = sequences[:-1] * _FACTOR + hashes[order - 1 :]
        parts.append(sequences & ~_ORDER_BITS | np.uint64(order - 2))
    every = np.concatenate(parts)
    every.sort()
    is_first = np.ones(len(every), dtype=bool)
    np.not_equal(every[1:], every[:-1], out=is_first[1:])
    starts = np.flatnonzero(is_first)
    counts = np.diff(starts, append=len(every))
    return Ngrams(len(tokens), Counter(tokens), every[starts], counts)


def match_ngrams(reference: Ngrams, prediction: Ngrams, keywords: Set[str]) -> NgramMatches:
    wanted, found = reference.tokens, prediction.tokens
    first = clipped_matches(wanted, found)
    if not first:
        return NgramMatches((0,) * MAX_ORDER, 0)
    shared = sum(min(wanted[word], found[word]) for word in keywords & wanted.keys())
    longer = [0] * (MAX_ORDER - 1)
    if len(reference.longer) and len(prediction.longer):
        at = np.searchsorted(prediction.longer, reference.longer)
        at[at == len(prediction.longer)] = 0
        both = prediction.longer[at] == reference.longer
        matches = np.minimum(reference.counts, prediction.counts[at])[both]
        orders = (reference.longer[both] & _ORDER_BITS).astype(np.int64)
        longer = np.bincount(orders, matches, MAX_ORDER - 1).astype(int).tolist()
    return NgramMatches((first, *longer), shared)


def weights_of(ngrams: Ngrams, matches: NgramMatches, keywords: Set[str]) -> tuple[float, float]:
    """Weight of the shared tokens, and of all the reference's: keywords weigh 1, others 0.2."""
    wanted = ngrams.tokens
    of_keywords = sum(wanted[word] for word in keywords & wanted.keys())
    extra = KEYWORD_WEIGHT - OTHER_WEIGHT
    return (
        OTHER_WEIGHT * matches.by_order[0] + extra * matches.keywords,
        OTHER_WEIGHT * ngrams.length + extra * of_keywords,
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
