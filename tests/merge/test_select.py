"""Exact selection: the same entries as a full sort would keep, for any blocks and any data.

Run with: pytest tests/merge/test_select.py
"""

from collections.abc import Iterator

import numpy as np
import pytest

from codemoe.merge.methods.select import Cut, cuts, keep_largest, magnitude_bits


def sorted_cut(values: np.ndarray, keep: int) -> np.ndarray:
    """Which entries stay, by the definition: a stable sort."""
    order = np.argsort(-np.abs(values), kind="stable")[:keep]
    kept = np.zeros_like(values)
    kept[order] = values[order]
    return kept


def streamed(values: np.ndarray, keep: int, block: int, spare: int = 1 << 23) -> np.ndarray:
    size = len(values)

    def blocks() -> Iterator[tuple[int, int]]:
        for first in range(0, size, block):
            yield first, min(first + block, size)

    (cut,) = cuts(lambda a, b: [magnitude_bits(values[a:b])], blocks, size, [keep], spare)
    cut, kept = Cut(cut.bits, cut.equal), values.copy()
    for first, last in blocks():
        part = kept[first:last]
        keep_largest(part, cut, np.empty(len(part), np.int32))
    return kept


def data(kind: str, size: int) -> np.ndarray:
    random = np.random.default_rng(0)
    normal = random.standard_normal(size, np.float32)
    if kind == "coarse":  # as differences of bfloat16 are: few values, many equal
        return np.round(normal * 2) / 2
    if kind == "sorted":  # short pieces from a few places say little of the rest
        return np.sort(normal)
    if kind == "one spike":  # all short pieces miss it
        values = np.full(size, 1e-3, np.float32)
        values[size // 3 : size // 3 + size // 50] = normal[: size // 50] + 10
        return values
    if kind == "zeros":
        return np.zeros(size, np.float32)
    return normal


@pytest.mark.parametrize("kind", ["normal", "coarse", "sorted", "one spike", "zeros"])
@pytest.mark.parametrize("share", [0.0, 1e-5, 0.01, 0.37, 0.5, 0.999, 1.0])
def test_what_a_sort_would_keep(kind: str, share: float) -> None:
    values = data(kind, 200_003)
    keep = int(share * len(values))
    assert np.array_equal(streamed(values, keep, 10_007), sorted_cut(values, keep))


@pytest.mark.parametrize("kind", ["normal", "coarse", "one spike"])
def test_without_memory_to_spare_the_histograms_say_the_same(kind: str) -> None:
    values = data(kind, 150_000)
    assert np.array_equal(streamed(values, 60_001, 4096, spare=10), sorted_cut(values, 60_001))


def test_an_off_by_one_cut_is_seen() -> None:
    """The wrong twin of the tests above."""
    values = data("coarse", 70_000)
    assert not np.array_equal(streamed(values, 30_000, 4096), sorted_cut(values, 30_001))


@pytest.mark.parametrize("size", [1, 2, 65_536, 65_537])
def test_small_sizes(size: int) -> None:
    values = data("normal", size)
    for keep in {1, size // 2, size}:
        assert np.array_equal(streamed(values, keep, 777), sorted_cut(values, keep))
