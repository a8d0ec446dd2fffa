"""Tools that work inside the sandbox, and the cache directory that the sandbox may read.

Programs run under a user id without rights, so a tool under somebody's home (pyenv, nvm) may be
unreadable for them; such a tool is refused here, with words, instead of failing inside.
"""

import hashlib
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codemoe.errors import WorkError
from codemoe.evaluate.sandbox.bwrap import host_uid

_INSTALL = {
    "python3": "python3",
    "node": "nodejs",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "g++": "g++",
}


class MissingTool(Exception):
    """A language cannot run here; the message says why and what to install."""


@dataclass(frozen=True)
class Tool:
    """An executable as the sandbox sees it, with the directories it needs besides /usr."""

    path: str
    binds: tuple[str, ...]
    stamp: str  # changes when the file does: part of every cache key


def reachable(path: Path, uid: int | None) -> bool:
    """Whether user `uid` (None: this process) can walk to `path` and read or search it."""
    if uid is None:
        return os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0))
    wanted = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
    parents_open = all(p.stat().st_mode & stat.S_IXOTH for p in path.parents)
    return parents_open and path.stat().st_mode & wanted == wanted


def find_tool(name: str) -> Tool:
    """The tool called `name`; raises MissingTool when absent or unreadable for the sandbox."""
    found = f"/usr/bin/{name}" if os.path.exists(f"/usr/bin/{name}") else shutil.which(name)
    if name == "python3" and found != "/usr/bin/python3":
        # A shim on PATH says nothing about the real prefix; our own interpreter's is known.
        found = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
        if not os.path.exists(found):
            found = None
    if found is None:
        raise MissingTool(f"{name} is not installed: apt-get install {_INSTALL.get(name, name)}")
    real = Path(found).resolve()
    info = real.stat()
    stamp = f"{real}:{info.st_size}:{info.st_mtime_ns}"
    if real.is_relative_to("/usr"):
        return Tool(found if found.startswith("/usr/") else str(real), (), stamp)
    prefix = real.parent.parent
    if not (reachable(real, host_uid(0)) and reachable(prefix, host_uid(0))):
        package = _INSTALL.get(name, name)
        raise MissingTool(
            f"{real} cannot be read by the sandbox's unprivileged user: "
            f"apt-get install {package}, which puts one under /usr"
        )
    return Tool(str(real), (str(prefix),), stamp)


def cache_root() -> Path:
    """The first writable cache directory that the sandbox's user can read."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    shared = [Path("/var/cache/codemoe")] if os.geteuid() == 0 else []
    private = Path(tempfile.gettempdir()) / f"codemoe-cache-{os.geteuid()}"
    for root in (home / "codemoe", *shared, private):
        try:
            ancestor = next(path for path in root.parents if path.is_dir())
            if not reachable(ancestor, host_uid(0)):
                continue
            root.mkdir(parents=True, exist_ok=True)
            if root.stat().st_uid == os.geteuid():  # not a directory that somebody else prepared
                root.chmod(0o755)
                return root
        except OSError:
            continue
    raise WorkError(
        "no cache directory that the sandbox can read",
        "set XDG_CACHE_HOME to a directory that every user may search",
    )


def cached_build(kind: str, key: str, build: Callable[[Path], None]) -> Path:
    """The directory that `build` fills, made once per key and renamed into place when complete."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    final = cache_root() / f"{kind}-{digest}"
    if final.is_dir():
        return final
    made = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=final.parent))
    try:
        build(made)
        for path in (made, *made.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        os.rename(made, final)
    except OSError:
        if not final.is_dir():  # otherwise another process was faster, which is as good
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return final
