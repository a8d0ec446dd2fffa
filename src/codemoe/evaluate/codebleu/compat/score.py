"""The package's scores of one pair, and of a corpus that it is given at once.

A corpus score is that of the pooled counts. It is not the mean of the pairs' scores; published
tables mix the two, and they differ by several points.
"""

import math
from collections.abc import Sequence

from codemoe.evaluate.codebleu.compat.dataflow_rules import FLOW_RULES
from codemoe.evaluate.codebleu.compat.keywords import KEYWORDS
from codemoe.evaluate.codebleu.compat.program import CompatProgram
from codemoe.evaluate.codebleu.counting import clipped_matches
from codemoe.evaluate.codebleu.counts import PairCounts
from codemoe.evaluate.codebleu.ngram import EPSILON, MAX_ORDER, match_ngrams, weights_of
from codemoe.evaluate.codebleu.record import EQUAL_WEIGHTS, CodeBleu, Weights

PACKAGE_LANGUAGES = frozenset(FLOW_RULES)


def count_pair(reference: CompatProgram, prediction: CompatProgram) -> PairCounts:
    ngrams, found = reference.ngrams, prediction.ngrams
    keywords = KEYWORDS[reference.language]
    shared = match_ngrams(ngrams, found, keywords)
    weight, weight_wanted = weights_of(ngrams, shared, keywords)
    wanted, known = reference.subtrees, prediction.subtrees
    return PairCounts(
        (ngrams.length, found.length),
        shared.by_order,
        tuple([max(1, count) for count in found.totals]),
        (weight, *shared.by_order[1:]),
        (max(1.0, weight_wanted), *[max(1, count) for count in ngrams.totals[1:]]),
        (
            # Any number of a shape in the prediction matches any number in the reference.
            sum([count for shape, count in wanted.items() if shape in known]),
            wanted.total(),
        ),
        (clipped_matches(reference.flow, prediction.flow), reference.flow.total()),
    )


def compat_score(
    counts: PairCounts, weights: Weights = EQUAL_WEIGHTS, *, mended: bool = False
) -> CodeBleu:
    """The package's score of a pair, or of a corpus from the sum of its pairs' counts.

    It gives a data flow without any match the full weight (`dataflow or 1`); `mended` does not.
    """
    matched, subtrees = counts.subtrees
    flowing, flow = counts.flow or (0, 0)
    reference, prediction = counts.lengths
    parts = (
        _bleu(counts.matches, counts.predicted, reference, prediction),
        # The package takes the length of the pair (tokens, weights) for that of the reference.
        _bleu(counts.weighted_matches, counts.weighted_wanted, 2 * counts.pairs, prediction),
        matched / subtrees,
        flowing / flow if flow else 0.0,
    )
    credited = (*parts[:3], parts[3] if mended else parts[3] or 1.0)
    total = sum(weight * part for weight, part in zip(weights, credited, strict=True))
    return CodeBleu(total, *parts)


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
