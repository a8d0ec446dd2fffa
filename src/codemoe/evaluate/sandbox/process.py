"""One confined process: start, feed, listen within limits, kill, and leave nothing behind."""

import contextlib
import ctypes
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from codemoe.evaluate.sandbox.bwrap import command_line, host_uid
from codemoe.evaluate.sandbox.records import Profile

_KEEP = 4096  # bytes kept of the head and of the tail of standard error
_CHILD_PID = re.compile(rb'"child-pid":\s*(\d+)\s*[,}]')
_PR_SET_CHILD_SUBREAPER = 36
_adopters, _adopters_lock = 0, threading.Lock()  # evaluations under way in this process


class Stopped(Exception):
    """The evaluation is being closed; the run was killed and means nothing."""


@dataclass(frozen=True)
class RawRun:
    """What was seen of one process. `started`: the launcher itself was reached."""

    code: int
    seconds: float
    result: bytes  # everything on the result channel, bounded
    stdout: bytes  # only when asked for, bounded
    stderr: str
    timed_out: bool = False
    output_exceeded: bool = False

    @property
    def started(self) -> bool:
        return self.result.startswith(b"S\n")


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


def _set_subreaper(on: bool) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


class Child:
    """A started sandbox with its pipes; `close` kills and reaps it, whatever its state."""

    def __init__(
        self,
        command: Sequence[str],
        profile: Profile,
        slot: int,
        *,
        binds: Sequence[tuple[str, str]] = (),
        files: Sequence[tuple[bytes, str]] = (),
    ) -> None:
        self._pid_text = b""
        self._inner: int | None = None
        ours: list[int] = []
        theirs: list[int] = []
        try:
            self._info, info_w = _pipe(ours, theirs)
            self.result, self.result_inside = _pipe(ours, theirs)
            uid = host_uid(slot)
            if uid is not None:
                # The JVM reopens the pipe through /proc, which asks for its owner.
                os.fchown(self.result_inside, uid, uid)
            sources = []
            for content, inside in files:
                descriptor = os.memfd_create("sandbox", os.MFD_CLOEXEC)
                theirs.append(descriptor)
                _write_all(descriptor, content)
                os.lseek(descriptor, 0, os.SEEK_SET)
                sources.append((descriptor, inside))
            argv = command_line(command, profile, slot, binds=binds, files=sources, info_fd=info_w)
            self.popen = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
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
            raise
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._ours = ours
        self.pidfd = os.pidfd_open(self.popen.pid)
        os.set_blocking(self._info, False)

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
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
                family = {int(child) for child in file.read().split()}
            for child in family:
                os.kill(child, signal.SIGKILL)
        self.popen.kill()
        return family

    def close(self) -> int:
        """Kill what is left, reap both processes, close the pipes; returns the exit code."""
        family = self._kill() if self.popen.poll() is None else set()
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
        return code


def _pipe(ours: list[int], theirs: list[int]) -> tuple[int, int]:
    read_end, write_end = os.pipe()
    ours.append(read_end)
    theirs.append(write_end)
    return read_end, write_end


def _state(pid: int) -> str:
    """The state letter of a process in /proc."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


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


def run(
    command: Sequence[str],
    profile: Profile,
    slot: int,
    stop: threading.Event,
    *,
    payload: Callable[[int], bytes],
    binds: Sequence[tuple[str, str]] = (),
    files: Sequence[tuple[bytes, str]] = (),
    keep_stdout: bool = False,
) -> RawRun:
    """Run `command` in a fresh sandbox to its end or its limits; raises Stopped when told to.

    `payload(result_fd)` is what goes to standard input, which then ends.
    """
    begun = time.monotonic()
    child = Child(command, profile, slot, binds=binds, files=files)
    try:
        seen = _Listener(child, payload(child.result_inside), profile, keep_stdout)
        exited = seen.listen(begun + profile.wall_s, stop)
    except BaseException:
        child.close()
        raise
    # An exit that we have seen keeps its code; anything else is killed now.
    code = child.popen.wait() if exited else -signal.SIGKILL
    seen.drain()
    child.close()
    return RawRun(
        code=code,
        seconds=time.monotonic() - begun,
        result=bytes(seen.result),
        stdout=bytes(seen.stdout),
        stderr=seen.stderr_text(),
        timed_out=seen.timed_out,
        output_exceeded=seen.exceeded,
    )


class _Listener:
    """Moves bytes between us and one child until it exits or breaks a limit."""

    def __init__(self, child: Child, payload: bytes, profile: Profile, keep_stdout: bool) -> None:
        self.child = child
        self.result = bytearray()
        self.stdout = bytearray()
        self.timed_out = self.exceeded = False
        self._head, self._tail = bytearray(), bytearray()
        self._unsent = memoryview(payload)
        self._keep_stdout = keep_stdout
        self._room = profile.output_mb << 20
        popen = child.popen
        assert popen.stdin is not None
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._stdin = popen.stdin
        self._sinks = {
            popen.stdout.fileno(): self._take_stdout,
            popen.stderr.fileno(): self._take_stderr,
            child.result: self._take_result,
        }
        for descriptor in (*self._sinks, self._stdin.fileno()):
            os.set_blocking(descriptor, False)

    def listen(self, deadline: float, stop: threading.Event) -> bool:
        """True when the process exited by itself within its limits."""
        poller = select.poll()
        for descriptor in (*self._sinks, self.child.pidfd):
            poller.register(descriptor, select.POLLIN)
        stdin = self._stdin.fileno()
        poller.register(stdin, select.POLLOUT)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                self.timed_out = True
                return False
            if stop.is_set():
                raise Stopped
            exited = False
            for descriptor, _ in poller.poll(min(left, 0.25) * 1000):
                if descriptor == self.child.pidfd:
                    exited = True
                elif descriptor == stdin:
                    if not self._send():
                        poller.unregister(stdin)
                        self._stdin.close()
                elif not self._read(descriptor):
                    poller.unregister(descriptor)
            if self._room < 0:
                self.exceeded = True
                return False
            if exited:
                return True

    def _send(self) -> bool:
        try:
            self._unsent = self._unsent[os.write(self._stdin.fileno(), self._unsent) :]
        except BlockingIOError:
            return True
        except OSError:  # the reader is gone; its exit tells the rest
            return False
        return len(self._unsent) > 0

    def _read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        self._room -= len(data)
        self._sinks[descriptor](data)
        return bool(data)

    def drain(self) -> None:
        """Take what is left in the pipes without waiting: a stray process may hold them open."""
        for descriptor in self._sinks:
            for _ in range(64):
                before = self._room
                if not self._read(descriptor) or self._room == before:
                    break
        if self._room < 0:
            self.exceeded = True

    def _take_stdout(self, data: bytes) -> None:
        if self._keep_stdout:
            self.stdout += data

    def _take_stderr(self, data: bytes) -> None:
        room = _KEEP - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[room:])[-_KEEP:]

    def _take_result(self, data: bytes) -> None:
        self.result += data
        if len(self.result) > 2 * _KEEP:  # a forger's noise; the nonce comes last
            self.result = self.result[:_KEEP] + self.result[-_KEEP:]

    def stderr_text(self) -> str:
        return (self._head + self._tail).decode("utf-8", "replace")
