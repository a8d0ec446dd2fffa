"""Where one tensor of one model comes from: the disk, a LoRA on top of it, other rows of it."""

from collections.abc import Mapping, Sequence
from threading import local
from typing import Protocol

import numpy as np

from codemoe.errors import UserError
from codemoe.models.storage.adapter import Factors
from codemoe.models.storage.dtypes import ITEM_BYTES
from codemoe.models.storage.layout import Stored
from codemoe.models.storage.read import Files

_scratch = local()


def scratch_bytes(slot: str, count: int) -> np.ndarray:
    """`count` bytes (uint8) of this thread's own, the same ones for a slot at each call."""
    kept: dict[str, np.ndarray] = _scratch.__dict__.setdefault("kept", {})
    if slot not in kept or len(kept[slot]) < count:
        kept[slot] = np.empty(count, np.uint8)
    return kept[slot][:count]


class Source(Protocol):
    """A tensor of a model, as it takes part in a merge."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def stored(self) -> Stored | None:
        """Where its bytes lie on disk as they are, if they do."""
        ...

    def fill(self, first: int, out: np.ndarray) -> None:
        """Elements from `first` on as float32; raises UserError when one is not finite."""


class OnDisk:
    """A stored tensor."""

    def __init__(self, files: Files, stored: Stored) -> None:
        self.shape, self.dtype = stored.shape, stored.dtype
        self.stored: Stored | None = stored
        self.files, self.place = files, stored

    def fill(self, first: int, out: np.ndarray) -> None:
        raw = scratch_bytes("raw", len(out) * ITEM_BYTES[self.dtype])
        self.files.read_float32(self.place, first, raw, out)


class WithLora:
    """A stored weight W and the exact update of a LoRA: W + B A, made a few rows at a time."""

    stored: Stored | None = None

    def __init__(self, base: Source, factors: Factors, where: str) -> None:
        rows, columns = len(factors.b_OR), factors.a_RD.shape[1]
        transposed = factors.transposed or base.shape == (columns, rows) != (rows, columns)
        expected = (columns, rows) if transposed else (rows, columns)
        if base.shape != expected:
            raise UserError(
                f"{where} is {columns} -> {rows} in the adapter but of shape {list(base.shape)} in "
                "the base",
                "use the base that this adapter was trained on",
            )
        self.shape: tuple[int, ...] = base.shape
        self.dtype = base.dtype
        self._base = base
        # Of the stored layout: weight += left @ right.
        self._left, self._right = factors.b_OR, factors.a_RD
        if transposed:
            self._left, self._right = factors.a_RD.T, factors.b_OR.T

    def fill(self, first: int, out: np.ndarray) -> None:
        self._base.fill(first, out)
        np.add(out, self.update(first, len(out)), out=out)

    def stands_on(self, base: Source) -> bool:
        """Whether `base` is the very weight under the LoRA, so that B A is the task vector."""
        return self._base.stored is not None and self._base.stored == base.stored

    def update(self, first: int, count: int) -> np.ndarray:
        """B A, `count` elements from `first` on, in the order of the stored weight."""
        columns = self.shape[1]
        start, end = first // columns, -(-(first + count) // columns)
        skipped = first - start * columns
        made: np.ndarray = self._left[start:end] @ self._right
        return made.reshape(-1)[skipped : skipped + count]


class Rows:
    """Rows of stored tensors in another order: a vocabulary brought to another's tokens.

    `rows[i]` is the row of `own` that row i comes from; where it is negative, row i is the mean of
    the rows that `others[i]` names as (source, row), and 0 when it names none.
    """

    stored: Stored | None = None

    def __init__(
        self,
        own: Source,
        rows: np.ndarray,
        others: Mapping[int, Sequence[tuple[Source, int]]],
    ) -> None:
        self.shape, self.dtype = (len(rows), *own.shape[1:]), own.dtype
        self._own, self._rows, self._others = own, rows, others

    def fill(self, first: int, out: np.ndarray) -> None:
        width = int(np.prod(self.shape[1:], dtype=np.int64))
        position = first
        while position < first + len(out):
            row, within = divmod(position, width)
            run = self._run(row, (first + len(out) - 1) // width + 1)
            count = min(run * width - within, first + len(out) - position)
            part = out[position - first : position - first + count]
            if self._rows[row] >= 0:
                self._own.fill(int(self._rows[row]) * width + within, part)
            else:
                self._mean(row, within, part)
            position += count

    def _run(self, row: int, end: int) -> int:
        """How many rows from `row` on lie next to each other in the source, too."""
        if self._rows[row] < 0:
            return 1
        steps = np.diff(self._rows[row:end]) != 1
        return int(np.argmax(steps)) + 1 if steps.any() else end - row

    def _mean(self, row: int, within: int, part: np.ndarray) -> None:
        part[:] = 0
        sources = self._others.get(row, ())
        one = np.empty_like(part)
        for source, at in sources:
            source.fill(at * int(np.prod(source.shape[1:], dtype=np.int64)) + within, one)
            part += one
        if len(sources) > 1:
            part /= len(sources)
