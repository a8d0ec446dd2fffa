"""Tier "bubblewrap": namespaces, a file system of its own, seccomp and limits."""

import functools
import os
from pathlib import Path

from codemoe.evaluate.sandbox.confinement import ENVIRONMENT, ETC, Request

_MIB = 1 << 20


@functools.cache
def _root_binds() -> tuple[str, ...]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path).lstrip("/"), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for readable in ETC():
        words += ["--ro-bind-try", readable, readable]
    return tuple(words)


def command_line(request: Request) -> list[str]:
    """The whole argv after root was dropped: bubblewrap, prlimit, the command.

    `binds` appear read-only at their own paths; `files` are copied to /w, executable. Nothing of
    the host is writable.
    """
    words = ["bwrap", *_root_binds()]
    if request.profile.proc:
        words += ["--proc", "/proc"]
    words += ["--dev", "/dev"]
    # Everything writable has a size; bubblewrap's own / and /dev/shm would have none.
    for size, where in ((_MIB, "/dev/shm"), (64 * _MIB, "/tmp"), (64 * _MIB, "/w")):
        words += ["--size", str(size), "--tmpfs", where]
    for path in request.binds:  # after /tmp, where the cache may be
        words += ["--ro-bind", path, path]
    for descriptor, name in request.files:
        words += ["--perms", "0755", "--file", str(descriptor), f"/w/{name}"]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/w"]
    words += ["--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534"]
    words += ["--gid", "65534", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += ["--hostname", "sandbox", "--clearenv"]
    for name, value in (*ENVIRONMENT, ("HOME", "/w"), ("TMPDIR", "/tmp")):
        words += ["--setenv", name, value.replace("{work}", "/w")]
    for name, value in request.environment:
        words += ["--setenv", name, value.replace("{work}", "/w")]
    words += ["--seccomp", str(request.seccomp_fd), "--info-fd", str(request.info_fd), "--"]
    words.append("prlimit")
    for name, limit in request.profile.rlimits().items():
        # Above the soft CPU limit a program is told (SIGXCPU), above the hard one it is killed.
        words.append(f"--{name}={limit}" if name != "cpu" else f"--cpu={limit}:{limit + 1}")
    return [*words, "--", *(_inside(word) for word in request.command)]


def _inside(word: str) -> str:
    return word.replace("{work}", "/w").replace("{file}", "/w")
