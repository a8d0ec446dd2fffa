"""C#, with Mono: mcs compiles in one sandbox, a launcher loads the assembly in another."""

import re
import secrets
import threading
from pathlib import Path

from codemoe.evaluate.sandbox.judgement import Judgement, Setup
from codemoe.evaluate.sandbox.native import LAUNCHERS
from codemoe.evaluate.sandbox.process import run
from codemoe.evaluate.sandbox.records import Job, compile_profile, run_profile
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import build_trusted, cached_build, find_tools
from codemoe.evaluate.sandbox.verdict import clean, compile_failure, judge_run
from codemoe.languages import Language

_ASSERT = re.compile(r"\b(?:System\.Diagnostics\.)?(?:Debug|Trace)\.Assert\s*\(")
_COMPILE = (
    'cd "$1" && cat > Program.cs && "$2" -nologo -warn:0 -d:DEBUG -r:System.Numerics.dll '
    '-r:System.Core.dll -r:"$3/Check.dll" -out:a.exe Program.cs >&2 && cat a.exe'
)


class CSharp:
    """Mono's compiler and runtime, and the compiled launcher."""

    def __init__(self, row: Language, setup: Setup) -> None:
        self._mcs, self._mono = find_tools(row)
        self._binds = [*self._mcs.binds, *self._mono.binds]
        self._compile_profile = compile_profile(setup.limits, tasks=64)
        memory = setup.limits.memory_mb
        # Mono does not start without /proc.
        self._run_profile = run_profile(setup.limits, address_mb=3 * memory, data_mb=memory + 256)
        self._lock = threading.Lock()
        self._launcher: Path | None = None

    def judge(self, job: Job, slot: Slot) -> Judgement:
        home = self._home()
        tests = _ASSERT.sub("global::Codemoe.Check.True(", job.tests)
        source = f"{job.program}\n{tests}\n".encode("utf-8", "replace")
        built = run(
            ["sh", "-c", _COMPILE, "sh", "{work}", self._mcs.path, str(home)],
            self._compile_profile,
            slot,
            payload=lambda _fd: source,
            binds=[str(home), *self._binds],
            keep_stdout=True,
        )
        if failure := compile_failure(built):
            return Judgement(failure.status, clean(failure.detail.replace("error CS", "CS")))
        nonce = secrets.token_hex(16)
        seen = run(
            [self._mono.path, f"{home}/Launcher.exe", "{file}/a.exe"],
            self._run_profile,
            slot,
            payload=lambda _fd: f"{nonce}\n".encode(),
            files=[(built.stdout, "a.exe")],
            binds=[str(home), *self._binds],
            environment=[("MONO_PATH", str(home))],
            result_on_stdout=True,
        )
        return Judgement(*judge_run(seen, nonce))

    def _home(self) -> Path:
        with self._lock:
            if self._launcher is None:
                self._launcher = self._build()
            return self._launcher

    def _build(self) -> Path:
        sources = sorted((LAUNCHERS / "csharp").glob("*.cs"))
        key = "\n".join((self._mcs.stamp, *(path.read_text("utf-8") for path in sources)))

        def build(made: Path) -> None:
            compiler = [self._mcs.path, "-nologo"]
            check, launcher = sources
            words = [*compiler, "-target:library", f"-out:{made}/Check.dll", str(check)]
            build_trusted(words, "Check.cs")
            words = [*compiler, f"-r:{made}/Check.dll", f"-out:{made}/Launcher.exe", str(launcher)]
            build_trusted(words, "Launcher.cs")

        return cached_build("csharp", key, build)

    def close(self) -> None:
        """Nothing to end."""
