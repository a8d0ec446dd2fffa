"""Write a checkpoint: shards laid out beforehand, filled by threads, hashed while written.

The layout depends on the tensors alone and every tensor is made by one thread from its first byte
to its last, so the files are the same, byte for byte, for any number of threads.
"""

import ctypes
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from ctypes import c_int64
from dataclasses import dataclass
from math import prod
from pathlib import Path
from threading import Event, Lock
from typing import Any, TypeVar

import numpy as np

from codemoe.disk import FULL_ERRNO
from codemoe.errors import WorkError
from codemoe.models.storage.dtypes import ITEM_BYTES
from codemoe.models.storage.layout import INDEX, SINGLE

_REREAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Tensor:
    """A tensor yet to be written. `pieces` yields its bytes (uint8) in order; a piece is written
    before the next one is asked for, so all may live in one buffer."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[np.ndarray]]
    computed: bool = False  # not a copy: worth being started early when it is large

    @property
    def num_bytes(self) -> int:
        return prod(self.shape) * ITEM_BYTES[self.dtype]


@dataclass(frozen=True)
class Shard:
    """One file: its name and its tensors in the order of their bytes."""

    file: str
    tensors: tuple[Tensor, ...]

    @property
    def num_bytes(self) -> int:
        return sum(tensor.num_bytes for tensor in self.tensors)


def lay_out(tensors: Sequence[Tensor], shard_bytes: int) -> list[Shard]:
    """Group tensors in their order into files of at most `shard_bytes`, about equally large.

    A tensor that is larger has a file of its own.
    """
    total = sum(tensor.num_bytes for tensor in tensors)
    groups: list[list[Tensor]] = []
    for count in range(max(-(-total // shard_bytes), 1), len(tensors) + 1):
        groups = _shared_out(tensors, total, count)
        if all(len(g) == 1 or sum(t.num_bytes for t in g) <= shard_bytes for g in groups):
            break
    else:
        groups = [[tensor] for tensor in tensors]
    return [Shard(file, in_order(group)) for file, group in named(groups)]


def _shared_out(tensors: Sequence[Tensor], total: int, count: int) -> list[list[Tensor]]:
    """Each tensor in the one of `count` equal shares of all bytes in which its middle lies; threads
    fill and hash a file each, and should end together."""
    groups: list[list[Tensor]] = []
    start, index = 0, -1
    for tensor in tensors:
        own = min((2 * start + tensor.num_bytes) * count // max(2 * total, 1), count - 1)
        if own > index:
            groups.append([])
            index = own
        groups[-1].append(tensor)
        start += tensor.num_bytes
    return groups


def in_order(tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Wide numbers first: then each starts at a multiple of its own size."""
    return tuple(sorted(tensors, key=lambda tensor: -ITEM_BYTES[tensor.dtype]))


Group = TypeVar("Group")


def named(groups: Sequence[Group]) -> Iterator[tuple[str, Group]]:
    """Groups with the names that a checkpoint's files have."""
    for number, group in enumerate(groups, 1):
        if len(groups) == 1:
            yield SINGLE, group
        else:
            yield f"model-{number:05d}-of-{len(groups):05d}.safetensors", group


def write_index(shards: Sequence[Shard], folder: Path) -> None:
    """The index of a checkpoint of several files; nothing for a single one."""
    if len(shards) == 1:
        return
    weight_map = {t.name: shard.file for shard in shards for t in shard.tensors}
    index = {
        "metadata": {"total_size": sum(shard.num_bytes for shard in shards)},
        "weight_map": dict(sorted(weight_map.items())),
    }
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def write_shards(
    shards: Sequence[Shard],
    folder: Path,
    *,
    threads: int = 1,
    written: Mapping[str, str] | None = None,
    on_bytes: Callable[[int], None] = lambda count: None,
    on_shard: Callable[[str, str], None] = lambda file, sha256: None,
) -> dict[str, str]:
    """Make all tensors and write them into `folder`; the SHA-256 of each file by its name.

    `written` names files of an earlier attempt, with their hashes: they are kept. `on_bytes` is
    called from the threads with the count of bytes written, `on_shard` with a finished file.
    """
    _keep_memory()
    hashes = dict(written or {})
    missing = [shard for shard in shards if shard.file not in hashes]
    queue, stop = _Queue([_OpenShard(shard, folder) for shard in missing], threads), Event()

    def work() -> None:
        while not stop.is_set() and (job := queue.take()) is not None:
            shard, tensor, offset = job
            for piece in tensor.pieces():
                if stop.is_set():
                    return
                shard.write(piece, offset)
                offset += piece.nbytes
                on_bytes(piece.nbytes)
            assert offset == shard.end_of(tensor), tensor.name
            digest = queue.done(shard)
            if digest is not None:
                hashes[shard.name] = digest
                on_shard(shard.name, digest)

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work) for _ in range(threads)]
        try:
            finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            stop.set()
    queue.close()
    for future in finished:
        future.result()
    return {shard.file: hashes[shard.file] for shard in shards}


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's mallopt


def _keep_memory() -> None:
    """Let threads reuse the memory of blocks: glibc gives it back at every free otherwise, and
    clearing it again costs as much as the arithmetic. Nothing happens with another library."""
    try:
        libc = ctypes.CDLL(None)
        libc.mallopt(_TRIM_THRESHOLD, 1 << 27)
        libc.mallopt(_MMAP_THRESHOLD, 1 << 25)
    except (OSError, AttributeError):
        return


