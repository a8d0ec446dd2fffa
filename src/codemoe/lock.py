"""One process per run directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from codemoe.disk import disk_fault
from codemoe.errors import UserError


class InUse(UserError):
    """Another process works there."""


@contextmanager
def run_lock(
    run_dir: Path, other: str = "give this run another name: name=other"
) -> Iterator[None]:
    """One process per run directory; the kernel drops the lock of a dead one.

    `other` is what else to do, for the message, than to wait.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        handle = (run_dir / ".lock").open("a+")
    except OSError as error:
        raise disk_fault(error, run_dir) or UserError(
            f"cannot use {run_dir}: {error.strerror}", "choose another folder: runs_dir=..."
        ) from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            owner = handle.read().strip() or "unknown"
            raise InUse(
                f"{run_dir} is in use by process {owner}",
                f"wait for it, or {other}",
            ) from None
        except OSError as error:
            raise UserError(
                f"{run_dir} cannot be locked: {error.strerror}",
                "choose a folder on a local disk: runs_dir=...",
            ) from None
        _sign(handle)
        yield


def _sign(handle: TextIO) -> None:
    """Say who holds the lock; a full disk costs only this courtesy."""
    try:
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
    except OSError:
        return
