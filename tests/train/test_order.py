"""The planned order of samples and the drawn activations."""

from collections import Counter

import pytest

from codemoe.train.activation import COMPLETION_SHARE, draw_activation
from codemoe.train.order import plan_batches


def test_every_sample_once_an_epoch() -> None:
    batches = plan_batches(list(range(40)), batch_size=4, num_batches=30, seed=0)
    assert [len(batch) for batch in batches] == [4] * 30
    counts = Counter(i for batch in batches for i in batch)
    assert set(counts.values()) == {3}


def test_the_same_seed_is_the_same_order() -> None:
    lengths = [7, 3, 9, 1, 4, 8, 2, 6, 5]
    assert plan_batches(lengths, 2, 20, 1) == plan_batches(lengths, 2, 20, 1)
    assert plan_batches(lengths, 2, 20, 1) != plan_batches(lengths, 2, 20, 2)


def test_batches_hold_samples_of_similar_length() -> None:
    lengths = [(i * 37) % 400 for i in range(400)]
    batches = plan_batches(lengths, 8, 50, 0)
    padded = sum(8 * max(lengths[i] for i in batch) for batch in batches)
    useful = sum(lengths[i] for batch in batches for i in batch)
    assert useful / padded > 0.9
    assert max(batches[0]) != min(batches[0])


def test_both_draws_both_ways() -> None:
    drawn = Counter(draw_activation("both", i, 0) for i in range(200))
    assert set(drawn) == {"all", "completion"}
    assert drawn["completion"] / 200 == pytest.approx(COMPLETION_SHARE, abs=0.1)
    assert draw_activation("both", 3, 0) == draw_activation("both", 3, 0)
    assert {draw_activation("all", i, 0) for i in range(20)} == {"all"}
