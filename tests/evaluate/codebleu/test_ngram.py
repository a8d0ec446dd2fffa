import math

import pytest

from codemoe.evaluate.codebleu.counts import PairCounts
from codemoe.evaluate.codebleu.ngram import (
    count_ngrams,
    match_ngrams,
    ngram_match,
    weighted_ngram_match,
    weights_of,
)


def counts(reference: str, prediction: str, keywords: set[str]) -> PairCounts:
    r, p = count_ngrams(reference.split()), count_ngrams(prediction.split())
    shared = match_ngrams(r, p, keywords)
    weight, wanted = weights_of(r, shared, keywords)
    return PairCounts(
        (r.length, p.length),
        shared.by_order,
        p.totals,
        (weight, *shared.by_order[1:]),
        (wanted, *r.totals[1:]),
        (0, 0),
        None,
    )


def bleu(reference: str, prediction: str) -> float:
    return ngram_match(counts(reference, prediction, set()))


def weighted(reference: str, prediction: str, keywords: set[str]) -> float:
    return weighted_ngram_match(counts(reference, prediction, keywords))


@pytest.mark.parametrize("text", ["a", "a b", "a b c", "a b c d", "a a a a a a", "a b c d e f"])
def test_identity_is_one_at_any_length(text: str) -> None:
    assert bleu(text, text) == pytest.approx(1.0, abs=1e-12)
    assert weighted(text, text, {"a"}) == pytest.approx(1.0, abs=1e-12)


def test_by_hand() -> None:
    # Matches of 1- to 4-grams: 4/5, 3/4, 2/3, 1/2; equal lengths, so no brevity penalty.
    assert bleu("a b c d e", "a b c d x") == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 / 2) ** 0.25)


def test_brevity_penalty() -> None:
    # All n-grams of the prediction match; 4 tokens for 6.
    assert bleu("a b c d e f", "a b c d") == pytest.approx(math.exp(1 - 6 / 4))


def test_smoothing() -> None:
    # 4/4, then 0 of 3, 2, 1 smoothed to 0.1 of them.
    expected = (1 * 0.1 / 3 * 0.1 / 2 * 0.1) ** 0.25
    assert bleu("a b c d", "d c b a") == pytest.approx(expected)


def test_counts_are_clipped() -> None:
    # "a" occurs once in the reference: one of four matches; no order above matches.
    assert bleu("a b c d", "a a a a") == pytest.approx((1 / 4 * 0.1 / 3 * 0.1 / 2 * 0.1) ** 0.25)


@pytest.mark.parametrize("prediction", ["", "x y z", "1 2 3 4"])
def test_nothing_in_common_is_zero(prediction: str) -> None:
    assert bleu("a b c d", prediction) == 0.0
    assert weighted("a b c d", prediction, {"a"}) == 0.0


def test_keywords_weigh_five_times_as_much() -> None:
    # Single tokens only (reference of one order at a time is 2 tokens long): recall of
    # "return" (weight 1) and "x" (0.2), and 0.1/1 for the missing pair.
    assert weighted("return x", "return y", {"return"}) == pytest.approx((1 / 1.2 * 0.1) ** 0.5)
    assert weighted("return x", "give x", {"return"}) == pytest.approx((0.2 / 1.2 * 0.1) ** 0.5)


def test_weighted_is_a_recall() -> None:
    assert weighted("a b c d", "a b c d e f g h", set()) == pytest.approx(1.0)
    assert bleu("a b c d", "a b c d e f g h") < 0.6
