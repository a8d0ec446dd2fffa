"""What can go wrong between us and the disk, and how to be sure that bytes have arrived."""

import errno
import os
import re
import shutil
from pathlib import Path

from codemoe.errors import UserError, WorkError

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_tree(folder: Path) -> None:
    """Contents must be on disk before a rename makes them visible."""
    for item in [*folder.rglob("*"), folder]:
        if item.is_file() or item.is_dir():
            fsync(item)


# Not all writers raise OSError: safetensors, tokenizers and torch.save have errors of their own.
FULL_ERRNO = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_TEXT = (
    *(f"(os error {number})" for number in FULL_ERRNO),
    "No space left on device",
    "inline_container.cc",
    "PytorchStreamWriter failed",
)


def disk_fault(error: BaseException, out: Path) -> UserError | None:
    """A disk that is full or closed to us as one clear message; None for any other error.

    Looks behind errors that hide the first one (`raise ... from`).
    """
    cause: BaseException | None = error
    while cause is not None:
        full = isinstance(cause, OSError) and cause.errno in FULL_ERRNO
        if full or (
            not isinstance(cause, UserError) and any(text in str(cause) for text in _FULL_TEXT)
        ):
            free = shutil.disk_usage(existing_parent(out)).free
            return WorkError(
                f"no space left while writing {out} ({free / 2**20:.0f} MiB free); what was "
                "finished before is intact",
                "free some space and run the same command again: finished stages are skipped",
            )
        cause = cause.__cause__ or cause.__context__
    closed = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
    if isinstance(error, OSError) and error.errno in closed:
        what = f"cannot write {out}: {error.strerror} ({error.filename})"
        return UserError(what, "choose another folder: runs_dir=...")
    return None


def existing_parent(path: Path) -> Path:
    """The nearest folder above (or at) `path` that exists."""
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def parse_size(text: str, option: str = "--max-memory") -> int:
    """ "4GB", "500 MB" or "2GiB" in bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]i?)?B?", text.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise UserError(f"{option} is {text!r}; expected a size such as 4GB")
    return int(float(found[1]) * _UNITS[(found[2] or "").capitalize()])
