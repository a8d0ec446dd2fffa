"""What a merge method sees of one tensor: every model's numbers, a block at a time, in float32."""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Protocol
from zlib import crc32

import numpy as np

from codemoe.merge.methods.select import MOST_KEPT

_CACHED = 1 << 17  # numbers that stay in a core's cache
_SHORTEST = 1 << 10  # below, calls cost more than arithmetic


class StoredBfloat16(Protocol):
    """The base and then every model as they are stored, for kernels that take bfloat16."""

    def read(self, first: int, last: int) -> np.ndarray:
        """Their bytes: 1 + M rows of last - first numbers, in a buffer as `tensor` fills one."""
        ...

    def refuse_broken(self, first: int, last: int) -> None:
        """Raise UserError that says where a number of these is not finite."""
        ...


class Inputs(Protocol):
    """One tensor of M models and, for most methods, of their base.

    `tensor` and `base` fill buffers that belong to the caller until the same one is asked for
    again: what it does to them in place is nobody else's concern.
    """

    name: str
    shape: tuple[int, ...]
    count: int  # M
    has_base: bool
    block: int  # elements in a block, about
    spare: int  # elements of each model that may be held in memory besides
    seed: int
    bfloat16: StoredBfloat16 | None  # where the base and all models are stored so

    def tensor(self, model: int, first: int, last: int) -> np.ndarray: ...

    def base(self, first: int, last: int) -> np.ndarray: ...

    def task_vectors(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        """The base, and every model minus it (arXiv:2212.04089) as the rows of one (M, B) array."""
        ...


class Arrays:
    """Inputs that are in memory already."""

    bfloat16: StoredBfloat16 | None = None

    def __init__(
        self,
        tensors: Sequence[np.ndarray],
        base: np.ndarray | None = None,
        *,
        name: str = "",
        block: int = 1 << 16,
        seed: int = 0,
    ) -> None:
        arrays = [np.ascontiguousarray(t, np.float32) for t in tensors]
        self.shape = (arrays[0] if base is None else np.asarray(base)).shape
        self.count, self.has_base, self.block = len(arrays), base is not None, block
        self.name, self.seed, self.spare = name, seed, MOST_KEPT
        self._tensors = [array.reshape(-1) for array in arrays]
        self._base = None if base is None else np.ascontiguousarray(base, np.float32).reshape(-1)

    def tensor(self, model: int, first: int, last: int) -> np.ndarray:
        return self._tensors[model][first:last].copy()

    def base(self, first: int, last: int) -> np.ndarray:
        assert self._base is not None
        return self._base[first:last].copy()

    def task_vectors(self, first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        base = self.base(first, last)
        return base, np.stack([tensor[first:last] for tensor in self._tensors]) - base


def size_of(inputs: Inputs) -> int:
    return prod(inputs.shape)


def column(numbers: Sequence[float]) -> np.ndarray:
    """One float32 a model, to go with the rows of an (M, B) array."""
    return np.array(numbers, np.float32)[:, None]


def row_of(inputs: Inputs) -> int:
    """Elements in a row: a vector, or a single number, is one row."""
    return inputs.shape[-1] if inputs.shape else 1


def blocks(
    inputs: Inputs, whole_rows: bool = False, *, of_all: bool = False, times: int = 1
) -> Iterator[tuple[int, int]]:
    """The ranges (first, last) of consecutive blocks, of whole rows unless rows are too long.

    `of_all`: shorter, so that those of all models together stay in a core's cache. `times` as long
    as they may be otherwise: for kernels, which go through them in pieces of their own.
    """
    size, row = size_of(inputs), row_of(inputs)
    step = max(inputs.block, 1) * times
    if of_all:
        step = min(step, max(_CACHED // max(inputs.count, 1), _SHORTEST))
    if row > 0 and (whole_rows or row <= step):
        step = max(step // row, 1) * row
    for first in range(0, size, step):
        yield first, min(first + step, size)


def generator(inputs: Inputs, model: int) -> "np.random.Generator":  # imported when it is used
    """Random numbers that depend on the seed, the tensor's name and the model, and on nothing
    else: neither on threads nor on blocks, as long as they are drawn in the tensor's order."""
    key = [inputs.seed, crc32(inputs.name.encode()), model]
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(key)))
