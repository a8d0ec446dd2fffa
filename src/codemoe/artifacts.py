"""Stage directories: written under a temporary name, manifest last, renamed into place.

A directory with a manifest is finished; one without is not. `run_stage` skips a finished stage
whose config and inputs are the same, stops at one that differs and names the keys, and keeps the
temporary directory of an interrupted stage so that training resumes from its checkpoints.
"""

import hashlib
import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from codemoe import __version__
from codemoe.disk import disk_fault, fsync, fsync_tree
from codemoe.errors import UserError
from codemoe.progress import say

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
HASHES = ".sha256.json"  # in a partial folder: of files that were hashed while they were written
CHECKPOINTS = "checkpoints"  # in a stage's folder: for resuming only, dropped when it is finished
_ATTEMPT = ".attempt"  # in a partial folder: the settings and inputs it was begun with
Redo = Literal["never", "different", "always"]  # which finished stages are made again
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
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is not a finished stage (it has no {MANIFEST})") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path / MANIFEST} cannot be read: {error}", f"remove {path}") from None
    keys = ("kind", "config", "inputs", "outputs")
    if not isinstance(manifest, dict) or any(key not in manifest for key in keys):
        raise UserError(f"{path / MANIFEST} lacks one of {', '.join(keys)}", f"remove {path}")
    return manifest


def digest_of(path: Path) -> str:
    """What a stage made, independent of when: the hash of its outputs' hashes."""
    return config_hash(read_manifest(path)["outputs"])


def verify(path: Path) -> None:
    """Raise when a finished stage's files are not the ones its manifest lists."""
    manifest = read_manifest(path)
    redo = f"make it again: codemoe {verb_of(manifest['kind'])} RECIPE --force"
    for name, expected in manifest["outputs"].items():
        file = path / name
        if not file.is_file():
            raise UserError(f"{file} is missing but listed in {MANIFEST}", redo)
        if sha256_of(file) != expected:
            raise UserError(
                f"{file} has changed since it was written (SHA-256 differs from {MANIFEST})", redo
            )


def verb_of(kind: str) -> str:
    """The command that makes artifacts of a kind."""
    verbs = {"expert": "experts", "dense": "experts", "merged": "merge"}
    verbs |= dict.fromkeys(("samples", "pairs", "aligned"), "align")
    return verbs.get(kind, kind)


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version  # reads mails: slow to import

    found = {"codemoe": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _differences(out: Path, config: dict[str, Any], inputs: dict[str, str]) -> list[str]:
    """One line for each key in which the finished stage at `out` is not the one asked for."""
    manifest = read_manifest(out)
    lines = _changes(manifest, {"config": config, "inputs": inputs})
    if manifest.get("schema_version") != SCHEMA_VERSION:
        lines.append(f"schema_version: {manifest.get('schema_version')}, now {SCHEMA_VERSION}")
    return lines


def _changes(made: Mapping[str, Any], asked: Mapping[str, Any]) -> list[str]:
    before, now = flatten(made["config"]), flatten(asked["config"])
    absent = object()
    lines = [
        f"{key}: made with {_shown(before, key)}, now {_shown(now, key)}"
        for key in sorted(before | now)
        if before.get(key, absent) != now.get(key, absent)
    ]
    old, new = made["inputs"], asked["inputs"]
    lines += [
        f"its input {role} has changed since"
        for role in sorted(old | new)
        if old.get(role) != new.get(role)
    ]
    return lines


def _shown(flat: Mapping[str, Any], key: str) -> str:
    return json.dumps(flat[key]) if key in flat else "nothing"


def _input_digests(out: Path, inputs: Mapping[str, Path]) -> dict[str, str]:
    missing = {role: path for role, path in inputs.items() if not is_finished(path)}
    if missing:
        verb = verb_of(next(iter(missing)).partition("/")[0])
        raise UserError(
            f"{out} is made from {', '.join(map(str, missing.values()))}, not finished yet",
            f"codemoe {verb} RECIPE first, or every stage: codemoe run RECIPE",
        )
    return {role: digest_of(path) for role, path in inputs.items()}


def run_stage(
    out: Path,
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, Path],
    work: Callable[[Path], None],
    *,
    seed: int = 0,
    redo: Redo = "never",
) -> bool:
    """Make the artifact `out` by calling `work(tmp)`; True when it was made, False when skipped.

    `config` is all that the result depends on besides `inputs`, finished stage directories by role.
    `work` may find files of an interrupted attempt in `tmp`, if that attempt had the same config.
    What `work` leaves in `tmp/checkpoints` is kept until the artifact is whole and then dropped.

    Raises UserError for a finished stage with another config, unless `redo` says to make it again;
    WorkError when the disk is full.
    """
    settings = json.loads(json.dumps(dict(config)))
    digests = _input_digests(out, inputs)
    partial, old = out.parent / f".{out.name}.partial", out.parent / f".{out.name}.old"
    try:
        if old.exists() and not out.exists():
            old.rename(out)  # killed between the two renames below
        if is_finished(out) and redo != "always":
            lines = _differences(out, settings, digests)
            if not lines:
                return False
            if redo == "never":
                raise UserError(_made_otherwise(out, lines), _REDO)
        elif out.exists() and not is_finished(out):
            raise UserError(
                f"{out} is in the way: it is not codemoe's (it has no {MANIFEST})",
                "move it elsewhere, or give this run another name: name=other",
            )
        elif not out.exists() and redo != "always" and (twin := _twin(out, settings, digests)):
            _link(twin, out)
            say(f"{out}: shared with {twin}")
            return True
        _begin(partial, {"kind": kind, "config": settings, "inputs": digests}, redo)
        if not is_finished(partial):
            for path in inputs.values():
                verify(path)
            started = time.monotonic()
            work(partial)
            seconds = time.monotonic() - started
            _write_manifest(partial, kind, settings, digests, seed, seconds)
        _finish(partial, out, old)
    except Exception as error:
        fault = disk_fault(error, out)
        if fault is None:
            raise
        raise fault from error
    return True


