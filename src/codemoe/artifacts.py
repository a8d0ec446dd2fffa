"""Stage directories: written under a temporary name, manifest last, renamed into place.

A directory with a manifest is finished; one without is not. `stage(...)` skips a finished stage whose
config and inputs are the same, stops at one that differs and names the keys, and keeps the temporary
directory of an interrupted stage so that training resumes from its checkpoints.
"""

import errno
import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from codemoe import __version__
from codemoe.errors import UserError, WorkError

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
_PACKAGES = ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "safetensors")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def config_hash(config: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}; the form in which differing keys are named."""
    if isinstance(tree, Mapping) and tree:
        flat: dict[str, Any] = {}
        for key, value in tree.items():
            flat.update(flatten(value, f"{prefix}{key}."))
        return flat
    return {prefix.rstrip("."): tree}


def is_finished(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a finished stage directory."""
    try:
        return json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is not a finished stage (it has no {MANIFEST})") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path / MANIFEST} cannot be read: {error}") from None


def digest_of(path: Path) -> str:
    """What a stage made, independent of when: the hash of its outputs' hashes."""
    return config_hash(read_manifest(path)["outputs"])


def verify(path: Path) -> None:
    """Raise when a finished stage's files are not the ones its manifest lists."""
    for name, expected in read_manifest(path)["outputs"].items():
        file = path / name
        if not file.is_file():
            raise UserError(f"{file} is missing but listed in {MANIFEST}", "redo it with --force")
        if sha256_of(file) != expected:
            raise UserError(
                f"{file} has changed since it was written (SHA-256 differs from {MANIFEST})",
                "redo the stage with --force",
            )


def versions() -> dict[str, str]:
    found = {"codemoe": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _fsync_tree(path: Path) -> None:
    """Contents must be on disk before the rename makes them visible."""
    for item in [*path.rglob("*"), path]:
        if item.is_file() or item.is_dir():
            handle = os.open(item, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _check_same(out: Path, config: dict[str, Any], inputs: dict[str, str]) -> None:
    """Raise, naming the differing keys, unless the finished stage at `out` is the one asked for."""
    manifest = read_manifest(out)
    before = flatten({"config": manifest["config"], "inputs": manifest["inputs"]})
    now = flatten({"config": config, "inputs": inputs})
    absent = object()
    differing = sorted(
        key for key in before | now if before.get(key, absent) != now.get(key, absent)
    )
    if differing:
        lines = [
            f"  {key}: made with {before.get(key)!r}, now {now.get(key)!r}"
            for key in differing[:12]
        ]
        raise UserError(
            f"{out} was made with other settings:\n" + "\n".join(lines),
            "use another `name=`, or --force to redo it and what follows from it",
        )


def run_stage(
    out: Path,
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Path],
    work: Callable[[Path], None],
    *,
    seed: int = 0,
    force: bool = False,
) -> bool:
    """Make the artifact `out` by calling `work(tmp)`; True when it was made, False when skipped.

    `config` is all that the result depends on besides `inputs`, finished stage directories by role.
    `work` may find files of an interrupted attempt in `tmp`, if that attempt had the same config.
    """
    settings = json.loads(json.dumps(dict(config)))
    digests = {role: digest_of(path) for role, path in inputs.items()}
    if is_finished(out) and not force:
        _check_same(out, settings, digests)
        return False
    tmp = out.parent / f".{out.name}.partial"
    marker = tmp / ".attempt"
    attempt = config_hash({"config": settings, "inputs": digests, "kind": kind})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if tmp.exists() and (not marker.is_file() or marker.read_text() != attempt):
            shutil.rmtree(tmp)
        tmp.mkdir(exist_ok=True)
        marker.write_text(attempt)
        started = time.monotonic()
        work(tmp)
        seconds = time.monotonic() - started
        marker.unlink()
        outputs = {
            str(file.relative_to(tmp)): sha256_of(file)
            for file in sorted(tmp.rglob("*"))
            if file.is_file()
        }
        manifest = {
            "kind": kind,
            "schema_version": SCHEMA_VERSION,
            "config": settings,
            "config_hash": config_hash(settings),
            "inputs": digests,
            "outputs": outputs,
            "versions": versions(),
            "seed": seed,
            "seconds": round(seconds, 3),
        }
        (tmp / MANIFEST).write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
        _fsync_tree(tmp)
        if out.exists():
            # Two renames, so that a kill in between leaves the old one or the new one whole.
            old = out.parent / f".{out.name}.old"
            shutil.rmtree(old, ignore_errors=True)
            out.rename(old)
            tmp.rename(out)
            shutil.rmtree(old)
        else:
            tmp.rename(out)
    except OSError as error:
        raise _disk_error(error, out) from error
    return True


def _disk_error(error: OSError, out: Path) -> Exception:
    """Disk and permission faults as one clear message; anything else unchanged."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = shutil.disk_usage(existing_parent(out)).free
        return WorkError(
            f"no space left while writing {out} ({free / 2**20:.0f} MiB free); what was finished "
            "before is intact",
            "free some space and run the same command again: finished stages are skipped",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return UserError(f"cannot write {out}: {error.strerror}", "choose another runs_dir=")
    return error


def existing_parent(path: Path) -> Path:
    """The nearest folder above (or at) `path` that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


@contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """One process per run directory; the kernel drops the lock of a dead one."""
    import fcntl

    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        handle = (run_dir / ".lock").open("a+")
    except OSError as error:
        raise UserError(
            f"cannot use {run_dir}: {error.strerror}", "choose another runs_dir="
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            owner = handle.read().strip() or "another process"
            raise UserError(
                f"{run_dir} is in use by process {owner}",
                "wait for it, or give this run another name: name=other",
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield
    finally:
        handle.close()
