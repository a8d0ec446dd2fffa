import math
from itertools import combinations

import numpy as np
import pytest

from codemoe.errors import UserError
from codemoe.evaluate.pass_at_k import mean_interval
from codemoe.evaluate.statistics import (
    bootstrap_interval,
    detectable_difference,
    paired_bootstrap,
    pass_at_k,
)


def test_interval_is_near_the_normal_one() -> None:
    values = np.random.default_rng(3).normal(0.4, 0.2, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std() / math.sqrt(400)
    assert low == pytest.approx(values.mean() - half, abs=0.002)
    assert high == pytest.approx(values.mean() + half, abs=0.002)
    narrow = bootstrap_interval(values, level=0.5)
    assert low < narrow[0] < values.mean() < narrow[1] < high


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    intervals = [bootstrap_interval(rng.exponential(1.0, 60), resamples=400) for _ in range(200)]
    assert 0.88 <= np.mean([low <= 1.0 <= high for low, high in intervals]) <= 0.99


def test_interval_is_repeatable_and_memory_bounded() -> None:
    values = np.random.default_rng(0).random(5_000)
    assert bootstrap_interval(values) == bootstrap_interval(list(values))
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)


def test_interval_edges() -> None:
    assert bootstrap_interval([0.3]) == (0.3, 0.3)
    with pytest.raises(UserError, match="at least one"):
        bootstrap_interval([])


def test_paired_bootstrap_sees_what_pairs_share() -> None:
    rng = np.random.default_rng(1)
    difficulty = rng.random(200)
    a = difficulty + rng.normal(0.02, 0.05, 200)
    better = paired_bootstrap(a, difficulty)
    assert better.difference == pytest.approx((a - difficulty).mean())
    assert 0 < better.interval[0] < better.difference < better.interval[1]
    assert better.p < 0.01
    # The unpaired intervals overlap widely: the spread of difficulty hides the gain.
    assert bootstrap_interval(a)[0] < bootstrap_interval(difficulty)[1]
    worse = paired_bootstrap(difficulty, a)
    assert worse.difference == -better.difference
    assert worse.p == better.p


def test_paired_bootstrap_edges() -> None:
    same = paired_bootstrap([0.1, 0.9], [0.1, 0.9])
    assert (same.difference, same.interval, same.p) == (0.0, (0.0, 0.0), 1.0)
    noise = np.random.default_rng(2).normal(0, 1, 100)
    assert paired_bootstrap(noise - noise.mean(), np.zeros(100)).p > 0.5
    with pytest.raises(UserError, match="2 and 3 values"):
        paired_bootstrap([1, 2], [1, 2, 3])


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_pass_at_k_counts_all_draws(n: int) -> None:
    for c in range(n + 1):
        for k in range(1, n + 1):
            draws = list(combinations([True] * c + [False] * (n - c), k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_is_stable_for_many_samples() -> None:
    exact = 1 - math.comb(9_900, 100) / math.comb(10_000, 100)
    assert pass_at_k(10_000, 100, 100) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(("n", "k"), [(5, 6), (5, 0), (5, -1)])
def test_pass_at_k_refuses_other_k(n: int, k: int) -> None:
    with pytest.raises(UserError, match=f"pass@{k}"):
        pass_at_k(n, 2, k)


def test_pass_at_k_refuses_impossible_counts() -> None:
    with pytest.raises(ValueError, match="6 of 5"):
        pass_at_k(5, 6, 1)


@pytest.mark.parametrize(("n", "p"), [(1, 1.0), (2, 0.5), (6, 1 / 32), (40, 2 / 2001)])
def test_few_pairs_prove_nothing(n: int, p: float) -> None:
    found = paired_bootstrap([1.0] * n, [0.0] * n)
    assert found.difference == 1.0
    assert found.p == pytest.approx(p)


def test_a_detectable_difference_is_detected_four_times_in_five() -> None:
    rng = np.random.default_rng(11)
    n, spread = 100, 0.4
    least = detectable_difference(n, spread=spread)
    assert least == pytest.approx(2.8016 * 0.4 / 10, rel=1e-3)

    def power(true: float) -> float:
        means = rng.normal(true, spread, (4000, n)).mean(axis=1)
        return float((np.abs(means) > 1.96 * spread / math.sqrt(n)).mean())

    assert power(least) == pytest.approx(0.8, abs=0.03)
    assert power(least / 2) < 0.4


def test_a_detectable_difference_of_a_suite_nothing_passes_is_not_zero() -> None:
    assert detectable_difference(164, share=0.5) == pytest.approx(0.1547, abs=1e-3)
    assert 0.02 < detectable_difference(164, share=0.0) < 0.05
    assert detectable_difference(10, share=0.0) > 0.4
    with pytest.raises(UserError):
        detectable_difference(0, share=0.5)


def test_mean_interval_of_shares_and_of_estimates() -> None:
    assert mean_interval([]) is None
    none = mean_interval([0.0] * 50)
    assert none is not None
    assert none[0] == 0.0
    assert none[1] == pytest.approx(0.0713, abs=1e-3)  # Wilson; a bootstrap would say 0
    alike = mean_interval([2 / 3] * 3)
    assert alike is not None
    assert alike[0] < 0.3
    assert alike[1] > 0.9
    mixed = mean_interval([0.5, 0.25, 0.0, 1.0] * 10)
    assert mixed is not None
    assert mixed == bootstrap_interval([0.5, 0.25, 0.0, 1.0] * 10)
