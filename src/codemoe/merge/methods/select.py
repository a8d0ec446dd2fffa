"""The k largest of a tensor that does not fit into memory: exact, in two readings as a rule.

The first reading takes a few short pieces from all over the tensor and brackets the k-th largest
between two of their values (Floyd and Rivest, CACM 18(3), 1975). The second counts what lies above
the bracket and keeps what lies inside, some per cent; the answer is exact whatever the pieces were.
Where the bracket misses, two histograms find the k-th largest bit by bit.

Numbers are compared as integers: for numbers that are not negative, the order of their bits is
the order of their values.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from codemoe.merge.kernels import kernels

# (first, last) -> (M, B): float32, of which the largest in magnitude of each row are wanted
Numbers = Callable[[int, int], np.ndarray]
Blocks = Callable[[], Iterator[tuple[int, int]]]

_MAGNITUDE = np.int32(0x7FFF_FFFF)
_LARGEST = 0x7F80_0000  # the bits of infinity
_PIECES, _PIECE = 64, 1024  # of the sample: enough of them, from everywhere
_SIGMAS = 4.5  # between bracket and estimate, of the spread between pieces
_SMALL = 1 << 16  # elements that are simply all kept
MOST_KEPT = 1 << 23  # elements inside a bracket; beyond, histograms take no memory
_LOW_BITS = 15


@dataclass
class Cut:
    """The k largest are those with bits above `bits`, and the first `equal` of those at it."""

    bits: int
    equal: int


NOTHING = Cut(_LARGEST, 0)
EVERYTHING = Cut(-1, 0)


def magnitude_bits(values: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """int32 that order as the magnitudes of float32 `values`."""
    return np.bitwise_and(values.view(np.int32), _MAGNITUDE, out=out)


def keep_largest(values_MB: np.ndarray, cuts: Sequence[Cut], scratch_MB: np.ndarray) -> None:
    """Zero, in place, what is not among a row's k largest; `cuts` count down over blocks in order.

    The scratch is int32, of the same shape.
    """
    if quick := kernels():
        left = np.array([cut.equal for cut in cuts], np.int64)
        quick.keep_largest(values_MB, np.array([cut.bits for cut in cuts], np.int32), left)
        for cut, equal in zip(cuts, left.tolist(), strict=True):
            cut.equal = equal
        return
    bits_MB = magnitude_bits(values_MB, out=scratch_MB)
    below_M1 = np.empty((len(cuts), 1), np.int32)  # the largest bits that are not kept
    for row, cut in enumerate(cuts):
        below_M1[row] = cut.bits
        if cut.equal > 0:
            equal = bits_MB[row] == cut.bits
            found = int(np.count_nonzero(equal))
            if found > cut.equal:  # the first ones stay
                values_MB[row, np.flatnonzero(equal)[cut.equal :]] = 0
                found = cut.equal
            cut.equal -= found
            below_M1[row] -= 1
    # All ones where bits are above: a subtraction's sign as a mask is 3 times as fast as a `where`.
    np.subtract(below_M1, bits_MB, out=bits_MB)
    np.right_shift(bits_MB, 31, out=bits_MB)
    values_MB = values_MB.view(np.int32)
    np.bitwise_and(values_MB, bits_MB, out=values_MB)


def cuts(
    numbers: Numbers, blocks: Blocks, size: int, keep: Sequence[int], spare: int = MOST_KEPT
) -> list[Cut]:
    """For each model, the cut that keeps exactly keep[m] elements of `size`.

    At most about `spare` elements of a model are held in memory.
    """
    found: list[Cut | None] = [
        NOTHING if k <= 0 else EVERYTHING if k >= size else None for k in keep
    ]
    models = [m for m, cut in enumerate(found) if cut is None]
    if models:
        brackets = _brackets(numbers, size, [keep[m] for m in models], models)
        inside = _read(numbers, blocks, brackets, models, spare)
        for m, one in zip(models, inside, strict=True):
            found[m] = one.cut(keep[m])
    missed = [m for m, cut in enumerate(found) if cut is None]
    if missed:
        for m, cut in zip(missed, _histograms(numbers, blocks, keep, missed), strict=True):
            found[m] = cut
    # Each caller counts down its own.
    return [Cut(cut.bits, cut.equal) for cut in found if cut is not None]


class _Inside:
    """Of one model, how many lie above its bracket, and what lies inside, while that is few."""

    def __init__(self, bracket: tuple[int, int], spare: int) -> None:
        self.low, self.high = bracket
        self._spare, self._parts = spare, list[np.ndarray]()
        self.above = self.count = 0

    def add(self, bits: np.ndarray) -> None:
        self.count += len(bits)
        if self.count > self._spare:
            self._parts.clear()
        elif self.low < self.high:
            self._parts.append(bits.copy())

    def cut(self, keep: int) -> Cut | None:
        """Where it lies inside the bracket and all of that was kept, else None."""
        rank = keep - self.above
        if not 1 <= rank <= self.count:
            return None
        if self.low == self.high:
            return Cut(self.low, rank)
        if self.count > self._spare:
            return None
        inside = np.concatenate(self._parts)
        self._parts.clear()
        place = len(inside) - rank
        inside.partition(place)
        value = inside[place]
        return Cut(int(value), rank - int(np.count_nonzero(inside[place:] > value)))


def _read(
    numbers: Numbers,
    blocks: Blocks,
    brackets: Sequence[tuple[int, int]],
    models: Sequence[int],
    spare: int,
) -> list[_Inside]:
    """One reading of the tensor."""
    low_M1, high_M1 = (np.array(ends, np.int32)[:, None] for ends in zip(*brackets, strict=True))
    found = [_Inside(bracket, spare) for bracket in brackets]
    above_MB = inside_MB = np.empty((0, 0), bool)
    bits_MB, quick = np.empty((0, 0), np.int32), kernels()
    for first, last in blocks():
        values_MB = numbers(first, last)
        if len(models) < len(values_MB):
            values_MB = values_MB[list(models)]
        if bits_MB.shape != values_MB.shape:
            bits_MB = np.empty(values_MB.shape, np.int32)
            above_MB, inside_MB = np.empty(bits_MB.shape, bool), np.empty(bits_MB.shape, bool)
        if quick:
            counts = quick.inside(values_MB, low_M1, high_M1, bits_MB)
            for one, bits, above, count in zip(found, bits_MB, *counts, strict=True):
                one.above += above
                one.add(bits[:count])
            continue
        magnitude_bits(values_MB, out=bits_MB)
        np.greater(bits_MB, high_M1, out=above_MB)
        np.greater_equal(bits_MB, low_M1, out=inside_MB)
        np.bitwise_xor(inside_MB, above_MB, out=inside_MB)
        # All models in one call: those inside are few, and a call costs more than they do.
        places = np.flatnonzero(inside_MB)
        values = bits_MB.reshape(-1).take(places)
        ends = np.searchsorted(places, [(row + 1) * (last - first) for row in range(len(models))])
        start = 0
        for one, beyond, end in zip(found, above_MB, ends.tolist(), strict=True):
            one.above += int(np.count_nonzero(beyond))
            one.add(values[start:end])
            start = end
    return found


def _brackets(
    numbers: Numbers, size: int, keep: Sequence[int], models: Sequence[int]
) -> list[tuple[int, int]]:
    """Bits between which the keep-th largest of each model probably lies."""
    if size <= _SMALL:
        return [(0, _LARGEST)] * len(models)
    samples: list[list[np.ndarray]] = [[] for _ in models]
    for piece in range(_PIECES):
        first = (size - _PIECE) * piece // (_PIECES - 1)
        all_bits = magnitude_bits(numbers(first, first + _PIECE))
        for sample, m in zip(samples, models, strict=True):
            sample.append(all_bits[m])
    return [_bracket(np.stack(sample), k / size) for sample, k in zip(samples, keep, strict=True)]


def _bracket(pieces: np.ndarray, share: float) -> tuple[int, int]:
    """Around the value that `share` of all are above, as wide as pieces differ in that."""
    ordered = np.sort(pieces, axis=None)[::-1]
    count = len(ordered)
    at = min(int(share * count), count - 1)
    above = (pieces > ordered[at]).mean(axis=1)
    spread = float(above.std()) / len(pieces) ** 0.5
    chance = (share * (1 - share) / count) ** 0.5
    margin = int(_SIGMAS * max(spread, chance) * count) + 2
    high, low = at - margin, at + margin
    return (
        int(ordered[low]) if low < count else 0,
        int(ordered[high]) if high >= 0 else _LARGEST,
    )


def _histograms(
    numbers: Numbers, blocks: Blocks, keep: Sequence[int], models: Sequence[int]
) -> list[Cut]:
    """Count by the upper 16 bits; then, among those that share the k-th largest's, by the lower."""
    upper = {m: np.zeros(1 << 16, np.int64) for m in models}
    for first, last in blocks():
        all_bits = magnitude_bits(numbers(first, last))
        for m in models:
            upper[m] += np.bincount(all_bits[m] >> _LOW_BITS, minlength=1 << 16)
    at = {m: _bin_of(upper[m], keep[m]) for m in models}
    lower = {m: np.zeros(1 << _LOW_BITS, np.int64) for m in models}
    for first, last in blocks():
        all_bits = magnitude_bits(numbers(first, last))
        for m in models:
            bits = all_bits[m]
            same = bits[bits >> _LOW_BITS == at[m][0]] & ((1 << _LOW_BITS) - 1)
            lower[m] += np.bincount(same, minlength=1 << _LOW_BITS)
    found = []
    for m in models:
        upper_bin, rank = at[m]
        lower_bin, equal = _bin_of(lower[m], rank)
        found.append(Cut((upper_bin << _LOW_BITS) + lower_bin, equal))
    return found


def _bin_of(counts: np.ndarray, rank: int) -> tuple[int, int]:
    """The bin in which the rank-th largest lies, and its rank among those of the bin."""
    from_top = np.cumsum(counts[::-1])
    place = int(np.searchsorted(from_top, rank))
    before = int(from_top[place - 1]) if place else 0
    return len(counts) - 1 - place, rank - before
