"""The two lexical parts of CodeBLEU: BLEU over code tokens, and the keyword-weighted recall.

Both are sentence scores over 1- to 4-grams: brevity penalty times the geometric mean of the
orders' ratios (BLEU, Papineni et al. 2002). A ratio without a match is smoothed to 0.1 / total
(method 1 of Chen and Cherry 2014 with epsilon 0.1, as CodeXGLUE does); without one matching
token the score is 0. Orders longer than the reference do not exist, so a reference of two tokens
against itself scores 1.
"""

import math
from collections import Counter
from collections.abc import Collection, Sequence

from codemoe.evaluate.codebleu.counting import clipped_matches

MAX_ORDER = 4
EPSILON = 0.1
KEYWORD_WEIGHT = 1.0
OTHER_WEIGHT = 0.2

Ngrams = tuple[Counter[tuple[str, ...]], ...]


def count_ngrams(tokens: Sequence[str]) -> Ngrams:
    """Counts of the 1- to 4-grams of a token sequence."""
    return tuple(
        Counter(zip(*(tokens[start:] for start in range(order)), strict=False))
        for order in range(1, MAX_ORDER + 1)
    )


def ngram_match(reference: Ngrams, prediction: Ngrams) -> float:
    """BLEU of the prediction (clipped precision) in [0, 1]."""
    matches: list[float] = [
        clipped_matches(r, p) for r, p in zip(reference, prediction, strict=True)
    ]
    totals: list[float] = [p.total() for p in prediction]
    return _bleu(matches, totals, reference[0].total(), prediction[0].total())


def weighted_ngram_match(reference: Ngrams, prediction: Ngrams, keywords: Collection[str]) -> float:
    """Recall of the reference's n-grams in [0, 1]; among single tokens a keyword weighs 1, any
    other token 0.2 (arXiv:2009.10297 section 3.2; recall and the brevity penalty as in CodeXGLUE).

    It is a recall: words after a complete answer do not lower it; `ngram_match` sees those.
    """
    matches: list[float] = [
        clipped_matches(r, p) for r, p in zip(reference, prediction, strict=True)
    ]
    totals: list[float] = [r.total() for r in reference]
    if matches[0]:
        found, wanted = prediction[0], reference[0]
        weight = {t: KEYWORD_WEIGHT if t[0] in keywords else OTHER_WEIGHT for t in wanted}
        # Summed in one fixed order (the reference's), so that no bit depends on the process.
        matches[0] = sum(weight[t] * min(n, found.get(t, 0)) for t, n in wanted.items())
        totals[0] = sum(weight[t] * n for t, n in wanted.items())
    return _bleu(matches, totals, reference[0].total(), prediction[0].total())


def _bleu(
    matches: Sequence[float], totals: Sequence[float], reference_length: int, length: int
) -> float:
    orders = min(MAX_ORDER, reference_length)
    if not orders or not matches[0]:
        return 0.0
    log_mean = 0.0
    for match, total in zip(matches[:orders], totals[:orders], strict=True):
        # A prediction too short for an order has total 0 there: it counts as one miss.
        log_mean += math.log((match or EPSILON) / (total or 1)) / orders
    log_penalty = min(0.0, 1 - reference_length / length)
    return math.exp(log_penalty + log_mean)
