"""Intervals and estimators: how sure a number is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from codemoe.errors import UserError

RESAMPLES = 2000
_CELLS_AT_ONCE = 1 << 16  # resampled indices (8 bytes each): they stay in the cache


@dataclass(frozen=True)
class PairedBootstrap:
    """Mean of a - b over the same samples, its interval, and the two-sided p of no difference."""

    difference: float
    interval: tuple[float, float]
    p: float


def bootstrap_interval(
    values: ArrayLike, level: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` (n,), the same for the same seed.

    Raises UserError for no values; one value gives an interval of width 0.
    """
    means = _resampled_means(_sample(values), resamples, seed)
    return _percentiles(means, level)


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> PairedBootstrap:
    """Compare two systems on the same n samples: a[i] and b[i] belong to one problem.

    p is twice the share of resamples on the far side of 0, counted with one more on each side
    so that it is never 0 (Davison and Hinkley 1997, section 4.2), and at most 1. Two problems that
    fell alike are resampled alike; so it is never less than the sign test's 2 / 2**n, either.
    """
    first, second = _sample(a), _sample(b)
    if first.shape != second.shape:
        raise UserError(f"{len(first)} and {len(second)} values; paired samples need as many")
    differences = first - second
    means = _resampled_means(differences, resamples, seed)
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, max(2 * (tail + 1) / (resamples + 1), 2.0 ** (1 - len(first))))
    return PairedBootstrap(float(differences.mean()), _percentiles(means, level), p)


def share_interval(share: float, n: int) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a share of n answers; unlike a bootstrap, none of 50 is not none.

    E. B. Wilson, Journal of the American Statistical Association 22 (1927), 209-212.
    """
    if n < 1:
        return None
    z = _SURE
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    low, high = max(0.0, float(middle - half)), min(1.0, float(middle + half))
    # Exactly, and not but for rounding.
    return (0.0 if share == 0 else low), (1.0 if share == 1 else high)


_SURE, _POWER = 1.959964, 0.841621  # normal quantiles of 97.5 % and 80 %


def detectable_difference(
    n: int, *, share: float | None = None, spread: float | None = None
) -> float:
    """The smallest true difference of two systems that n problems show with 80 % power at 5 %.

    (z_0.975 + z_0.8) * spread / sqrt(n), where `spread` is the standard deviation of the paired
    differences. Before a second system is known, `share` (what the first one passes) stands for
    it: sqrt(2 p (1 - p)), as if the two were independent, with Wilson's centre for p so that a
    suite of which nothing passes is not taken for a sure one.
    """
    if n < 1:
        raise UserError("no problems: there is nothing to compare")
    if spread is None:
        if share is None:
            raise ValueError("give share or spread")
        centre = (share * n + _SURE**2 / 2) / (n + _SURE**2)
        spread = float(np.sqrt(2 * centre * (1 - centre)))
    return float((_SURE + _POWER) * spread / np.sqrt(n))


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that one of k programs passes, from n samples of which c passed.

    The unbiased estimator 1 - C(n-c, k) / C(n, k) of arXiv:2107.03374, as its product form:
    no large binomials.
    """
    if not 0 <= c <= n:
        raise ValueError(f"{c} of {n} samples passed")
    if not 1 <= k <= n:
        raise UserError(
            f"pass@{k} of {n} samples per problem; k is at least 1 and at most the samples",
            f"use k from 1 to {n}, or draw more samples",
        )
    if n - c < k:
        return 1.0
    return 1.0 - float(np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not sample.size:
        raise UserError("no values: an interval needs at least one sample")
    return sample


def _resampled_means(sample: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    rows = max(1, _CELLS_AT_ONCE // sample.size)
    chunks = []
    for start in range(0, resamples, rows):
        shape = (min(rows, resamples - start), sample.size)
        chunks.append(sample.take(generator.integers(0, sample.size, shape)).mean(axis=1))
    return np.concatenate(chunks)


def _percentiles(means: Sequence[float] | NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
