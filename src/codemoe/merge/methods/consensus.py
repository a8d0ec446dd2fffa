"""The family of TIES and DARE: thin out task vectors, elect signs, sum what agrees.

    result = base + scale * sum_m [sign(d_m) = elected] weight_m * d_m / divisor

with d_m the thinned task vectors. The members of the family differ in what thins them, in whether
signs are elected, and in conventions on which implementations differ; each is a setting.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from codemoe.merge.methods.inputs import Inputs, blocks, size_of
from codemoe.merge.methods.sparse import Sparse, Thinner, thinners

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
    by_chance = how.rescale == "chance"
    factors = _l1_factors(inputs, sparse) if how.rescale == "l1" else [1.0] * inputs.count
    thin = thinners(inputs, sparse, by_chance)
    whole_rows = any(s.kind == "rank" and s.thins for s in sparse)
    add_up = _Plain if how.elect == "none" else _Elected
    scratch = np.empty(0, np.int32)
    sums = None
    for first, last in blocks(inputs, whole_rows):
        size = last - first
        if len(scratch) < size:
            scratch = np.empty(size, np.int32)
            sums = add_up(size, weight, how)
        assert sums is not None
        sums.start(size)
        base = inputs.base(first, last)
        for model in range(inputs.count):
            delta = inputs.task_vector(model, base, first, last)
            thin[model](delta, scratch[:size])
            if factors[model] != 1:
                np.multiply(delta, np.float32(factors[model]), out=delta)
            sums.add(model, delta)
        total = sums.total()
        if how.scale != 1:
            np.multiply(total, np.float32(how.scale), out=total)
        yield np.add(base, total, out=total)


class _Plain:
    """The weighted sum without an election."""

    def __init__(self, size: int, weight: Sequence[float], how: Consensus) -> None:
        self._sum, self._weight = np.empty(size, np.float32), weight
        divisor = {"none": 1.0, "weights": sum(weight), "count": float(len(weight))}[how.divide]
        self._divisor = divisor if abs(divisor) >= 1e-8 else 1.0

    def start(self, size: int) -> None:
        self._now = self._sum[:size]
        self._now[:] = 0

    def add(self, model: int, delta: np.ndarray) -> None:
        if self._weight[model] != 1:
            np.multiply(delta, np.float32(self._weight[model]), out=delta)
        np.add(self._now, delta, out=self._now)

    def total(self) -> np.ndarray:
        if self._divisor != 1:
            np.divide(self._now, np.float32(self._divisor), out=self._now)
        return self._now


class _Elected:
    """Sums of the positive and of the negative entries apart: when all models are in, the elected
    side is known, and no model is read twice.

    Which models are on a side is one bit a model, and a table has the divisor of every set of them.
    More models than bits are divided by running sums.
    """

    def __init__(self, size: int, weight: Sequence[float], how: Consensus) -> None:
        self._weight, self._how = weight, how
        shares = [1.0] * len(weight) if how.divide == "count" else list(weight)
        self._shares = np.array(shares, np.float32)
        self._table = _divisors(self._shares) if len(weight) <= _MOST_BITS else None
        bits = np.uint8 if len(weight) <= 8 else np.uint16
        kind = np.float32 if self._table is None else bits
        self._sums = [np.empty(size, np.float32) for _ in range(2)]
        self._votes = [np.empty(size, np.float32) for _ in range(2)]
        self._sides: list[Any] = [np.empty(size, kind) for _ in range(2)]
        self._mask, self._part = np.empty(size, bool), np.empty(size, np.float32)
        self._bit = np.empty(size, kind)
        self._zero = np.zeros(size, np.float32)

    def start(self, size: int) -> None:
        self._size = size
        for array in (*self._sums, *self._votes, *self._sides):
            array[:size] = 0

    def add(self, model: int, delta: np.ndarray) -> None:
        weight, weighted = np.float32(self._weight[model]), self._how.elect == "weighted"
        if weighted and weight != 1:
            np.multiply(delta, weight, out=delta)
        size = self._size
        part, mask, zero = self._part[:size], self._mask[:size], self._zero[:size]
        for side, clip in enumerate((np.maximum, np.minimum)):
            clip(delta, zero, out=part)
            if not weighted:
                votes = self._votes[side][:size]
                np.add(votes, part, out=votes)
                if weight != 1:
                    np.multiply(part, weight, out=part)
            sums = self._sums[side][:size]
            np.add(sums, part, out=sums)
        if self._how.divide == "none":
            return
        for side, test in enumerate((np.greater, np.less)):
            test(delta, zero, out=mask)
            own, bit = self._sides[side][:size], self._bit[:size]
            if self._table is None:
                np.multiply(mask, self._shares[model], out=bit)
                np.add(own, bit, out=own)
            else:
                np.multiply(mask.view(np.uint8), own.dtype.type(1 << model), out=bit)
                np.bitwise_or(own, bit, out=own)

    def total(self) -> np.ndarray:
        size = self._size
        positive, negative = (array[:size] for array in self._sums)
        votes = self._sums if self._how.elect == "weighted" else self._votes
        part, mask = self._part[:size], self._mask[:size]
        np.add(votes[0][:size], votes[1][:size], out=part)
        np.less(part, self._zero[:size], out=mask)
        # Masks of whole integers: at random signs ten times as fast as copying `where`.
        minus = np.right_shift(part.view(np.int32), 31)
        _choose(positive.view(np.int32), negative.view(np.int32), minus)
        if self._how.divide == "none":
            return positive
        mine, theirs = (array[:size] for array in self._sides)
        if self._table is None:
            _choose(mine.view(np.int32), theirs.view(np.int32), minus)
            np.copyto(mine, np.float32(1), where=mine == 0)
            return np.divide(positive, mine, out=positive)
        _choose(mine, theirs, np.negative(mask.view(np.uint8)) if mine.itemsize == 1 else minus)
        np.take(self._table, mine, out=part, mode="wrap")
        return np.divide(positive, part, out=positive)


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
    thin: list[Thinner] = thinners(inputs, sparse, by_chance=False)
    before, after = np.zeros(inputs.count), np.zeros(inputs.count)
    whole_rows = any(s.kind == "rank" and s.thins for s in sparse)
    if not size_of(inputs) or not any(s.thins for s in sparse):
        return [1.0] * inputs.count
    for first, last in blocks(inputs, whole_rows):
        base, scratch = inputs.base(first, last), np.empty(last - first, np.int32)
        for model in range(inputs.count):
            delta = inputs.task_vector(model, base, first, last)
            before[model] += np.abs(delta).sum(dtype=np.float64)
            thin[model](delta, scratch)
            after[model] += np.abs(delta).sum(dtype=np.float64)
    return [
        float(b / a) if b >= _TINY_NORM and a >= _TINY_NORM else 1.0
        for b, a in zip(before, after, strict=True)
    ]
