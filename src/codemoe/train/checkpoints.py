"""Checkpoints that are whole or not there: sealed last with their hashes, checked before use.

The Hugging Face trainer writes `checkpoint-N` file by file in place. A kill leaves a torn folder, a
bad disk a changed one, and it removes the old checkpoint before anyone has looked at the new one.
Here a checkpoint counts once `sealed.json` stands in it with the SHA-256 of every other file, and
an older one goes only after that.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codemoe.artifacts import sha256_of
from codemoe.disk import fsync, fsync_tree
from codemoe.progress import say

SEAL = "sealed.json"
STATE = "trainer_state.json"
_PREFIX = "checkpoint-"


def seal(checkpoint: Path) -> None:
    """Declare a checkpoint whole: its bytes are on disk and can be told from any others."""
    files = {
        str(file.relative_to(checkpoint)): sha256_of(file)
        for file in sorted(checkpoint.rglob("*"))
        if file.is_file() and file.name not in (SEAL, f".{SEAL}")
    }
    draft = checkpoint / f".{SEAL}"
    draft.write_text(json.dumps(files, indent=2) + "\n", encoding="utf-8")
    fsync_tree(checkpoint)
    draft.rename(checkpoint / SEAL)
    fsync(checkpoint)


def damage(checkpoint: Path) -> str | None:
    """What is wrong with a sealed checkpoint, or None. Reads every byte."""
    try:
        files = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        for name, expected in files.items():
            file = checkpoint / name
            if not file.is_file():
                return f"{name} is missing"
            if sha256_of(file) != expected:
                return f"{name} has changed since it was written (SHA-256 differs from {SEAL})"
    except (OSError, ValueError, AttributeError) as error:
        return f"{SEAL} cannot be read: {error}"
    return None


def steps_in(folder: Path) -> list[int]:
    """Steps of the sealed checkpoints in `folder`, oldest first."""
    found = folder.glob(f"{_PREFIX}*/{SEAL}")
    return sorted(int(path.parent.name.removeprefix(_PREFIX)) for path in found)


def at_step(folder: Path, step: int) -> Path:
    return folder / f"{_PREFIX}{step}"


def last_good(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; torn and damaged ones are cleared away."""
    sealed = steps_in(folder)
    for path in folder.glob(f"{_PREFIX}*"):
        if not (path / SEAL).is_file():
            shutil.rmtree(path)  # cut by a kill: never counted
    for step in reversed(sealed):
        path = at_step(folder, step)
        fault = damage(path)
        if fault is None:
            return path
        say(f"the checkpoint of step {step} is damaged and not used: {fault}")
        _remove(path)
    return None


def drop_old(folder: Path, keep: int, also: Sequence[int] = ()) -> None:
    """Remove all but the newest `keep` sealed checkpoints and those of the steps in `also`."""
    for step in steps_in(folder)[:-keep]:
        if step not in also:
            _remove(at_step(folder, step))


def _remove(checkpoint: Path) -> None:
    """The seal goes first: killed on the way, what is left does not count."""
    (checkpoint / SEAL).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The trainer's own account of a whole checkpoint: step, history, best step."""
    state: dict[str, Any] = json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    return state
