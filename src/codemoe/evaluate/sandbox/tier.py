"""Whether the sandbox works here; if not, why, and what to type."""

import functools
import os
import shutil
import threading
from pathlib import Path

from codemoe.evaluate.sandbox.process import adopting_orphans, run
from codemoe.evaluate.sandbox.records import Profile, SandboxProbe
from codemoe.evaluate.sandbox.verdict import clean

TIER = "bubblewrap"
_INSTALL = "sudo apt-get install bubblewrap"


@functools.cache
def probe() -> SandboxProbe:
    """Start the real sandbox once around `true`; cached for the process."""
    needed = ["bwrap", "prlimit"] + (["setpriv"] if os.geteuid() == 0 else [])
    missing = [name for name in needed if shutil.which(name) is None]
    if "bwrap" in missing:
        return SandboxProbe(None, "bubblewrap (bwrap) is not installed", _INSTALL)
    if missing:
        fix = "sudo apt-get install util-linux"
        return SandboxProbe(None, f"{' and '.join(missing)} not found", fix)
    try:
        with adopting_orphans():
            seen = run(
                ["true"],
                Profile(10.0, 10, None, None, 8, 16, 1),
                0,
                threading.Event(),
                payload=lambda _fd: b"",
            )
    except OSError as error:
        return SandboxProbe(None, f"bubblewrap does not start: {error}", _INSTALL)
    if seen.code == 0:
        return SandboxProbe(TIER, "bubblewrap runs with its own namespaces", "")
    said = clean(seen.stderr, 300) or f"exit status {seen.code}"
    return SandboxProbe(None, f"bubblewrap cannot build the sandbox: {said}", _fix_for(said))


def _fix_for(said: str) -> str:
    if "nknown option" in said:
        return "install bubblewrap 0.8 or newer"
    if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists():
        return "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    if os.path.exists("/.dockerenv"):
        return "start the container with --security-opt seccomp=unconfined (user namespaces)"
    return "sudo sysctl user.max_user_namespaces=15000 (user namespaces must be allowed)"