class _OpenShard:
    """A file being filled in any order and hashed from its front as it becomes whole."""

    def __init__(self, shard: Shard, folder: Path) -> None:
        self.name, self.path = shard.file, folder / shard.file
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        starts, offset = dict[str, int](), 0
        for tensor in shard.tensors:
            starts[tensor.name], end = offset, offset + tensor.num_bytes
            header[tensor.name] = {
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "data_offsets": [offset, end],
            }
            offset = end
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._front = len(text).to_bytes(8, "little") + text
        self._start = {name: len(self._front) + start for name, start in starts.items()}
        self._size = len(self._front) + offset
        self.pending = _by_urgency(shard.tensors)
        self.active = 0
        self._handle: int | None = None
        self._sha256 = hashlib.sha256()
        self._hashed = 0  # bytes from the front that the hash has seen
        self._later: dict[int, int] = {}  # written before their turn: start -> end
        self._state, self._hashing = Lock(), Lock()

    def start_of(self, tensor: Tensor) -> int:
        return self._start[tensor.name]

    def end_of(self, tensor: Tensor) -> int:
        return self._start[tensor.name] + tensor.num_bytes

    def open(self) -> None:
        if self._handle is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
            self._handle = os.open(self.path, flags, 0o644)
            _reserve(self._handle, self._size)
            self.write(np.frombuffer(self._front, np.uint8), 0)

    def write(self, piece: np.ndarray, offset: int) -> None:
        assert self._handle is not None
        view, at = piece.data, offset
        while view:
            count = os.pwrite(self._handle, view, at)
            view, at = view[count:], at + count
        # The thread at the front hashes what it has just written, still in the cache.
        if self._hashing.acquire(blocking=False):
            try:
                with self._state:
                    is_next = self._hashed == offset
                    if not is_next:
                        self._later[offset] = offset + piece.nbytes
                if is_next:
                    self._sha256.update(piece.data)
                    with self._state:
                        self._hashed += piece.nbytes
            finally:
                self._hashing.release()
        else:
            with self._state:
                self._later[offset] = offset + piece.nbytes

    def catch_up(self, blocking: bool = False) -> None:
        """Hash what has been written before its turn and whose turn has come."""
        if not self._hashing.acquire(blocking=blocking):
            return
        try:
            while (end := self._next()) is not None:
                self._reread(end)
        finally:
            self._hashing.release()

    def _next(self) -> int | None:
        with self._state:
            return self._later.pop(self._hashed, None)

    def _reread(self, end: int) -> None:
        assert self._handle is not None
        while self._hashed < end:
            piece = os.pread(self._handle, min(_REREAD_BYTES, end - self._hashed), self._hashed)
            if not piece:
                raise WorkError(f"{self.path} has become shorter while it was written")
            self._sha256.update(piece)
            with self._state:
                self._hashed += len(piece)

    def finish(self) -> str:
        self.catch_up(blocking=True)
        assert self._hashed == self._size, self.path
        self.close()
        return self._sha256.hexdigest()

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _reserve(handle: int, size: int) -> None:
    """Give a file its size, and where the system can (Linux, most file systems) its place on the
    disk: a full one is an error before the file is filled, and writing takes less time.

    Not `os.posix_fallocate`: where a file system has no such thing, that writes every block.
    """
    try:
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    except (OSError, AttributeError):
        fallocate = None
    if fallocate is not None and fallocate(handle, 0, c_int64(0), c_int64(size)):
        number = ctypes.get_errno()
        if number in FULL_ERRNO:
            raise OSError(number, os.strerror(number))
    os.ftruncate(handle, size)


def _by_urgency(tensors: Sequence[Tensor]) -> list[Tensor]:
    """In the order of their bytes, but what would keep one thread busy for long comes first."""
    total = sum(tensor.num_bytes for tensor in tensors)
    large = [t for t in tensors if t.computed and t.num_bytes > total / 16]
    large.sort(key=lambda t: -t.num_bytes)
    chosen = {t.name for t in large}
    rest = [t for t in tensors if t.name not in chosen]
    return (large + rest)[::-1]  # taken from the end


class _Queue:
    """Gives threads tensors to make: a file each while there are enough, then shared ones."""

    def __init__(self, shards: Sequence[_OpenShard], threads: int) -> None:
        self._shards, self._threads = list(shards), threads
        self._lock = Lock()

    def take(self) -> tuple[_OpenShard, Tensor, int] | None:
        with self._lock:
            waiting = [shard for shard in self._shards if shard.pending]
            if not waiting:
                return None
            shard = min(waiting[: self._threads], key=lambda s: s.active)
            shard.open()
            shard.active += 1
            tensor = shard.pending.pop()
        return shard, tensor, shard.start_of(tensor)

    def done(self, shard: _OpenShard) -> str | None:
        """A tensor of this file is written; the file's hash when it was the last one."""
        with self._lock:
            shard.active -= 1
            last = not shard.pending and not shard.active
            if last:
                self._shards.remove(shard)
        if last:
            return shard.finish()
        shard.catch_up()
        return None

    def close(self) -> None:
        for shard in self._shards:
            shard.close()
