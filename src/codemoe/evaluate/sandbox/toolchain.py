"""Tools that work inside the sandbox, and the cache directory that the sandbox may read.

Programs run under a user id without rights, so a tool under somebody's home (pyenv, nvm) may be
unreadable for them; such a tool is refused here, with words, instead of failing inside.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from codemoe.errors import WorkError
from codemoe.evaluate.sandbox.confinement import host_uid
from codemoe.languages import LANGUAGES, Language

_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*")
_ASK_VERSION = {"go": "version"}
# Shims that only point at the real program: what to ask them for its installation.
_ASK_HOME = {"rustc": ("--print", "sysroot"), "go": ("env", "GOROOT")}


class MissingTool(Exception):
    """A language cannot run here; the message says why and what to install."""


@dataclass(frozen=True)
class Tool:
    """An executable as the sandbox sees it, with the directories it needs besides /usr."""

    name: str
    path: str
    binds: tuple[str, ...]
    stamp: str  # changes when the file does

    @property
    def version(self) -> str:
        """Such as "g++ 12.2.0"; the stamp where the program does not tell."""
        return _version(self.name, self.path, self.stamp)


@cache
def _version(name: str, path: str, stamp: str) -> str:
    try:
        done = subprocess.run(
            [path, _ASK_VERSION.get(name, "--version")],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
        )
    except (OSError, subprocess.TimeoutExpired):
        return f"{name} ({stamp})"
    found = _VERSION.search(done.stdout + done.stderr)
    return f"{name} {found[0]}" if found else f"{name} ({stamp})"


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
        raise MissingTool(f"{name} is not installed: {install_hint(name)}")
    real = Path(found).resolve()
    if name in _ASK_HOME and not real.is_relative_to("/usr"):
        real = _behind_shim(name, found) or real
    info = real.stat()
    stamp = f"{real}:{info.st_size}:{info.st_mtime_ns}"
    if real.is_relative_to("/usr"):
        return Tool(name, found if found.startswith("/usr/") else str(real), (), stamp)
    prefix = real.parent.parent
    if not (reachable(real, host_uid(0)) and reachable(prefix, host_uid(0))):
        raise MissingTool(
            f"{real} cannot be read by the sandbox's unprivileged user; "
            f"one under /usr can: {install_hint(name)}"
        )
    return Tool(name, str(real), (str(prefix),), stamp)


def _behind_shim(name: str, found: str) -> Path | None:
    done = subprocess.run([found, *_ASK_HOME[name]], capture_output=True, text=True)
    path = Path(done.stdout.strip(), "bin", name)
    return path if done.returncode == 0 and path.exists() else None


def install_hint(name: str) -> str:
    """What to type for a tool of the table of languages."""
    for row in LANGUAGES.values():
        if row.toolchain is not None and name in row.executables:
            return f"sudo apt-get install {row.toolchain.packages}"
    return f"sudo apt-get install {name}"


def find_tools(row: Language) -> tuple[Tool, ...]:
    """The tools of a language, all of them; raises MissingTool for the first that is not there."""
    return tuple(find_tool(name) for name in row.executables)


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


def build_trusted(words: list[str], what: str) -> None:
    """Run a compiler on our own source, outside the sandbox."""
    done = subprocess.run(words, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[:300]
        raise WorkError(
            f"{Path(words[0]).name} cannot compile codemoe's own source ({what}): {said}",
            f"check that installation of {Path(words[0]).name}",
        )
