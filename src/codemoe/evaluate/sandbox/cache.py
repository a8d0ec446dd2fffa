"""Verdicts by the content of what was judged: identical samples are common."""

import json
import os
from pathlib import Path

from codemoe.errors import UserError
from codemoe.evaluate.sandbox.judgement import Judgement

# What a loaded machine or a broken set-up can cause says nothing lasting about the program.
NOT_CACHED = frozenset({"timeout", "sandbox_error", "missing_toolchain"})


def _file(cache: Path, key: str) -> Path:
    return cache / key[:2] / f"{key[2:]}.json"


def read(cache: Path | None, key: str) -> Judgement | None:
    """The verdict of an earlier run, or None."""
    if cache is None:
        return None
    try:
        row = json.loads(_file(cache, key).read_text("utf-8"))
        return Judgement(str(row["status"]), str(row["detail"]), str(row["form"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # absent or torn: judge again


def write(cache: Path | None, key: str, judgement: Judgement) -> None:
    """Keep a verdict that will hold; raises UserError when the cache cannot be written."""
    if cache is None or judgement.status in NOT_CACHED:
        return
    path = _file(cache, key)
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(judgement._asdict()), "utf-8")
        part.replace(path)
    except OSError as error:
        raise UserError(
            f"cannot write the verdict cache: {error}", "choose another cache"
        ) from error
