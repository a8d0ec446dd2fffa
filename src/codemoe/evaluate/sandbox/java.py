"""Java: one compile server for all programs, a fresh JVM for every run, both in the sandbox."""

import contextlib
import os
import re
import secrets
import select
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from codemoe.evaluate.sandbox.child import Child
from codemoe.evaluate.sandbox.judgement import Judgement, Setup
from codemoe.evaluate.sandbox.process import Stopped, run
from codemoe.evaluate.sandbox.records import Job, compile_profile, run_profile
from codemoe.evaluate.sandbox.script import LAUNCHERS
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import build_trusted, cached_build, find_tools
from codemoe.evaluate.sandbox.verdict import clean, judge_run
from codemoe.languages import Language

_QUICK = ("-Xshare:auto", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
_IMPORT = re.compile(r"\s*import\s+(?:static\s+)?[\w.]+(?:\.\*)?\s*;")
_TRIVIAL = "class Main { public static void main(String[] args) { } }"
_PACKAGE = re.compile(r"\s*package\s+[\w.]+\s*;")


@dataclass(frozen=True)
class _Compiled:
    main_class: str
    classes: bytes  # int count, then name, int length and code of each, as the launcher reads


class _CompileFailed(Exception):
    """The compiler's message about the program."""


class _ServerDied(Exception):
    """The compile server did not answer; the caller decides what that says."""


def join(program: str, tests: str) -> tuple[str, int]:
    """One source file, and where its tests begin; imports of the tests move to the front."""
    position = 0
    while found := _IMPORT.match(tests, position):
        position = found.end()
    package = _PACKAGE.match(program)
    start = package.end() if package else 0
    # On one line, so that the compiler's line numbers still fit the program.
    front = program[:start] + " ".join(tests[:position].split()) + program[start:] + "\n"
    return front + tests[position:], len(front)


class Java:
    """The JDK, the compiled launcher and, from the first job on, the compile server."""

    def __init__(self, row: Language, setup: Setup) -> None:
        self._java, self._javac = find_tools(row)
        self._setup = setup
        home = Path(self._java.path).resolve().parent.parent
        # Without /proc the JVM cannot find its libraries by itself.
        self._environment = [("LD_LIBRARY_PATH", f"{home}/lib"), ("JAVA_HOME", str(home))]
        heap = f"-Xmx{setup.limits.memory_mb // 2}m"
        self._command = [f"{home}/bin/java", *_QUICK, heap, "-ea", "-XX:+ExitOnOutOfMemoryError"]
        # No Unsafe, no heap dumps, no attaching: nothing that reads another frame's variables.
        self._command += ["-XX:+DisplayVMOutputToStderr", "--limit-modules", "java.se"]
        self._profile = run_profile(setup.limits, data_mb=2048, proc=False)
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._launcher: Path | None = None

    def judge(self, job: Job, slot: Slot) -> Judgement:
        try:
            compiled = self._compile(job, slot)
        except _CompileFailed as failure:
            return Judgement("compile_error", clean(str(failure)))
        except _ServerDied as failure:
            return Judgement("sandbox_error", clean(f"the Java compile server: {failure}"))
        nonce = secrets.token_hex(16)
        seen = run(
            [*self._command, "-cp", str(self._launcher), "codemoe.sandbox.Launcher"],
            self._profile,
            slot,
            payload=lambda _fd: _utf(nonce) + _utf(compiled.main_class) + compiled.classes,
            binds=self._binds(),
            environment=self._environment,
            result_on_stdout=True,
        )
        return Judgement(*judge_run(seen, nonce))

    def _binds(self) -> list[str]:
        assert self._launcher is not None
        return [str(self._launcher), *self._java.binds]

    def _compile(self, job: Job, slot: Slot) -> _Compiled:
        source, boundary = join(job.program, job.tests)
        with self._lock:
            if self._launcher is None:
                self._launcher = self._build_launcher()
            try:
                return self._ask(source, boundary, slot, tries=2)
            except _ServerDied as failure:
                # Is it this program, or does the server not work at all?
                try:
                    self._ask(_TRIVIAL, 0, slot, tries=1)
                except (_ServerDied, _CompileFailed):
                    raise failure from None
                raise _CompileFailed(f"the compiler died of it: {failure}") from failure

    def _ask(self, source: str, boundary: int, slot: Slot, tries: int) -> _Compiled:
        """The answer of the compile server, which is started when there is none."""
        if self._server is None:
            self._server = _Server(self._java.path, self._binds(), self._setup)
        try:
            return self._server.compile(source, boundary, slot.stop)
        except _CompileFailed:
            if self._server.gave_up:
                self._end_server()
            raise
        except _ServerDied:
            self._end_server()
            if tries > 1:
                return self._ask(source, boundary, slot, tries - 1)
            raise
        except BaseException:
            self._end_server()
            raise

    def _build_launcher(self) -> Path:
        sources = sorted((LAUNCHERS / "java").glob("*.java"))
        key = "\n".join((self._javac.stamp, *(path.read_text("utf-8") for path in sources)))

        def build(made: Path) -> None:
            words = [self._javac.path, "-d", str(made), *map(str, sources)]
            build_trusted(words, "the Java launchers")

        return cached_build("java", key, build)

    def _end_server(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        with self._lock:
            self._end_server()


class _Server:
    """The client side of CompileServer.java; one request at a time."""

    def __init__(self, java: str, binds: list[str], setup: Setup) -> None:
        command = [java, *_QUICK, "-Xmx512m", "-cp", binds[0], "codemoe.sandbox.CompileServer"]
        profile = compile_profile(setup.limits, tasks=128, endless=True)
        # Its own user: worker slots count up from 0.
        self._child = Child(setup.tier, command, profile, slot=1000, binds=binds)
        self._wall_s = setup.limits.compile_wall_s
        self._buffer = bytearray()
        self._errors = bytearray()
        self.gave_up = False
        popen = self._child.popen
        assert popen.stdin is not None
        assert popen.stdout is not None
        assert popen.stderr is not None
        self._in, self._out = popen.stdin.fileno(), popen.stdout.fileno()
        self._err = popen.stderr.fileno()
        for descriptor in (self._in, self._out, self._err):
            os.set_blocking(descriptor, False)

    def compile(self, source: str, boundary: int, stop: threading.Event) -> _Compiled:
        text = source.encode("utf-8", "replace")
        # Java counts UTF-16 units.
        units = len(source[:boundary].encode("utf-16-le", "replace")) // 2
        self._unsent = memoryview(struct.pack(">ii", units, len(text)) + text)
        self._deadline = time.monotonic() + self._wall_s
        self._stop = stop
        if self._take(1) == b"\0":
            message = self._take(self._int()).decode("utf-8", "replace")
            self.gave_up = message.startswith("the compiler gave up")
            raise _CompileFailed(message)
        main_class = self._take(struct.unpack(">H", self._take(2))[0]).decode("utf-8", "replace")
        count = self._take(4)
        parts = [count]
        for _ in range(struct.unpack(">i", count)[0]):
            name = self._take(2)
            name += self._take(struct.unpack(">H", name)[0])
            size = self._take(4)
            parts += [name, size, self._take(struct.unpack(">i", size)[0])]
        return _Compiled(main_class, b"".join(parts))

    def _int(self) -> int:
        return int(struct.unpack(">i", self._take(4))[0])

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._move()
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _move(self) -> None:
        """Wait for one of the pipes and move bytes; raises when the server is late or gone."""
        if self._stop.is_set():
            raise Stopped
        left = self._deadline - time.monotonic()
        if left <= 0:
            self.gave_up = True
            raise _CompileFailed(f"the compiler had no end after {self._wall_s:.0f} s")
        wanted = [self._in] if self._unsent else []
        ready, writable, _ = select.select([self._out, self._err], wanted, [], min(left, 0.25))
        if writable:
            try:
                self._unsent = self._unsent[os.write(self._in, self._unsent) :]
            except OSError as error:
                raise _ServerDied(self._last_words() or str(error)) from error
        if self._err in ready:
            self._errors = (self._errors + os.read(self._err, 1 << 16))[-4096:]
        if self._out in ready:
            data = os.read(self._out, 1 << 16)
            if not data:
                raise _ServerDied(self._last_words() or "it ended")
            self._buffer += data

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            self._errors += os.read(self._err, 1 << 16)
        return self._errors.decode("utf-8", "replace")

    def close(self) -> None:
        self._child.close()


def _utf(text: str) -> bytes:
    """As DataInput.readUTF expects it; class names and nonces hold no NUL and few astral signs."""
    data = text.encode("utf-8", "surrogatepass")
    return struct.pack(">H", len(data)) + data
