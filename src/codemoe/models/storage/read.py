"""Read pieces of stored tensors into buffers: no mapping, so no memory grows with the model."""

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

import numpy as np

from codemoe.errors import UserError
from codemoe.models.storage.dtypes import ITEM_BYTES, all_finite, to_float32
from codemoe.models.storage.layout import Stored


class Files:
    """Open files by path, shared by threads; closed together."""

    def __init__(self) -> None:
        self._handles: dict[Path, int] = {}
        self._lock = Lock()

    def read(self, stored: Stored, first: int, out: np.ndarray) -> None:
        """Fill `out` (uint8) with the bytes of a tensor from its element `first` on."""
        offset = stored.start + first * ITEM_BYTES[stored.dtype]
        handle, view = self._handle(stored.file), out.data
        while view:
            count = os.preadv(handle, [view], offset)
            if not count:
                raise UserError(f"{stored.file} has become shorter while {stored.name} was read")
            view, offset = view[count:], offset + count

    def read_float32(self, stored: Stored, first: int, raw: np.ndarray, out: np.ndarray) -> None:
        """Fill `out` (float32) with elements from `first` on; `raw` is scratch of enough bytes."""
        self.read_rows([stored], first, raw, out[None])

    def read_rows(
        self,
        many: Sequence[Stored],
        first: int,
        raw: np.ndarray,
        out: np.ndarray,
        *,
        check: bool = True,
    ) -> None:
        """Fill each row of `out` (float32) with a tensor's elements; all are of one type.

        Raises UserError for numbers that are not finite, unless `check` is off.
        """
        dtype = many[0].dtype
        raw = raw[: out.size * ITEM_BYTES[dtype]]
        rows = raw.reshape(len(many), -1)
        for stored, row in zip(many, rows, strict=True):
            self.read(stored, first, row)
        to_float32(raw, dtype, out.reshape(-1))
        # The stored bits tell sooner; those of a float64 not whether a float32 can hold it.
        if check and not (np.isfinite(out).all() if dtype == "F64" else all_finite(raw, dtype)):
            finite = np.isfinite(out.reshape(len(many), -1))
            broken = int(np.argmin(finite.all(axis=1)))
            raise not_finite(many[broken], first + int(np.argmin(finite[broken])))

    def _handle(self, file: Path) -> int:
        with self._lock:
            if file not in self._handles:
                try:
                    self._handles[file] = os.open(file, os.O_RDONLY)
                except OSError as error:
                    raise UserError(f"cannot read {file}: {error.strerror}") from None
            return self._handles[file]

    def close(self) -> None:
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()


def check_finite(stored: Stored, first: int, raw: np.ndarray) -> None:
    """Raise when bytes read from element `first` on hold a number that is infinite or NaN."""
    if not all_finite(raw, stored.dtype):
        raise not_finite(stored, first)


def not_finite(stored: Stored, near: int) -> UserError:
    return UserError(
        f"{stored.file}: the tensor {stored.name} holds NaN or infinite numbers (at or after "
        f"element {near:,} of {stored.num_elements:,})",
        "that checkpoint is broken: train or download it again",
    )
