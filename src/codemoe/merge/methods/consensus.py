"""The family of TIES and DARE: thin out task vectors, elect signs, sum what agrees.

    result = base + scale * sum_m [sign(d_m) = elected] weight_m * d_m / divisor

with d_m the thinned task vectors. The members of the family differ in what thins them, in whether
signs are elected, and in conventions on which implementations differ; each is a setting.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from codemoe.merge.kernels import Kernels, Terms, kernels
from codemoe.merge.methods.inputs import Inputs, StoredBfloat16, blocks, column, size_of
from codemoe.merge.methods.sparse import Sparse, Thinner, thinner

Rescale = Literal["none", "chance", "l1"]
_TINY_NORM = 1e-7


@dataclass(frozen=True)
class Consensus:
    """Settings of the family for one tensor.

    elect: whether the sign of an entry is elected, on task vectors times their weights (mergekit)
    or before (PEFT; TIES, arXiv:2306.01708, has no weights). The sign of the larger total wins;
    a total of 0 counts as positive.
    divide: by nothing, by the sum of weights, or by the count of models (PEFT, TIES); with an
    election only those that agree are counted, entry by entry. A divisor of 0 is taken as 1.
    rescale: makes up for dropped entries by 1 / chance to stay (DARE, DELLA) or by the ratio of
    the task vector's L1 norms before and after (mergekit 0.1.5).
    """

    elect: Literal["none", "weighted", "unweighted"]
    divide: Literal["none", "weights", "count"]
    rescale: Rescale = "none"
    scale: float = 1.0  # lambda


def merge(
    inputs: Inputs, weight: Sequence[float], sparse: Sequence[Sparse], how: Consensus
) -> Iterator[np.ndarray]:
    """The merged tensor, block by block."""
    factors = _l1_factors(inputs, sparse) if how.rescale == "l1" else [1.0] * inputs.count
    thin = thinner(inputs, sparse, by_chance=how.rescale == "chance")
    if (quick := kernels()) and inputs.bfloat16 and thin.fuses:
        yield from _fused(quick, inputs, inputs.bfloat16, weight, thin, factors, how)
        return
    sums: _Plain | _Elected | None = None
    scratch_MB = np.empty((0, 0), np.int32)
    for first, last in blocks(inputs, _whole_rows(sparse), of_all=True):
        base, deltas_MB = inputs.task_vectors(first, last)
        if sums is None or scratch_MB.shape != deltas_MB.shape:  # the first and the last block
            scratch_MB = np.empty(deltas_MB.shape, np.int32)
            sums = (_Plain if how.elect == "none" else _Elected)(deltas_MB.shape, weight, how)
        thin(deltas_MB, scratch_MB)
        if any(factor != 1 for factor in factors):
            np.multiply(deltas_MB, column(factors), out=deltas_MB)
        if quick:
            quick.add_up(base, deltas_MB, sums.terms, sums.sum)
            yield sums.sum
            continue
        total = sums.total(deltas_MB)
        if how.scale != 1:
            np.multiply(total, np.float32(how.scale), out=total)
        yield np.add(base, total, out=total)


_FUSED_BLOCK = 4  # of bfloat16, so many times as long a block takes no more memory


def _fused(
    quick: Kernels,
    inputs: Inputs,
    stored: StoredBfloat16,
    weight: Sequence[float],
    thin: Thinner,
    factors: Sequence[float],
    how: Consensus,
) -> Iterator[np.ndarray]:
    """The same, from the stored bytes to the sum in one call a block."""
    sums = (_Plain if how.elect == "none" else _Elected)((inputs.count, 0), weight, how)
    times = column(factors) if any(factor != 1 for factor in factors) else None
    cuts, out = thin.cuts(), np.empty(0, np.float32)
    for first, last in blocks(inputs, times=_FUSED_BLOCK):
        if len(out) != last - first:  # the first and the last block
            out = np.empty(last - first, np.float32)
        coins, raw = thin.take(last - first), stored.read(first, last)
        if not quick.merged(raw, cuts, coins, thin.faces, times, sums.terms, out):
            stored.refuse_broken(first, last)
        yield out


def _whole_rows(sparse: Sequence[Sparse]) -> bool:
    return any(one.kind == "rank" and one.thins for one in sparse)


class _Plain:
    """The weighted sum without an election."""

    def __init__(self, shape: tuple[int, ...], weight: Sequence[float], how: Consensus) -> None:
        self.sum, self._weight_M1 = np.empty(shape[1], np.float32), column(weight)
        self._scale = how.scale
        divisor = {"none": 1.0, "weights": sum(weight), "count": float(len(weight))}[how.divide]
        self._divisor = divisor if abs(divisor) >= 1e-8 else 1.0

    def total(self, deltas_MB: np.ndarray) -> np.ndarray:
        """The sum, in a buffer of its own; the task vectors are spoiled."""
        if (self._weight_M1 != 1).any():
            np.multiply(deltas_MB, self._weight_M1, out=deltas_MB)
        np.add.reduce(deltas_MB, axis=0, out=self.sum, initial=0)
        if self._divisor != 1:
            np.divide(self.sum, np.float32(self._divisor), out=self.sum)
        return self.sum

    @property
    def terms(self) -> Terms:
        """The same for kernels, which also scale it and put it on top of the base."""
        return Terms(self._weight_M1, None, 0, self._divisor, self._scale)


class _Elected:
    """Sums of the positive and of the negative entries apart, one of which is elected.

    Which models are on a side is one bit a model, and a table has the divisor of every set of them.
    More models than bits are divided by running sums. All sums run in the order of models.
    """

    def __init__(self, shape: tuple[int, ...], weight: Sequence[float], how: Consensus) -> None:
        count, size = shape
        self._weight_M1, self._how = column(weight), how
        self._weighs = bool((self._weight_M1 != 1).any())
        shares = column([1.0] * count if how.divide == "count" else list(weight))
        self._all_shares = None if how.divide == "none" else shares
        self.sum = np.empty(size, np.float32)
        self._table = _divisors(shares[:, 0]) if count <= _MOST_BITS else None
        bits = np.uint8 if count <= 8 else np.uint16
        self._shares_M1: np.ndarray = shares
        if self._table is not None:
            self._shares_M1 = np.array([1 << m for m in range(count)], bits)[:, None]
        kind = self._shares_M1.dtype
        self._sums = [np.empty(size, np.float32) for _ in range(2)]
        self._votes = [np.empty(size, np.float32) for _ in range(2)]
        self._sides: list[Any] = [np.empty(size, kind) for _ in range(2)]
        self._part_MB, self._mask_MB = np.empty(shape, np.float32), np.empty(shape, bool)
        self._bits_MB = np.empty(shape, kind)
        self._vote = np.empty(size, np.float32)
        self._zero = np.zeros(size, np.float32)

    def total(self, deltas_MB: np.ndarray) -> np.ndarray:
        """The elected sum, divided, in a buffer of its own; the task vectors are spoiled."""
        weighted, zero, part_MB = self._how.elect == "weighted", self._zero, self._part_MB
        if weighted and self._weighs:
            np.multiply(deltas_MB, self._weight_M1, out=deltas_MB)
        for side, clip in enumerate((np.maximum, np.minimum)):
            clip(deltas_MB, zero, out=part_MB)
            if not weighted:
                np.add.reduce(part_MB, axis=0, out=self._votes[side], initial=0)
                if self._weighs:
                    np.multiply(part_MB, self._weight_M1, out=part_MB)
            np.add.reduce(part_MB, axis=0, out=self._sums[side], initial=0)
        positive, negative = self._sums
        ayes, noes = self._sums if weighted else self._votes
        votes = np.add(ayes, noes, out=self._vote)
        negates = votes < zero
        # Masks of whole integers: at random signs ten times as fast as copying `where`.
        minus = np.right_shift(votes.view(np.int32), 31)
        _choose(positive.view(np.int32), negative.view(np.int32), minus)
        if self._how.divide == "none":
            return positive
        for side, test in enumerate((np.greater, np.less)):
            self._count(test(deltas_MB, zero, out=self._mask_MB), self._sides[side])
        mine, theirs = self._sides
        if self._table is None:
            _choose(mine.view(np.int32), theirs.view(np.int32), minus)
            np.copyto(mine, np.float32(1), where=mine == 0)
            return np.divide(positive, mine, out=positive)
        _choose(mine, theirs, np.negative(negates.view(np.uint8)) if mine.itemsize == 1 else minus)
        np.take(self._table, mine, out=votes, mode="wrap")
        return np.divide(positive, votes, out=positive)

    @property
    def terms(self) -> Terms:
        """The same for kernels, which also scale it and put it on top of the base."""
        elect = 1 if self._how.elect == "weighted" else 2
        return Terms(self._weight_M1, self._all_shares, elect, 1.0, self._how.scale)

    def _count(self, mask_MB: np.ndarray, side: np.ndarray) -> None:
        """Who is on a side, as bits, or the sum of their shares."""
        if self._table is None:
            np.multiply(mask_MB, self._shares_M1, out=self._bits_MB)
            np.add.reduce(self._bits_MB, axis=0, out=side, initial=0)
        else:
            np.multiply(mask_MB.view(np.uint8), self._shares_M1, out=self._bits_MB)
            np.bitwise_or.reduce(self._bits_MB, axis=0, out=side)


_MOST_BITS = 16


def _divisors(shares: np.ndarray) -> np.ndarray:
    """For every set of models, as bits, the sum of their shares; 1 where that is 0."""
    sums = np.zeros(1, np.float32)
    for share in shares:
        sums = np.concatenate([sums, sums + share])
    sums[sums == 0] = 1
    return sums


def _choose(mine: np.ndarray, theirs: np.ndarray, mask: np.ndarray) -> None:
    """Integers in place: `theirs` where the mask is all ones, `mine` where it is 0."""
    difference = np.bitwise_xor(mine, theirs)
    np.bitwise_and(difference, mask.astype(mine.dtype, copy=False), out=difference)
    np.bitwise_xor(mine, difference, out=mine)


def _l1_factors(inputs: Inputs, sparse: Sequence[Sparse]) -> list[float]:
    """Norms before over norms after; the same random numbers are drawn again when merging."""
    if not size_of(inputs) or not any(s.thins for s in sparse):
        return [1.0] * inputs.count
    thin = thinner(inputs, sparse, by_chance=False)
    before, after = np.zeros(inputs.count), np.zeros(inputs.count)
    for first, last in blocks(inputs, _whole_rows(sparse), of_all=True):
        _, deltas_MB = inputs.task_vectors(first, last)
        before += np.abs(deltas_MB).sum(axis=1, dtype=np.float64)
        thin(deltas_MB, np.empty(deltas_MB.shape, np.int32))
        after += np.abs(deltas_MB).sum(axis=1, dtype=np.float64)
    return [
        float(b / a) if b >= _TINY_NORM and a >= _TINY_NORM else 1.0
        for b, a in zip(before, after, strict=True)
    ]
