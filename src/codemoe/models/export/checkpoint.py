"""Read a checkpoint one tensor at a time, and write one shard by shard, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from codemoe.errors import UserError
from codemoe.models.storage import write as storage
from codemoe.models.storage.layout import read_layout
from codemoe.models.storage.write import Shard, Tensor, in_order, named

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_LARGEST_SHARD = 5 * 10**9  # bytes; as on the hub


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies and what it is; its bytes stay on disk."""

    file: Path
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True)
class Planned:
    """A tensor yet to be made."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], torch.Tensor]

    @property
    def num_elements(self) -> int:
        return torch.Size(self.shape).numel()

    @property
    def num_bytes(self) -> int:
        return self.num_elements * self.dtype.itemsize


class Checkpoint:
    """The tensors of a checkpoint folder by name; `read` takes one from disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tensors: dict[str, Stored] = {}
        for name, found in read_layout(folder).items():
            if found.dtype not in _DTYPES:
                raise UserError(
                    f"{found.file}: {name} is stored as {found.dtype}; experts are put into "
                    f"weights of {', '.join(_DTYPES)} only",
                    "use the base's full-precision checkpoint",
                )
            self.tensors[name] = Stored(found.file, found.shape, _DTYPES[found.dtype])

    def read(self, name: str) -> torch.Tensor:
        with safe_open(self.tensors[name].file, "pt") as opened:
            tensor: torch.Tensor = opened.get_tensor(name)
        return tensor

    def copy_of(self, name: str) -> Planned:
        """A plan to write this tensor unchanged."""
        stored = self.tensors[name]
        return Planned(name, stored.shape, stored.dtype, partial(self.read, name))

    @property
    def num_elements(self) -> int:
        return sum(torch.Size(stored.shape).numel() for stored in self.tensors.values())


def shards_of(plan: Sequence[Planned], limit: int) -> list[list[Planned]]:
    """Group tensors in their order so that no group has more than `limit` bytes.

    A tensor that is larger than the limit gets a group of its own.
    """
    shards: list[list[Planned]] = []
    size = 0
    for tensor in plan:
        if not shards or size + tensor.num_bytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.num_bytes
    return shards


def shard_limit(plan: Sequence[Planned], work_bytes: int, max_memory: int) -> int:
    """Bytes a shard may have: what `max_memory` leaves beside the work on one tensor.

    Raises UserError when the largest tensor does not fit.
    """
    largest = max(plan, key=lambda tensor: tensor.num_bytes)
    if largest.num_bytes + work_bytes > max_memory:
        raise UserError(
            f"{max_memory / 1e6:,.1f} MB of memory are too little: {largest.name} alone needs "
            f"{largest.num_bytes / 1e6:,.1f} MB, and making an expert {work_bytes / 1e6:,.1f} MB",
            f"--max-memory {-(-(largest.num_bytes + work_bytes) // 10**6)}MB",
        )
    return min(_LARGEST_SHARD, max_memory - work_bytes)


def write_shards(
    shards: Sequence[Sequence[Planned]], folder: Path, advance: Callable[[int, str], None]
) -> None:
    """Make and write the tensors one by one, with an index when their files are many.

    Calls `advance(1, "")` for each tensor.
    """

    def tensor(planned: Planned) -> Tensor:
        def pieces() -> Iterator[np.ndarray]:
            made = planned.make().to(planned.dtype).contiguous()
            assert tuple(made.shape) == planned.shape, planned.name
            yield made.view(-1).view(torch.uint8).numpy()
            advance(1, "")

        return Tensor(planned.name, _NAMES[planned.dtype], planned.shape, pieces)

    files = [Shard(name, in_order(map(tensor, s))) for name, s in named(shards)]
    storage.write_shards(files, folder)
    storage.write_index(files, folder)
