"""What a merge method reads of tensors that lie on disk: block after block, in float32."""

from collections.abc import Iterator, Sequence

import numpy as np

from codemoe.merge.kernels import kernels
from codemoe.merge.methods.inputs import StoredBfloat16
from codemoe.merge.sources import OnDisk, Source, WithLora, scratch_bytes
from codemoe.models.storage.dtypes import ITEM_BYTES
from codemoe.models.storage.layout import Stored
from codemoe.models.storage.read import Files, check_finite


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
