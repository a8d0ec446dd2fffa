"""What every tier is asked for, and what the tiers have in common."""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from codemoe.evaluate.sandbox.records import Profile

# Root never starts a sandbox as root (its real user id would stay 0 inside): each worker slot
# becomes another unprivileged user, so that slots could not even signal each other.
_FIRST_UID = 62000

ENVIRONMENT = (("PATH", "/usr/bin:/bin"), ("LANG", "C.UTF-8"))


@dataclass(frozen=True)
class Request:
    """One process to confine.

    In `command` and `environment`, "{work}" stands for the scratch directory and "{file}/NAME" for
    one of `files`. Paths in `binds` can be read at their own place.
    """

    command: Sequence[str]
    profile: Profile
    slot: int
    binds: Sequence[str]
    files: Sequence[tuple[int, str]]  # descriptor, name
    environment: Sequence[tuple[str, str]]
    seccomp_fd: int
    info_fd: int
    scratch: str | None


def host_uid(slot: int) -> int | None:
    """The user id that worker `slot` runs as; None when we are an ordinary user already."""
    return _FIRST_UID + slot if os.geteuid() == 0 else None


def dropping_root(slot: int) -> list[str]:
    """The words in front of a command that take root's rights away; none for ordinary users."""
    uid = host_uid(slot)
    if uid is None:
        return []
    words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return [*words, "--no-new-privs"]


@functools.cache
def ETC() -> tuple[str, ...]:
    """What programs may see of /etc: nothing that is private, all that runtimes insist on."""
    found = ["/etc/alternatives", "/etc/ld.so.cache"]
    # The JVM and Mono refuse to start without their own.
    for pattern in ("java-*", "mono"):
        found += map(str, sorted(Path("/etc").glob(pattern)))
    return tuple(found)