_donors: ContextVar[tuple[Path, tuple[Path, ...]] | None] = ContextVar("donors", default=None)


@contextmanager
def share_from(run_dir: Path, donors: Sequence[Path]) -> Iterator[None]:
    """Within this scope, a stage of `run_dir` that one of the runs `donors` has finished with the
    same settings and inputs is linked from there instead of made again."""
    token = _donors.set((run_dir, tuple(donors)))
    try:
        yield
    finally:
        _donors.reset(token)


def _twin(out: Path, settings: dict[str, Any], digests: dict[str, str]) -> Path | None:
    """The same stage of another run: what it was made with decides, and its files are whole."""
    scope = _donors.get()
    if scope is None or not out.is_relative_to(scope[0]):
        return None
    for donor in scope[1]:
        candidate = donor / out.relative_to(scope[0])
        if is_finished(candidate) and not _differences(candidate, settings, digests):
            verify(candidate)
            return candidate
    return None


def _link(twin: Path, out: Path) -> None:
    """A folder of its own whose files are the other's; nobody changes a finished stage's files."""
    draft = out.parent / f".{out.name}.linked"
    shutil.rmtree(draft, ignore_errors=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(twin, draft, copy_function=os.link)
    except (OSError, shutil.Error):  # another file system
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(twin, draft)
    fsync_tree(draft)
    draft.rename(out)
    fsync(out.parent)


_REDO = (
    "to keep it: give this run another name, name=other; to replace it and what follows from it, "
    "and nothing else: codemoe run RECIPE --force"
)


def _made_otherwise(out: Path, lines: list[str], how: str = "was made") -> str:
    shown = "\n".join(f"  {line}" for line in lines[:12])
    more = f"\n  and {len(lines) - 12} more" if len(lines) > 12 else ""
    return f"{out} {how} with other settings:\n{shown}{more}"


def _begin(partial: Path, attempt: dict[str, Any], redo: Redo) -> None:
    """A partial folder for this attempt: what an interrupted one left, if it was the same.

    Raises UserError when another attempt left training checkpoints there, unless `redo` allows it.
    """
    partial.parent.mkdir(parents=True, exist_ok=True)
    if partial.exists() and (before := _attempt_in(partial)) != attempt:
        if redo == "never" and before is not None and any((partial / CHECKPOINTS).glob("*")):
            name = partial.name.removeprefix(".").removesuffix(".partial")
            what = _made_otherwise(
                partial.with_name(name), _changes(before, attempt), "was begun and interrupted"
            )
            raise UserError(what, _REDO)
        shutil.rmtree(partial)
    if not partial.exists():
        partial.mkdir()
        (partial / _ATTEMPT).write_text(json.dumps(attempt))


def _attempt_in(partial: Path) -> dict[str, Any] | None:
    keys = ("kind", "config", "inputs")
    try:
        if is_finished(partial):  # killed before the rename
            found = read_manifest(partial)
        else:
            found = json.loads((partial / _ATTEMPT).read_text())
        return {key: found[key] for key in keys}
    except (OSError, ValueError, KeyError, UserError):
        return None


def _write_manifest(
    folder: Path,
    kind: str,
    config: dict[str, Any],
    inputs: dict[str, str],
    seed: int,
    seconds: float,
) -> None:
    draft = folder / f".{MANIFEST}"
    draft.unlink(missing_ok=True)  # of an attempt that was killed here
    names = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    known = json.loads((folder / HASHES).read_text()) if HASHES in names else {}
    outputs = {
        name: known.get(name) or sha256_of(file)
        for name, file in sorted(names.items())
        if name not in (_ATTEMPT, HASHES) and Path(name).parts[0] != CHECKPOINTS
    }
    manifest = {
        "kind": kind,
        "schema_version": SCHEMA_VERSION,
        "config": config,
        "config_hash": config_hash(config),
        "inputs": inputs,
        "outputs": outputs,
        "versions": versions(),
        "seed": seed,
        "seconds": round(seconds, 3),
    }
    draft.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    fsync_tree(folder)
    draft.rename(folder / MANIFEST)


def _finish(partial: Path, out: Path, old: Path) -> None:
    """Drop what only a resumed attempt needs; put the folder in its place."""
    shutil.rmtree(partial / CHECKPOINTS, ignore_errors=True)
    for name in (_ATTEMPT, HASHES):
        (partial / name).unlink(missing_ok=True)
    fsync(partial)
    if out.exists():
        # Two renames, so that a kill in between leaves the old one or the new one whole.
        shutil.rmtree(old, ignore_errors=True)
        out.rename(old)
    partial.rename(out)
    fsync(out.parent)
    shutil.rmtree(old, ignore_errors=True)
