"""Where one tensor of one model comes from: the disk, a LoRA on top of it, other rows of it."""

from collections.abc import Iterator, Mapping, Sequence
from threading import local
from typing import Protocol

import numpy as np

from codemoe.errors import UserError
from codemoe.merge.kernels import kernels
from codemoe.merge.methods.inputs import StoredBfloat16
from codemoe.models.storage.adapter import Factors
from codemoe.models.storage.dtypes import ITEM_BYTES
from codemoe.models.storage.layout import Stored
from codemoe.models.storage.read import Files, check_finite

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


class _Bits:
    """`methods.inputs.StoredBfloat16` of tensors on disk."""

    def __init__(self, files: Files, stored: Sequence[Stored]) -> None:
        self._files, self._stored = files, stored

    def read(self, first: int, last: int) -> np.ndarray:
        raw = scratch_bytes("raw", len(self._stored) * (last - first) * ITEM_BYTES["BF16"])
        for stored, row in self._rows(raw):
            self._files.read(stored, first, row)
        return raw

    def refuse_broken(self, first: int, last: int) -> None:
        for stored, row in self._rows(self.read(first, last)):
            check_finite(stored, first, row)

    def _rows(self, raw: np.ndarray) -> Iterator[tuple[Stored, np.ndarray]]:
        return zip(self._stored, raw.reshape(len(self._stored), -1), strict=True)


class Streamed:
    """`methods.inputs.Inputs` over sources: buffers of the calling thread, filled as asked."""

    def __init__(
        self,
        name: str,
        sources: Sequence[Source],
        base: Source | None,
        *,
        block: int,
        spare: int,
        seed: int,
    ) -> None:
        self.name, self.seed, self.block, self.spare = name, seed, block, spare
        self.count, self.has_base = len(sources), base is not None
        self.shape = (base or sources[0]).shape
        self._sources, self._base = sources, base
        # Where all are on disk, and alike: then a block of all is one array from the start.
        self._stored: list[Stored] = []
        self._files: Files | None = None
        self.bfloat16: StoredBfloat16 | None = None
        on_disk = [one for one in (base, *sources) if isinstance(one, OnDisk)]
        if base and len(on_disk) == 1 + self.count and len({one.dtype for one in on_disk}) == 1:
            self._files, self._stored = on_disk[0].files, [one.place for one in on_disk]
            if on_disk[0].dtype == "BF16":
                self.bfloat16 = _Bits(self._files, self._stored)
        self._finite = 0  # so many numbers, from the first on, were looked at

    def tensor(self, model: int, first: int, last: int) -> np.ndarray:
        return self._filled(self._sources[model], f"model {model}", first, last)

    def base(self, first: int, last: int) -> np.ndarray:
        assert self._base is not None
        return self._filled(self._base, "base", first, last)

    def task_vectors(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        assert self._base is not None
        shape = (1 + self.count, last - first)
        rows = scratch_bytes("rows", 4 * shape[0] * shape[1]).view(np.float32).reshape(shape)
        base, models_MB = rows[0], rows[1:]
        if self._files is not None:
            if (quick := kernels()) and self.bfloat16:
                if not quick.task_vectors(self.bfloat16.read(first, last), base, models_MB):
                    self.bfloat16.refuse_broken(first, last)
                return base, models_MB
            raw = scratch_bytes("raw", rows.size * ITEM_BYTES[self._stored[0].dtype])
            # What was found finite at a first reading is not looked at again.
            self._files.read_rows(self._stored, first, raw, rows, check=last > self._finite)
            if first <= self._finite:
                self._finite = max(self._finite, last)
            np.subtract(models_MB, base, out=models_MB)
            return base, models_MB
        self._base.fill(first, base)
        for source, row in zip(self._sources, models_MB, strict=True):
            if isinstance(source, WithLora) and source.stands_on(self._base):
                row[:] = source.update(first, last - first)
            else:
                source.fill(first, row)
                np.subtract(row, base, out=row)
        return base, models_MB

    def _filled(self, source: Source, slot: str, first: int, last: int) -> np.ndarray:
        out = scratch_bytes(slot, 4 * (last - first)).view(np.float32)
        source.fill(first, out)
        return out
