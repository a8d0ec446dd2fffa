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

from codemoe.evaluate.codebleu.counting import clipped_matches
from codemoe.evaluate.codebleu.counts import PairCounts

MAX_ORDER = 4
EPSILON = 0.1
KEYWORD_WEIGHT = 1.0
OTHER_WEIGHT = 0.2


@dataclass(frozen=True, slots=True)
class Ngrams:
    """Counts of a program's tokens, and of their sequences of two, three and four."""

    length: int  # tokens
    tokens: Counter[str]
    longer: tuple[Counter[tuple[str, ...]], ...]

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
    starts = [tokens[start:] for start in range(MAX_ORDER)]
    longer = tuple(Counter(zip(*starts[:order], strict=False)) for order in range(2, MAX_ORDER + 1))
    return Ngrams(len(tokens), Counter(tokens), longer)


def match_ngrams(reference: Ngrams, prediction: Ngrams, keywords: Set[str]) -> NgramMatches:
    by_order = [clipped_matches(reference.tokens, prediction.tokens)]
    if by_order[0]:
        by_order += map(clipped_matches, reference.longer, prediction.longer)
    wanted, found = reference.tokens, prediction.tokens
    shared = sum(min(wanted[word], found[word]) for word in keywords & wanted.keys())
    return NgramMatches((*by_order, *[0] * (MAX_ORDER - len(by_order))), shared)


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
