"""Tensors that stay as they are: their bytes, checked for NaN on the way."""

from collections.abc import Iterator
from threading import local

import numpy as np

from codemoe.models.storage.dtypes import ITEM_BYTES
from codemoe.models.storage.layout import Stored
from codemoe.models.storage.read import Files, check_finite
from codemoe.models.storage.write import Tensor

PIECE_BYTES = 1 << 20  # stays in the second-level cache from reading to writing
_scratch = local()


def copied(files: Files, stored: Stored, name: str) -> Tensor:
    """The plan to write a stored tensor unchanged, under `name`."""
    return Tensor(name, stored.dtype, stored.shape, lambda: _pieces(files, stored))


def _pieces(files: Files, stored: Stored) -> Iterator[np.ndarray]:
    if not hasattr(_scratch, "piece"):
        _scratch.piece = np.empty(PIECE_BYTES, np.uint8)
    step = PIECE_BYTES // ITEM_BYTES[stored.dtype]
    for first in range(0, stored.num_elements, step):
        count = min(step, stored.num_elements - first)
        raw = _scratch.piece[: count * ITEM_BYTES[stored.dtype]]
        files.read(stored, first, raw)
        check_finite(stored, first, raw)
        yield raw
