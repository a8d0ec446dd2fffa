"""Where the tensors of a checkpoint folder lie: single file or shards, read from headers alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.models.storage.dtypes import ITEM_BYTES

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
_LARGEST_HEADER = 100 * 10**6  # bytes; the format's own limit


@dataclass(frozen=True)
class Stored:
    """One tensor in a file: `start` is counted from the file's first byte."""

    name: str
    file: Path
    dtype: str  # as safetensors writes it: "BF16"
    shape: tuple[int, ...]
    start: int

    @property
    def num_elements(self) -> int:
        return prod(self.shape)

    @property
    def num_bytes(self) -> int:
        return self.num_elements * ITEM_BYTES[self.dtype]


def read_layout(folder: Path) -> dict[str, Stored]:
    """All tensors of a checkpoint folder by name, in the order of its files.

    Raises UserError for a folder without safetensors, a missing or truncated shard, a header that
    is damaged, and an index that does not fit its shards.
    """
    index = _index_of(folder)
    files = [folder / SINGLE] if index is None else [folder / f for f in _in_order(index)]
    tensors: dict[str, Stored] = {}
    for file in files:
        for name, stored in read_header(file).items():
            if name in tensors:
                raise UserError(
                    f"{name} is stored twice, in {tensors[name].file} and in {file}",
                    "save the checkpoint again",
                )
            tensors[name] = stored
    if index is not None:
        lost = [name for name in index if name not in tensors]
        if lost:
            raise UserError(
                f"{folder / INDEX} promises {lost[0]} in {index[lost[0]]}, which does not hold it",
                "save or download the checkpoint again",
            )
    return tensors


def _in_order(index: Mapping[str, str]) -> list[str]:
    return sorted(set(index.values()))


def _index_of(folder: Path) -> dict[str, str] | None:
    path = folder / INDEX
    try:
        index = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = {str(name): str(file) for name, file in index.items()}
    except FileNotFoundError:
        names = None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} cannot be read: {error!r}", "save the checkpoint again") from None
    if names is not None:
        outside = [file for file in names.values() if Path(file).name != file]
        if outside:
            raise UserError(f"{path} points outside of its folder, at {outside[0]!r}")
        return names
    if not (folder / SINGLE).is_file():
        found = ", ".join(sorted(p.name for p in folder.glob("*"))[:8]) or "nothing"
        raise UserError(
            f"the checkpoint {folder} holds no {SINGLE} and no {INDEX} (found {found})",
            "save it as safetensors: model.save_pretrained(FOLDER)",
        )
    return None


def read_header(file: Path) -> dict[str, Stored]:
    """The tensors of one safetensors file by name, in the order of their bytes."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(0)
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= min(_LARGEST_HEADER, size - 8):
                raise ValueError(f"its header would have {length} bytes of the file's {size}")
            header = json.loads(opened.read(length))
        if not isinstance(header, dict):
            raise ValueError("its header is no JSON object")
        header.pop("__metadata__", None)
        found = [_stored(file, name, entry, 8 + length) for name, entry in header.items()]
    except FileNotFoundError:
        raise UserError(f"{file} is missing", "download or save the checkpoint again") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"cannot read the weights {file}: {error}", "download or save the checkpoint again"
        ) from None
    found.sort(key=lambda stored: stored.start)
    end = 8 + length
    for stored in found:
        if stored.start != end:
            raise UserError(f"cannot read the weights {file}: {stored.name} is out of place")
        end += stored.num_bytes
    if end > size:
        raise UserError(
            f"{file} is cut short: its tensors end at byte {end}, the file at {size}",
            "download or save the checkpoint again",
        )
    return {stored.name: stored for stored in found}


def _stored(file: Path, name: str, entry: Mapping[str, Any], data: int) -> Stored:
    dtype, (start, end) = entry["dtype"], entry["data_offsets"]
    if dtype not in ITEM_BYTES:
        raise ValueError(f"{name} is stored as {dtype}, which is not known here")
    stored = Stored(name, file, dtype, tuple(int(n) for n in entry["shape"]), data + int(start))
    if min(stored.shape, default=1) < 0 or end - start != stored.num_bytes:
        raise ValueError(f"{name} of shape {list(stored.shape)} takes {end - start} bytes")
    return stored
