"""One confined process: start it, and leave nothing behind when it ends."""

import contextlib
import ctypes
import os
import platform
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from codemoe.evaluate.sandbox import bwrap, landlock
from codemoe.evaluate.sandbox.confinement import Request, dropping_root, host_uid
from codemoe.evaluate.sandbox.records import Profile
from codemoe.evaluate.sandbox.seccomp import Policy, assemble

_CHILD_PID = re.compile(rb'"child-pid":\s*(\d+)\s*[,}]')
_PR_SET_CHILD_SUBREAPER = 36
_SENTINEL_PID = 0x7EADBEEF  # launchers/confine.py puts its own process id there
_adopters, _adopters_lock = 0, threading.Lock()  # evaluations under way in this process


@contextlib.contextmanager
def adopting_orphans() -> Iterator[None]:
    """Become the parent of bubblewrap's inner process, which outlives the outer one by a moment.

    Otherwise it falls to the machine's init, and where a container has none, zombies pile up.
    """
    global _adopters
    with _adopters_lock:
        _adopters += 1
        _set_subreaper(True)
    try:
        yield
    finally:
        with _adopters_lock:
            _adopters -= 1
            _set_subreaper(_adopters > 0)
            if not _adopters:
                _reap_orphans()


def _reap_orphans() -> None:
    """What was adopted and has ended, such as a linker that outlived its compiler (mold forks)."""
    for folder in Path("/proc/self/task").iterdir():
        try:
            children = (folder / "children").read_text().split()
        except OSError:
            continue
        for pid in map(int, children):
            with contextlib.suppress(OSError):
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
                if state == "Z":
                    os.waitpid(pid, os.WNOHANG)


def _set_subreaper(on: bool) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


@cache
def _filter(may_fork: bool, alone: bool) -> bytes:
    policy = Policy(processes=may_fork, alone_pid=_SENTINEL_PID if alone else None)
    return assemble(policy, platform.machine())


class Child:
    """A started sandbox with its pipes; `close` kills and reaps it, whatever its state.

    The result channel is an inherited pipe whose number inside is `result_inside`; with
    `result_on_stdout` it is standard output, and the program's own output goes to standard error.
    With `calls` there is a pipe to the program besides standard input, which is empty then. The
    words "{result}" and "{calls}" of the command become the pipes' numbers.
    """

    def __init__(
        self,
        tier: str,
        command: Sequence[str],
        profile: Profile,
        slot: int,
        *,
        binds: Sequence[str] = (),
        files: Sequence[tuple[bytes, str]] = (),
        environment: Sequence[tuple[str, str]] = (),
        result_on_stdout: bool = False,
        calls: bool = False,
    ) -> None:
        self._pid_text = b""
        self._inner: int | None = None
        self._tier = tier
        self._scratch = None
        if tier != "bubblewrap" and profile.scratch:
            self._scratch = landlock.make_scratch(slot)
        ours: list[int] = []
        theirs: list[int] = []
        try:
            info_inside = -1
            self._info = -1
            if tier == "bubblewrap":
                self._info, info_inside = _pipe(ours, theirs)
                os.set_blocking(self._info, False)
            self.result, self.result_inside = _pipe(ours, theirs)
            words = [word.replace("{result}", str(self.result_inside)) for word in command[-2:]]
            if calls:
                inside, self.calls = os.pipe()
                theirs.append(inside)
                ours.append(self.calls)
                words = [word.replace("{calls}", str(inside)) for word in words]
            uid = host_uid(slot)
            if uid is not None:
                os.fchown(self.result_inside, uid, uid)
            sources = []
            for content, name in files:
                sources.append((_memory_file(content, theirs), name))
            code = _filter(profile.may_fork, tier != "bubblewrap")
            request = Request(
                [*command[:-2], *words],
                profile,
                slot,
                binds,
                sources,
                environment,
                _memory_file(code, theirs),
                info_inside,
                self._scratch,
            )
            self.popen = subprocess.Popen(
                [*dropping_root(slot), *_command_line(tier, request)],
                stdin=subprocess.DEVNULL if calls else subprocess.PIPE,
                stdout=self.result_inside if result_on_stdout else subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=theirs,
                start_new_session=True,  # Ctrl-C reaches us first; we end the children
                bufsize=0,
                cwd="/",
                # Not only --clearenv: /proc/1/environ inside shows what bubblewrap started with.
                env={"PATH": os.environ.get("PATH", os.defpath)},
            )
        except BaseException:
            for descriptor in ours:
                os.close(descriptor)
            self._remove_scratch()
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._ours = ours
        self.pidfd = os.pidfd_open(self.popen.pid)

    def inner_pid(self) -> int | None:
        """The process id (ours) of the sandbox's own init, once bubblewrap has told it."""
        if self._inner is None:
            with contextlib.suppress(OSError):
                self._pid_text += os.read(self._info, 4096)
            if found := _CHILD_PID.search(self._pid_text):
                self._inner = int(found[1])
        return self._inner

    def _kill(self) -> set[int]:
        """Kill bubblewrap and its child; returns the child, which is then ours to reap.

        --die-with-parent alone is not enough: early in its life the child has not asked for that
        signal yet, and would wait for ever for a parent that is gone. So hold the parent still,
        look, and kill both.
        """
        pid = self.popen.pid
        family: set[int] = set()
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGSTOP)
            deadline = time.monotonic() + 1.0
            while _state(pid) not in "TtZX" and time.monotonic() < deadline:
                time.sleep(0.0005)
            family = _children(pid)
            for child in family:
                os.kill(child, signal.SIGKILL)
        self.popen.kill()
        return family

    def close(self) -> int:
        """Kill what is left, reap both processes, close the pipes; returns the exit code."""
        family = self._kill() if self.popen.poll() is None else set()
        if self._tier != "bubblewrap":  # no namespace takes the rest along
            family |= _kill_session(self.popen.pid)
        code = self.popen.wait()
        inner = self.inner_pid()
        for pid in family | ({inner} if inner is not None else set()):
            _reap(pid)
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        for descriptor in (*self._ours, self.pidfd):
            os.close(descriptor)
        self._remove_scratch()
        return code

    def _remove_scratch(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)


def _command_line(tier: str, request: Request) -> list[str]:
    if tier == "bubblewrap":
        return bwrap.command_line(request)
    return landlock.command_line(request, confined=tier == "landlock")


def _pipe(ours: list[int], theirs: list[int]) -> tuple[int, int]:
    read_end, write_end = os.pipe()
    ours.append(read_end)
    theirs.append(write_end)
    return read_end, write_end


def _memory_file(content: bytes, theirs: list[int]) -> int:
    descriptor = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    theirs.append(descriptor)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _state(pid: int) -> str:
    """The state letter of a process in /proc."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def _children(pid: int) -> set[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return {int(child) for child in file.read().split()}


def _kill_session(session: int) -> set[int]:
    """Kill every process of a session, again until there is none; returns those killed."""
    killed: set[int] = set()
    for _ in range(20):
        found = set()
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] not in "ZX":
                found.add(int(name))
        if not found:
            break
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        killed |= found
    return killed - {session}


def _reap(pid: int, patience_s: float = 5.0) -> None:
    """Wait for an adopted process; if it is not ours (no subreaper), there is nothing to do."""
    deadline = time.monotonic() + patience_s
    pause = 0.0002
    while True:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
        except ChildProcessError:
            return
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            return
        time.sleep(pause)
        pause = min(pause * 2, 0.02)
