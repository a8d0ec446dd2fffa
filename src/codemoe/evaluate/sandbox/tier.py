"""Which tier works here; if none does, why, and what to type."""

import functools
import os
import platform
import shutil
import threading
from pathlib import Path

from codemoe.evaluate.sandbox import landlock
from codemoe.evaluate.sandbox.child import adopting_orphans
from codemoe.evaluate.sandbox.process import run
from codemoe.evaluate.sandbox.records import Profile, SandboxProbe
from codemoe.evaluate.sandbox.seccomp import ARCHITECTURES
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.verdict import clean

BUBBLEWRAP, LANDLOCK, UNSAFE = "bubblewrap", "landlock", "unsafe-no-sandbox"
_INSTALL = "sudo apt-get install bubblewrap"


@functools.cache
def probe() -> SandboxProbe:
    """The best tier that starts here, or why there is none; cached for the process."""
    first = probe_tier(BUBBLEWRAP)
    if first.tier is not None:
        return first
    second = probe_tier(LANDLOCK)
    if second.tier is not None:
        return SandboxProbe(second.tier, f"{first.reason}; {second.reason}", first.fix)
    return SandboxProbe(None, f"{first.reason}; {second.reason}", first.fix)


def probe_tier(tier: str) -> SandboxProbe:
    """Start a tier's real sandbox once around `true`."""
    if (machine := platform.machine()) not in ARCHITECTURES:
        known = " and ".join(ARCHITECTURES)
        return SandboxProbe(None, f"no system call filter for {machine}", f"use {known}")
    needed = ["setpriv"] if os.geteuid() == 0 else []
    needed += ["bwrap", "prlimit"] if tier == BUBBLEWRAP else []
    missing = [name for name in needed if shutil.which(name) is None]
    if "bwrap" in missing:
        return SandboxProbe(None, "bubblewrap (bwrap) is not installed", _INSTALL)
    if missing:
        fix = "sudo apt-get install util-linux"
        return SandboxProbe(None, f"{' and '.join(missing)} not found", fix)
    if tier == LANDLOCK:
        if landlock.abi() == 0:
            return SandboxProbe(None, "the kernel offers no Landlock", "use Linux 5.13 or newer")
        if not os.path.exists(landlock.PYTHON):
            fix = "sudo apt-get install python3"
            return SandboxProbe(None, f"Landlock needs {landlock.PYTHON}, which is missing", fix)
    try:
        with adopting_orphans():
            seen = run(
                ["/usr/bin/true"],
                Profile(10.0, 10, None, None, 8, 16, 1),
                Slot(0, threading.Event(), tier),
                payload=lambda _fd: b"",
            )
    except OSError as error:
        return SandboxProbe(None, f"{tier} does not start: {error}", _INSTALL)
    if seen.code == 0:
        what = "its own namespaces" if tier == BUBBLEWRAP else f"Landlock {landlock.abi()}"
        return SandboxProbe(tier, f"{tier} runs: {what}, seccomp, limits", "")
    said = clean(seen.stderr, 300) or f"exit status {seen.code}"
    return SandboxProbe(None, f"{tier} cannot build the sandbox: {said}", _fix_for(said))


def _fix_for(said: str) -> str:
    if "nknown option" in said:
        return "install bubblewrap 0.8 or newer"
    if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists():
        return "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    if os.path.exists("/.dockerenv"):
        return "start the container with --security-opt seccomp=unconfined (user namespaces)"
    return "sudo sysctl user.max_user_namespaces=15000 (user namespaces must be allowed)"
