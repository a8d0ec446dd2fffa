"""The package's scores of one pair, and of a corpus that it is given at once.

A corpus score is that of the pooled counts. It is not the mean of the pairs' scores; published
tables mix the two, and they differ by several points.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codemoe.evaluate.codebleu.compat.dataflow_rules import FLOW_RULES
from codemoe.evaluate.codebleu.compat.keywords import KEYWORDS
from codemoe.evaluate.codebleu.compat.program import CompatProgram
from codemoe.evaluate.codebleu.counting import clipped_matches
from codemoe.evaluate.codebleu.ngram import (
    EPSILON,
    KEYWORD_WEIGHT,
    MAX_ORDER,
    OTHER_WEIGHT,
    match_ngrams,
)

PACKAGE_LANGUAGES = frozenset(FLOW_RULES)


@dataclass(frozen=True, slots=True)
class CompatCounts:
    """Numerators and denominators of a pair; those of several pairs add up to a corpus."""

    lengths: tuple[int, int]  # tokens of reference and prediction
    matches: tuple[float, ...]  # n-grams in both, by order
    predicted: tuple[float, ...]  # n-grams of the prediction, at least 1
    weighted_matches: tuple[float, ...]
    weighted_wanted: tuple[float, ...]
    subtrees: tuple[int, int]  # matched, of
    flow: tuple[int, int]


def count_pair(reference: CompatProgram, prediction: CompatProgram) -> CompatCounts:
    keywords = KEYWORDS[reference.language]
    wanted, found = reference.ngrams, prediction.ngrams
    shared = match_ngrams(wanted, found, keywords)
    extra = KEYWORD_WEIGHT - OTHER_WEIGHT
    of_keywords = sum(wanted.tokens[word] for word in keywords & wanted.tokens.keys())
    first = OTHER_WEIGHT * shared.by_order[0] + extra * shared.keywords
    total = OTHER_WEIGHT * wanted.length + extra * of_keywords
    known = prediction.subtrees
    return CompatCounts(
        (wanted.length, found.length),
        shared.by_order,
        tuple([max(1, count) for count in found.totals]),
        (first, *shared.by_order[1:]),
        (max(1.0, total), *[max(1, count) for count in wanted.totals[1:]]),
        (
            # Any number of a shape in the prediction matches any number in the reference.
            sum(count for shape, count in reference.subtrees.items() if shape in known),
            reference.subtrees.total(),
        ),
        (clipped_matches(reference.flow, prediction.flow), reference.flow.total()),
    )


def compat_scores(counts: Iterable[CompatCounts]) -> tuple[float, float, float, float]:
    """n-gram, weighted n-gram, syntax and data-flow match of the pooled counts of pairs."""
    pairs = list(counts)
    lengths = [sum(pair.lengths[side] for pair in pairs) for side in (0, 1)]
    pooled = [
        [sum(values) for values in zip(*columns, strict=True)]
        for columns in (
            [pair.matches for pair in pairs],
            [pair.predicted for pair in pairs],
            [pair.weighted_matches for pair in pairs],
            [pair.weighted_wanted for pair in pairs],
            [pair.subtrees for pair in pairs],
            [pair.flow for pair in pairs],
        )
    ]
    matched, subtrees = pooled[4]
    flowing, flow = pooled[5]
    return (
        _bleu(pooled[0], pooled[1], *lengths),
        # The package takes the length of the pair (tokens, weights) for that of the reference.
        _bleu(pooled[2], pooled[3], 2 * len(pairs), lengths[1]),
        matched / subtrees,
        flowing / flow if flow else 0.0,
    )


def _bleu(
    matches: Sequence[float], totals: Sequence[float], reference_length: int, length: int
) -> float:
    """All four orders always count; one without a match counts as 0.1 (unlike `ngram._bleu`,
    which knows no orders longer than the reference)."""
    if not matches[0] or not length:
        return 0.0
    logs = [
        math.log((match or EPSILON) / total) / MAX_ORDER
        for match, total in zip(matches, totals, strict=True)
    ]
    penalty = 1.0 if length > reference_length else math.exp(1 - reference_length / length)
    return penalty * math.exp(math.fsum(logs))
