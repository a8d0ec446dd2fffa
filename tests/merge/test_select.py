"""Exact selection: the same entries as a full sort would keep, for any blocks and any data.

Run with: pytest tests/merge/test_select.py
"""

from collections.abc import Iterator

import numpy as np
import pytest

from codemoe.merge.methods.select import Cut, cuts, keep_largest


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

    (cut,) = cuts(lambda a, b: values[None, a:b], blocks, size, [keep], spare)
    cut, kept = Cut(cut.bits, cut.equal), values.copy()
    for first, last in blocks():
        part = kept[None, first:last]
        keep_largest(part, [cut], np.empty(part.shape, np.int32))
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


@pytest.mark.parametrize("spare", [1 << 23, 10])
def test_models_side_by_side_are_cut_each_for_itself(spare: int) -> None:
    """What one has inside its bracket, or more of than fits, is nothing to the others."""
    kinds = ["normal", "coarse", "one spike", "zeros", "sorted"]
    size, keep = 150_000, [60_001, 75_000, 150_000, 10_000, 0]
    values_MB = np.stack([data(kind, size) for kind in kinds])

    def blocks() -> Iterator[tuple[int, int]]:
        for first in range(0, size, 4096):
            yield first, min(first + 4096, size)

    found = cuts(lambda a, b: np.ascontiguousarray(values_MB[:, a:b]), blocks, size, keep, spare)
    kept_MB = values_MB.copy()
    for first, last in blocks():
        part = np.ascontiguousarray(kept_MB[:, first:last])
        keep_largest(part, found, np.empty(part.shape, np.int32))
        kept_MB[:, first:last] = part
    for kept, values, count in zip(kept_MB, values_MB, keep, strict=True):
        assert np.array_equal(kept, sorted_cut(values, count))
