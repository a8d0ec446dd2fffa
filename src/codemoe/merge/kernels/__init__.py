"""The inner loops of merges in C, where a compiler is at hand; else NumPy makes the same bytes.

`kernels()` is None until `load` was called and found them. Arrays are contiguous.
"""

import os
from collections.abc import Sequence
from ctypes import c_int64, c_void_p
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

_MANY = 10**8  # numbers: merging so many takes NumPy longer than compiling takes
_loaded: list["Kernels"] = []


class Terms(NamedTuple):
    """How a consensus adds up the task vectors of M models; see kernels.c."""

    weight_M1: np.ndarray
    shares_M1: np.ndarray | None
    elect: int  # 0 not at all, 1 weighted, 2 without weights
    divisor: float
    scale: float


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
        self, base: np.ndarray, deltas_MB: np.ndarray, terms: Terms, out: np.ndarray
    ) -> None:
        """`consensus._Plain` and `_Elected`, with the base."""
        models, size = deltas_MB.shape
        self._library.add_up(
            base.ctypes.data, deltas_MB.ctypes.data, models, size, *_numbers(terms),
            out.ctypes.data,
        )  # fmt: skip

    def merged(
        self,
        raw: np.ndarray,
        cuts: tuple[np.ndarray, np.ndarray] | None,
        coins: Sequence[tuple[np.ndarray, int] | None],
        faces: Sequence[np.ndarray],
        factors: np.ndarray | None,
        terms: Terms,
        out: np.ndarray,
    ) -> bool:
        """`task_vectors`, `keep_largest` (bits and equal, which counts down) or `flip`, and
        `add_up` in one; `raw` is 1 + M rows of bfloat16. Whether all numbers are finite."""
        models = len(terms.weight_M1)
        bits = faced = first = None
        if coins:
            bits = (c_void_p * models)(*(c and c[0].ctypes.data for c in coins))
            faced = (c_void_p * models)(*(face.ctypes.data for face in faces))
            first = (c_int64 * models)(*(c[1] if c else 0 for c in coins))
        bits_at_cut, equal = cuts or (None, None)
        broken = self._library.merged(
            raw.ctypes.data, models, len(out), _address(bits_at_cut), _address(equal),
            bits, first, faced, _address(factors), *_numbers(terms), out.ctypes.data,
        )  # fmt: skip
        return not broken

    def to_bfloat16(self, values: np.ndarray, out: np.ndarray) -> None:
        """`from_float32`."""
        self._library.to_bfloat16(values.ctypes.data, len(values), out.ctypes.data)


def _numbers(terms: Terms) -> tuple[Any, ...]:
    return (terms.weight_M1.ctypes.data, _address(terms.shares_M1), *terms[2:])


def _address(array: np.ndarray | None) -> int | None:
    return None if array is None else array.ctypes.data


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
