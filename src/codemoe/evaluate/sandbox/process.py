"""Run one confined process to its end or its limits, feeding and listening."""

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from codemoe.evaluate.sandbox.child import Child
from codemoe.evaluate.sandbox.records import Profile
from codemoe.evaluate.sandbox.slot import Slot

_KEEP = 4096  # bytes kept of the head and of the tail of standard error


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


def run(
    command: Sequence[str],
    profile: Profile,
    slot: Slot,
    *,
    payload: Callable[[int], bytes],
    binds: Sequence[str] = (),
    files: Sequence[tuple[bytes, str]] = (),
    environment: Sequence[tuple[str, str]] = (),
    keep_stdout: bool = False,
    result_on_stdout: bool = False,
) -> RawRun:
    """Run `command` in a fresh sandbox to its end or its limits; raises Stopped when told to.

    `payload(result_fd)` is what goes to standard input, which then ends.
    """
    begun = time.monotonic()
    child = Child(
        slot.tier,
        command,
        profile,
        slot.number,
        binds=binds,
        files=files,
        environment=environment,
        result_on_stdout=result_on_stdout,
    )
    try:
        seen = Listener(child, payload(child.result_inside), profile, keep_stdout)
        exited = seen.listen(begun + profile.wall_s, slot.stop)
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


class Listener:
    """Moves bytes between us and one child until it exits or breaks a limit."""

    def __init__(self, child: Child, payload: bytes, profile: Profile, keep_stdout: bool) -> None:
        self.child = child
        self.result = bytearray()
        self.stdout = bytearray()
        self.timed_out = self.exceeded = False
        self._head, self._tail = bytearray(), bytearray()
        self._unsent = memoryview(payload)
        self._keep_stdout = keep_stdout
        self.room = profile.output_mb << 20
        popen = child.popen
        assert popen.stderr is not None
        self._stdin = popen.stdin
        self.sinks = {
            popen.stderr.fileno(): self._take_stderr,
            child.result: self._take_result,
        }
        if popen.stdout is not None:
            self.sinks[popen.stdout.fileno()] = self._take_stdout
        for descriptor in self.sinks:
            os.set_blocking(descriptor, False)
        if self._stdin is not None:
            os.set_blocking(self._stdin.fileno(), False)

    def listen(self, deadline: float, stop: threading.Event) -> bool:
        """True when the process exited by itself within its limits."""
        poller = select.poll()
        for descriptor in (*self.sinks, self.child.pidfd):
            poller.register(descriptor, select.POLLIN)
        assert self._stdin is not None
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
                elif not self.read(descriptor):
                    poller.unregister(descriptor)
            if self.room < 0:
                self.exceeded = True
                return False
            if exited:
                return True

    def _send(self) -> bool:
        assert self._stdin is not None
        try:
            self._unsent = self._unsent[os.write(self._stdin.fileno(), self._unsent) :]
        except BlockingIOError:
            return True
        except OSError:  # the reader is gone; its exit tells the rest
            return False
        return len(self._unsent) > 0

    def read(self, descriptor: int) -> bool:
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        self.room -= len(data)
        self.sinks[descriptor](data)
        return bool(data)

    def drain(self) -> None:
        """Take what is left in the pipes without waiting: a stray process may hold them open."""
        for descriptor in self.sinks:
            for _ in range(64):
                before = self.room
                if not self.read(descriptor) or self.room == before:
                    break
        if self.room < 0:
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
