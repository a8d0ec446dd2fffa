"""The folder that a merge makes: beside its place until it is whole, resumed after a kill.

Shards that an interrupted attempt finished are kept when the same is asked for again on the same
boot of the machine: what a killed process wrote is in the kernel's hands, after a power cut it may
not be. For that reason nothing waits for the disk here; the manifest's hashes tell whether the
files are whole.
"""

import json
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from codemoe import __version__
from codemoe.artifacts import (
    MANIFEST,
    SCHEMA_VERSION,
    config_hash,
    flatten,
    is_finished,
    read_manifest,
    sha256_of,
)
from codemoe.disk import disk_fault, existing_parent
from codemoe.errors import UserError, WorkError
from codemoe.lock import InUse, run_lock
from codemoe.models.storage.dtypes import torch_name
from codemoe.models.storage.write import Shard, Tensor, write_index, write_shards
from codemoe.progress import progress

_JOURNAL = ".journal"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def is_made(out: Path, kind: str, config: Mapping[str, Any], force: bool) -> bool:
    """Whether `out` is this very result. Raises UserError when something else is in the way."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not out.is_dir() or not is_finished(out):
        raise UserError(
            f"{out} is in the way: it was not made by this command (it has no {MANIFEST})",
            "choose another name, or remove it yourself",
        )
    made = read_manifest(out)
    if made["kind"] != kind:
        raise UserError(
            f"{out} holds something else, of the kind {made['kind']!r}", "choose another name"
        )
    if force:
        return False
    before, now = flatten(made["config"]), flatten(_plain(config))
    keys = sorted(k for k in before | now if before.get(k) != now.get(k))
    if keys:
        lines = [f"  {k}: {_told(before, k)}, now {_told(now, k)}" for k in keys[:8]]
        more = f"\n  and {len(keys) - 8} more" if len(keys) > 8 else ""
        raise UserError(
            f"{out} was made from something else:\n" + "\n".join(lines) + more,
            "choose another name, or replace it: --force",
        )
    return True


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dict(config)))
    return plain


def _told(flat: Mapping[str, Any], key: str) -> str:
    text = json.dumps(flat[key]) if key in flat else "nothing"
    return text if len(text) <= 60 else f"{text[:57]}..."


@contextmanager
def made_in(out: Path) -> Iterator[Path]:
    """A folder beside `out` that takes its place when the block ends well.

    It stays behind only when the process is killed or interrupted: then it is gone on from.
    """
    out = out.resolve()  # of a link, the place that it points to
    partial, old = out.parent / f".{out.name}.partial", out.parent / f".{out.name}.old"
    try:
        if old.exists() and not out.exists():
            old.rename(out)  # killed between the two renames below
        _make(partial)
        with run_lock(partial, "choose another name for the result"):
            yield partial
        (partial / ".lock").unlink(missing_ok=True)
        if out.exists():
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
        partial.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    except Exception as error:
        fault = disk_fault(error, out)
        if not isinstance(error, InUse):
            shutil.rmtree(partial, ignore_errors=True)
        if fault is None:
            raise
        raise type(fault)(fault.what, "free some space, or choose another place") from error


def _make(partial: Path) -> None:
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {partial}: {error.strerror}", "choose another place"
        ) from None


def write_weights(
    shards: Sequence[Shard],
    partial: Path,
    config: Mapping[str, Any],
    what: str,
    threads: int,
) -> dict[str, str]:
    """Fill `partial` with the shards, going on from an earlier attempt at the same; their hashes.

    Checks first that they fit on the disk.
    """
    layout = {shard.file: [tensor.name for tensor in shard.tensors] for shard in shards}
    attempt = {
        "config": config_hash(_plain(config)),
        "layout": config_hash(layout),
        "boot": _boot(),
    }
    written = _begin(partial, attempt, shards)
    missing = [shard for shard in shards if shard.file not in written]
    total = sum(shard.num_bytes for shard in shards)
    left = sum(shard.num_bytes for shard in missing)
    _refuse_full_disk(partial, left)
    journal = partial / _JOURNAL

    def keep(file: str, sha256: str) -> None:
        with journal.open("a") as opened:
            opened.write(json.dumps({"file": file, "sha256": sha256}) + "\n")

    megabytes, before = max(total // 10**6, 1), (total - left) // 10**6
    with progress(what, megabytes, "MB", before) as advance:
        meter = _Meter(advance)
        hashes = write_shards(
            shards, partial, threads=threads, written=written, on_bytes=meter.add, on_shard=keep
        )
        meter.end(megabytes - before)
    write_index(shards, partial)
    journal.unlink()
    return hashes


class _Meter:
    """Counts bytes of several threads into whole megabytes for the bar, with the speed."""

    def __init__(self, advance: Callable[[int, str], None]) -> None:
        self._advance, self._bytes, self._shown = advance, 0, 0
        self._started = self._last = time.monotonic()
        self._lock = Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self._bytes += count
            now = time.monotonic()
            if now - self._last >= 0.1:
                self._last = now
                self._show(now)

    def _show(self, now: float, megabytes: int | None = None) -> None:
        """Call with the lock held."""
        step = (self._bytes // 10**6 if megabytes is None else megabytes) - self._shown
        self._shown += step
        speed = self._bytes / max(now - self._started, 1e-3)
        self._advance(step, f"{speed / 1e6:,.0f} MB/s")

    def end(self, megabytes: int) -> None:
        self._show(time.monotonic(), megabytes)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _begin(partial: Path, attempt: dict[str, str], shards: Sequence[Shard]) -> dict[str, str]:
    """The finished files of an earlier attempt at the same; anything else in the way is removed."""
    journal, kept = partial / _JOURNAL, dict[str, str]()
    try:
        first, *lines = journal.read_text().splitlines()
        if json.loads(first) == attempt and attempt["boot"]:
            known = {shard.file for shard in shards}
            for line in lines:
                entry = json.loads(line)
                if entry["file"] in known and (partial / entry["file"]).is_file():
                    kept[entry["file"]] = entry["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        kept = {}
    for path in partial.glob("*.safetensors"):
        if path.name not in kept:
            path.unlink()
    lines = [json.dumps(attempt), *(json.dumps({"file": f, "sha256": s}) for f, s in kept.items())]
    journal.write_text("\n".join(lines) + "\n")
    return kept


def _refuse_full_disk(folder: Path, num_bytes: int) -> None:
    place = existing_parent(folder)
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise WorkError(
            f"the result takes {num_bytes / 1e9:.2f} GB more, but {free / 1e9:.2f} GB are free at "
            f"{place}",
            "free some space, or choose another disk",
        )


def write_json(path: Path, tree: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(tree, indent=2) + "\n", encoding="utf-8")


def set_dtype(config: dict[str, Any], planned: Sequence[Tensor]) -> None:
    """Say in the config what most of the weights are stored as."""
    sizes: dict[str, int] = {}
    for tensor in planned:
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.num_bytes
    main = max(sizes, key=lambda dtype: sizes[dtype])
    key = "torch_dtype" if "torch_dtype" in config else "dtype"
    try:
        config[key] = torch_name(main)
    except KeyError:
        config.pop(key, None)


def write_manifest(
    partial: Path,
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    hashes: Mapping[str, str],
    seed: int,
    started: float,
) -> dict[str, Any]:
    """The manifest of a result; the hashes of shards are those taken while they were written."""
    outputs = {
        path.name: hashes.get(path.name) or sha256_of(path)
        for path in sorted(partial.iterdir())
        if path.is_file() and path.name not in (MANIFEST, ".lock")
    }
    manifest = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "config": _plain(config),
        "config_hash": config_hash(_plain(config)),
        "inputs": dict(inputs),
        "outputs": outputs,
        "versions": {  # of all that the numbers depend on
            "codemoe": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "seed": seed,
        "seconds": round(time.monotonic() - started, 3),
    }
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    (partial / MANIFEST).write_text(text, encoding="utf-8")
    return manifest
