"""The inner loops of merges in C, where a compiler is at hand; else NumPy makes the same bytes.

`kernels()` is None until `load` was called and found them. Arrays are contiguous.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

_MANY = 10**8  # numbers: merging so many takes NumPy longer than compiling takes
_loaded: list["Kernels"] = []


class Kernels:
    """Functions of kernels.c for arrays; each names its twin in NumPy."""

    def __init__(self, library: Any) -> None:
        self._library = library

    def task_vectors(self, raw: np.ndarray, base: np.ndarray, deltas_MB: np.ndarray) -> bool:
        """`Files.read_rows` on bfloat16 and the subtraction; whether all numbers are finite."""
        models, size = deltas_MB.shape
        broken = self._library.task_vectors(
            raw.ctypes.data, models, size, base.ctypes.data, deltas_MB.ctypes.data
        )
        return not broken

    def inside(
        self, deltas_MB: np.ndarray, low: np.ndarray, high: np.ndarray, found_MB: np.ndarray
    ) -> tuple[list[int], list[int]]:
        """`select._read`: how many bits are above, and inside each bracket; these in `found_MB`."""
        models, size = deltas_MB.shape
        counts = np.empty((2, models), np.int64)
        self._library.inside(
            deltas_MB.ctypes.data, models, size, low.ctypes.data, high.ctypes.data,
            found_MB.ctypes.data, counts[0].ctypes.data, counts[1].ctypes.data,
        )  # fmt: skip
        above, inside = counts.tolist()
        return above, inside

    def keep_largest(self, values_MB: np.ndarray, bits: np.ndarray, equal: np.ndarray) -> None:
        """`select.keep_largest`; `equal` (int64) counts down."""
        models, size = values_MB.shape
        self._library.keep_largest(
            values_MB.ctypes.data, models, size, bits.ctypes.data, equal.ctypes.data
        )

    def flip(self, values: np.ndarray, packed: np.ndarray, first: int, faces: np.ndarray) -> None:
        """`coins._flips`, times the values."""
        self._library.flip(
            values.ctypes.data, len(values), packed.ctypes.data, first, faces.ctypes.data
        )

    def add_up(
        self,
        base: np.ndarray,
        deltas_MB: np.ndarray,
        weight: np.ndarray,
        shares: np.ndarray | None,
        elect: int,
        divisor: float,
        scale: float,
        out: np.ndarray,
    ) -> None:
        """`consensus._Plain` and `_Elected`, with the base."""
        models, size = deltas_MB.shape
        self._library.add_up(
            base.ctypes.data, deltas_MB.ctypes.data, models, size, weight.ctypes.data,
            None if shares is None else shares.ctypes.data, elect, divisor, scale, out.ctypes.data,
        )  # fmt: skip

    def to_bfloat16(self, values: np.ndarray, out: np.ndarray) -> None:
        """`from_float32`."""
        self._library.to_bfloat16(values.ctypes.data, len(values), out.ctypes.data)


def kernels() -> Kernels | None:
    return _loaded[0] if _loaded else None


def load(numbers: int, folder: Path | None = None) -> Kernels | None:
    """Get them ready for a merge of that many numbers: compiled only where that pays."""
    if not _loaded:
        from codemoe.merge.kernels.build import library

        found = library(folder or _folder(), numbers >= _MANY)
        if found is not None:
            _loaded.append(Kernels(found))
    return kernels()


def unload() -> None:
    """Go back to NumPy."""
    _loaded.clear()


def _folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "codemoe"
