"""Read a checkpoint one tensor at a time, and write one shard by shard, in bounded memory."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from codemoe.errors import UserError

_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_LARGEST_SHARD = 5 * 10**9  # bytes; as on the hub
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"


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
        for file in _files_of(folder):
            try:
                with safe_open(file, "pt") as opened:
                    for name in opened.keys():  # noqa: SIM118 - safe_open is no mapping
                        view = opened.get_slice(name)
                        self.tensors[name] = _stored(file, name, view.get_shape(), view.get_dtype())
            except (OSError, SafetensorError) as error:
                raise UserError(f"cannot read the weights {file}: {error}") from None

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


def _files_of(folder: Path) -> list[Path]:
    try:
        index = json.loads((folder / _INDEX).read_text())
        return [folder / name for name in sorted(set(index["weight_map"].values()))]
    except FileNotFoundError:
        pass
    except (ValueError, KeyError) as error:
        raise UserError(f"{folder / _INDEX} cannot be read: {error!r}") from None
    if not (folder / _SINGLE).is_file():
        raise UserError(
            f"the checkpoint {folder} holds no {_SINGLE} and no {_INDEX}",
            "save it as safetensors: model.save_pretrained(FOLDER)",
        )
    return [folder / _SINGLE]


def _stored(file: Path, name: str, shape: list[int], dtype: str) -> Stored:
    if dtype not in _DTYPES:
        raise UserError(
            f"{file}: {name} is stored as {dtype}; experts are put into weights of "
            f"{', '.join(_DTYPES)} only",
            "use the base's full-precision checkpoint",
        )
    return Stored(file, tuple(shape), _DTYPES[dtype])


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
    """Make and write the tensors, one shard in memory at a time, with an index when they are many.

    Calls `advance(1, "")` for each tensor.
    """
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = (
            _SINGLE if len(shards) == 1 else f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        )
        tensors = {}
        for planned in shard:
            tensor = planned.make().to(planned.dtype).contiguous()
            assert tuple(tensor.shape) == planned.shape, planned.name
            tensors[planned.name] = tensor
            weight_map[planned.name] = file
            advance(1, "")
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if len(shards) > 1:
        total = sum(planned.num_bytes for shard in shards for planned in shard)
        index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
        (folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n")
