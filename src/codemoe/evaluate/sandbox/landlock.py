"""Tier "landlock": Landlock, seccomp and limits, for places without user namespaces.

The process stays in the host's namespaces: it may start no other process, signal nobody, open no
socket, and open only what is listed here. A compiler gets a scratch directory, a candidate none.
Landlock hides contents, not names: whether a path exists can still be found out.
"""

import ctypes
import functools
import json
import os
import shutil
import tempfile
from pathlib import Path

from codemoe.evaluate.sandbox.confinement import ENVIRONMENT, ETC, Request, host_uid

_CREATE_RULESET = 444  # the same number on every architecture
_LAUNCHER = Path(__file__).parent / "launchers" / "confine.py"
_READ = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_SCRATCH = "codemoe-sandbox-"
PYTHON = "/usr/bin/python3"


@functools.cache
def abi() -> int:
    """The kernel's Landlock version; 0 where it has none."""
    return max(0, ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, 0, 1))


def make_scratch(slot: int) -> str:
    """A directory that the slot's user may write; its name tells whose it is."""
    path = tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-")
    uid = host_uid(slot)
    if uid is not None:
        os.chown(path, uid, uid)
    return path


def sweep() -> None:
    """Remove scratch directories whose evaluation was killed before it could."""
    for path in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        owner = path.name.removeprefix(_SCRATCH).partition("-")[0]
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(path, ignore_errors=True)


def _limits(request: Request) -> dict[str, int]:
    """The profile's. The kernel counts tasks by user, and an ordinary user's programs are of the
    user's own: what else the user runs, and other slots' programs, come on top."""
    limits = request.profile.rlimits()
    if host_uid(request.slot) is None:
        limits["nproc"] = _tasks_of(os.getuid()) + limits["nproc"] * (os.cpu_count() or 1)
    return limits


def _tasks_of(uid: int) -> int:
    """Threads of all processes of a user."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == uid:
                count += len(os.listdir(process / "task"))
        except OSError:  # it has ended meanwhile
            continue
    return count


def command_line(request: Request, *, confined: bool = True) -> list[str]:
    """A small Python that confines itself and becomes the command.

    `confined=False` (--unsafe-no-sandbox) leaves nothing but the limits.
    """
    work = request.scratch or "/"
    files = {name: f"/proc/self/fd/{descriptor}" for descriptor, name in request.files}

    def inside(word: str) -> str:
        for name, path in files.items():
            word = word.replace(f"{{file}}/{name}", path)
        return word.replace("{work}", work)

    environment = [*ENVIRONMENT, ("HOME", work), ("TMPDIR", work), *request.environment]
    rules = {
        "parent": os.getpid(),
        "abi": abi() if confined else 0,
        "read": [*_READ, *ETC(), *request.binds],
        "devices": _DEVICES,
        "write": [request.scratch] if request.scratch else [],
        "proc": request.profile.proc or bool(files),
        "seccomp_fd": request.seccomp_fd if confined else None,
        "rlimits": _limits(request),
        "cwd": work,
        "environment": {name: inside(value) for name, value in environment},
    }
    words = [PYTHON, "-I", "-S", "-B", "-c", _LAUNCHER.read_text("utf-8"), json.dumps(rules)]
    return [*words, *map(inside, request.command)]
