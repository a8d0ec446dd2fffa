"""How the tensors of a result are made: in which memory, from which seed, as which type."""

from collections.abc import Sequence
from dataclasses import dataclass

from codemoe.errors import UserError
from codemoe.merge.model import Model
from codemoe.merge.options import Options
from codemoe.models.storage.dtypes import dtype_named
from codemoe.models.storage.read import Files

_LEAST_MEMORY = 16 * 10**6
_BLOCKS = 12  # float32 arrays of a block that a method works in, besides one a model


@dataclass(frozen=True)
class Work:
    """How tensors are made: memory of a thread, random numbers, the type of the result."""

    files: Files
    block: int  # elements
    spare: int  # elements of each model
    seed: int
    dtype: str | None  # None: each tensor's own


def output_dtype(name: str | None) -> str | None:
    if name is None:
        return None
    dtype = dtype_named(name)
    if dtype is None:
        raise UserError(f"dtype {name!r} is not supported", "float32, float16, bfloat16 or float64")
    return dtype


def work_for(models: Sequence[Model], files: Files, options: Options, dtype: str | None) -> Work:
    """Sizes of blocks, so that all threads together stay below --max-memory."""
    held = sum(f.a_RD.nbytes + f.b_OR.nbytes for m in models for f in m.factors.values())
    budget = (options.max_memory - held) // options.num_threads
    if budget < _LEAST_MEMORY:
        needed = held + _LEAST_MEMORY * options.num_threads
        raise UserError(
            f"{options.max_memory / 1e6:.0f} MB of memory are too little for "
            f"{options.num_threads} threads"
            + (f" and {held / 1e6:.0f} MB of adapters" if held else ""),
            f"--max-memory {-(-needed // 10**6)}MB, or fewer --threads",
        )
    count = len(models)
    block = min(1 << 15, budget // 2 // (4 * (count + _BLOCKS)))
    spare = min(1 << 23, budget // 2 // (10 * count))
    return Work(files, 1 << (block.bit_length() - 1), spare, options.seed, dtype)
