"""The bubblewrap command line, with root dropped in front of it."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from codemoe.evaluate.sandbox.records import Profile

# Root never starts the sandbox as root (its real user id would stay 0 inside): each worker slot
# becomes another unprivileged user, so that slots could not even signal each other.
_FIRST_UID = 62000
_MIB = 1 << 20


def host_uid(slot: int) -> int | None:
    """The user id that worker `slot` runs as; None when we are an ordinary user already."""
    return _FIRST_UID + slot if os.geteuid() == 0 else None


@functools.cache
def _root_binds() -> tuple[str, ...]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/", name)
        if path.is_symlink():
            words += ["--symlink", os.readlink(path).lstrip("/"), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for name in ("alternatives", "ld.so.cache"):
        words += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in sorted(Path("/etc").glob("java-*")):  # the JVM refuses to start without it
        words += ["--ro-bind-try", str(path), str(path)]
    return tuple(words)


def command_line(
    command: Sequence[str],
    profile: Profile,
    slot: int,
    *,
    binds: Sequence[tuple[str, str]] = (),
    files: Sequence[tuple[int, str]] = (),
    info_fd: int | None = None,
) -> list[str]:
    """The whole argv: drop root, then bubblewrap, then prlimit, then `command`.

    `binds` are (host path, path inside), read-only; `files` are (descriptor, path inside), copied
    in and executable. Nothing of the host is writable.
    """
    words = []
    uid = host_uid(slot)
    if uid is not None:
        words += ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
        words += ["--no-new-privs"]
    words += ["bwrap", *_root_binds()]
    for outside, inside in binds:
        words += ["--ro-bind", outside, inside]
    words += ["--proc", "/proc", "--dev", "/dev"]
    # Everything writable has a size; bubblewrap's own / and /dev/shm would have none.
    for size, where in ((_MIB, "/dev/shm"), (64 * _MIB, "/tmp"), (64 * _MIB, "/w")):
        words += ["--size", str(size), "--tmpfs", where]
    for descriptor, inside in files:
        words += ["--perms", "0755", "--file", str(descriptor), inside]
    words += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/w"]
    words += ["--unshare-all", "--unshare-user", "--disable-userns", "--uid", "65534"]
    words += ["--gid", "65534", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += ["--hostname", "sandbox", "--clearenv"]
    for name, value in (
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/w"),
        ("TMPDIR", "/tmp"),
        ("LANG", "C.UTF-8"),
    ):
        words += ["--setenv", name, value]
    if info_fd is not None:
        words += ["--info-fd", str(info_fd)]
    return [*words, "--", *profile.prlimit(), *command]
