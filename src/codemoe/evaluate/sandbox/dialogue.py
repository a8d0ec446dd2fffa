"""The strong form: the tests run in a process of ours, the candidate answers from its own.

The tests' process (one a worker and language, in a sandbox of its own, because a suite is a
stranger, too) never loads the candidate; the candidate's never sees a test or an expected value.
We carry bytes between the two and look at none: what the candidate says is plain data to the
tests, and only the tests' process can say that they passed.
"""

import contextlib
import os
import select
import signal
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from codemoe.evaluate.sandbox.child import Child
from codemoe.evaluate.sandbox.process import Listener, RawRun, Stopped
from codemoe.evaluate.sandbox.records import Profile
from codemoe.evaluate.sandbox.slot import Slot

_HEADER = struct.Struct(">cII")  # kind, number of the job, length
_GRACE_S = 2.0  # for the tests to say their verdict once the candidate is gone
# The tests' processes have users of their own: worker slots count up from 0.
_FIRST_SLOT = 2000


@dataclass(frozen=True)
class Outcome:
    """The tests' words (empty where they said none in time), and what was seen of the candidate."""

    verdict: str
    candidate: RawRun


class TestsDied(Exception):
    """The tests' process did not come up; the message is what it said."""


class TestsProcess:
    """One worker's long-lived process for tests; restarted when it is lost or stuck."""

    __test__ = False  # not a test class, whatever pytest thinks of the name

    def __init__(
        self,
        command: Sequence[str],
        profile: Profile,
        number: int,
        binds: Sequence[str],
        environment: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._command, self._profile, self._binds = command, profile, binds
        self._environment = environment
        self._number = number
        self._child: Child | None = None
        self._jobs = 0

    def converse(
        self,
        request: bytes,
        command: Sequence[str],
        profile: Profile,
        slot: Slot,
        binds: Sequence[str] = (),
    ) -> Outcome:
        """Run the tests of `request` against a candidate started with `command`."""
        if self._child is None:
            self._child = Child(
                slot.tier,
                self._command,
                self._profile,
                _FIRST_SLOT + self._number,
                binds=self._binds,
                environment=self._environment,
            )
        self._jobs = self._jobs % 0xFFFFFFF0 + 1
        begun = time.monotonic()
        candidate = Child(
            slot.tier,
            command,
            profile,
            slot.number,
            binds=binds,
            environment=self._environment,
            calls=True,
        )
        try:
            talk = _Talk(self._child, candidate, profile, self._jobs, request)
            exited = talk.run(begun + profile.wall_s, slot)
        except BaseException:
            candidate.close()
            self.close()
            raise
        code = candidate.popen.wait() if exited else -signal.SIGKILL
        talk.seen.drain()
        candidate.close()
        if talk.leaving:
            self.close()
        elif not talk.verdict:  # stuck or dead: the next job gets a fresh one
            said = talk.tests_said()
            self.close()
            if talk.tests_gone:
                raise TestsDied(said or "no reason was given")
        seen = talk.seen
        run = RawRun(
            code=code,
            seconds=time.monotonic() - begun,
            result=b"S\n" if talk.started else b"",
            stdout=b"",
            stderr=seen.stderr_text(),
            timed_out=seen.timed_out,
            output_exceeded=seen.exceeded,
        )
        return Outcome(talk.verdict, run)

    def close(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None


class _Talk:
    """One job's bytes, both ways. The candidate's start line and output are ours to keep."""

    def __init__(
        self, tests: Child, candidate: Child, profile: Profile, job: int, request: bytes
    ) -> None:
        self.verdict = ""
        self.started = False
        self.leaving = False  # the tests' process ends with this job
        self.tests_gone = False  # it has ended without a verdict
        self._job = job
        self._tests, self._candidate = tests, candidate
        self.seen = Listener(candidate, b"", profile, keep_stdout=False)
        del self.seen.sinks[candidate.result]  # that one is the tests'
        self._room = profile.output_mb << 20
        assert tests.popen.stdin is not None
        assert tests.popen.stdout is not None
        assert tests.popen.stderr is not None
        self._to_tests, self._from_tests = tests.popen.stdin.fileno(), tests.popen.stdout.fileno()
        self._tests_errors = tests.popen.stderr.fileno()
        self._to_candidate = candidate.calls
        ours = (self._to_tests, self._from_tests, self._tests_errors, self._to_candidate)
        for descriptor in ours:
            os.set_blocking(descriptor, False)
        self._unsent = {
            self._to_tests: bytearray(self._frame(b"J", request)),
            self._to_candidate: bytearray(),
        }
        self._buffer = bytearray()  # of the tests' frames
        self._said = bytearray()
        self._gone = False  # the candidate has ended, and the tests were told

    def _frame(self, kind: bytes, content: bytes) -> bytes:
        return _HEADER.pack(kind, self._job, len(content)) + content

    def run(self, deadline: float, slot: Slot) -> bool:
        """True when the candidate ended by itself before the tests had spoken."""
        poller = select.poll()
        candidate = self._candidate
        watched = {self._from_tests, self._tests_errors, candidate.pidfd, candidate.result}
        watched |= set(self.seen.sinks)
        for descriptor in watched:
            poller.register(descriptor, select.POLLIN)
        writing: set[int] = set()
        exited = False
        while not self.verdict:
            for descriptor, pending in self._unsent.items():
                if bool(pending) != (descriptor in writing):
                    if pending:
                        poller.register(descriptor, select.POLLOUT)
                        writing.add(descriptor)
                    else:
                        poller.unregister(descriptor)
                        writing.discard(descriptor)
            left = deadline - time.monotonic()
            if left <= 0:
                if not self._gone:
                    self.seen.timed_out = not self.seen.exceeded
                return exited
            if slot.stop.is_set():
                raise Stopped
            for descriptor, _ in poller.poll(min(left, 0.25) * 1000):
                if descriptor in writing:
                    self._send(descriptor)
                elif descriptor == candidate.pidfd:
                    poller.unregister(descriptor)
                    exited = True
                elif descriptor == self._from_tests:
                    if not self._from_the_tests():
                        return exited
                elif descriptor == self._tests_errors:
                    self.tests_said()
                elif descriptor == candidate.result:
                    if not self._from_the_candidate():
                        poller.unregister(descriptor)
                elif not self.seen.read(descriptor):
                    poller.unregister(descriptor)
            if self.seen.exceeded or self.seen.room < 0:
                self.seen.exceeded = True
                return False
            if exited and not self._gone:
                while self._from_the_candidate(last=True):
                    pass
                self._gone = True
                self._unsent[self._to_tests] += self._frame(b"E", b"")
                self._unsent[self._to_candidate].clear()
                deadline = min(deadline, time.monotonic() + _GRACE_S)
        return exited

    def _send(self, descriptor: int) -> None:
        pending = self._unsent[descriptor]
        try:
            del pending[: os.write(descriptor, pending)]
        except BlockingIOError:
            return
        except OSError:  # the reader is gone; its exit tells the rest
            pending.clear()

    def _from_the_candidate(self, last: bool = False) -> bool:
        """Wrap what it said for the tests; False when there is nothing more."""
        try:
            data = os.read(self._candidate.result, 1 << 16)
        except BlockingIOError:
            return not last
        if not data:
            return False
        if not self.started:  # its first line is for us
            self.started = True
            data = data.removeprefix(b"S\n")
        self._room -= len(data)
        if self._room < 0:
            self.seen.exceeded = True
            return False
        if data:
            self._unsent[self._to_tests] += self._frame(b"R", data)
        return True

    def _from_the_tests(self) -> bool:
        try:
            data = os.read(self._from_tests, 1 << 16)
        except BlockingIOError:
            return True
        if not data:
            self.tests_gone = True
            return False
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            kind, job, size = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + size
            if len(self._buffer) < end:
                break
            content = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            if job != self._job:
                continue
            if kind == b"C" and not self._gone:
                self._unsent[self._to_candidate] += content
            elif kind in (b"V", b"W"):
                self.leaving = kind == b"W"
                self.verdict = content.decode("utf-8", "replace")
        # Most frames are small and the pipe is empty: one poll less for each.
        for descriptor, pending in self._unsent.items():
            if pending:
                self._send(descriptor)
        return True

    def tests_said(self) -> str:
        """The last words on the tests' standard error."""
        with contextlib.suppress(OSError):
            self._said += os.read(self._tests_errors, 1 << 16)
        del self._said[:-4096]
        return self._said.decode("utf-8", "replace").strip()
