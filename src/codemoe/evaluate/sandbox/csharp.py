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


_CLASS = re.compile(r"\b(?:class|struct|record)\s+(\w+)(?:<[^>]*>)?\s*(?::\s*([^{]*))?")
_OPERATOR = re.compile(r"\boperator\s*(?:==|!=|<|>|<=|>=|-)\s*\(([^()]*)\)")


def find_lie(program: str, prompt: str) -> str | None:
    """Why an answer of this program would decide for itself what it is equal to, or None.

    Operators of a class for itself and an Equals of a class without a library's base are honest.
    """
    text = program.removeprefix(prompt)
    own = {name for name, _ in _CLASS.findall(program)}
    for parameters in _OPERATOR.findall(text):
        for part in parameters.split(","):
            if not own & set(re.findall(r"\w+", part)):
                return "the program defines an operator for what is not a class of its own"
    if _OPERATOR.search(text) and re.search(r"\bimplicit\s+operator\b", text):
        return "the program turns other values into its own class and compares those"
    if re.search(r"\boverride\s+bool\s+Equals\b", text):
        for name, bases in _CLASS.findall(text):
            words = re.findall(r"[A-Z]\w*", re.sub(r"<[^>]*>", "", bases))
            if any(base not in own and not re.match(r"I[A-Z]", base) for base in words):
                return f"{name} replaces the Equals of a library's class"
    return None


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
        if lie := find_lie(job.program, job.prompt):
            return Judgement("compile_error", lie)
        home = self._home()
        name = (home / "namespace").read_text("utf-8")
        tests = _ASSERT.sub(f"global::{name}.Check.True(", job.tests)
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
            # A class of the candidate under the same name would come before ours.
            name = f"Codemoe{secrets.token_hex(8)}"
            (made / "namespace").write_text(name, "utf-8")
            for path in sources:
                text = path.read_text("utf-8").replace("Codemoe.", f"{name}.")
                (made / path.name).write_text(
                    text.replace("namespace Codemoe", f"namespace {name}"), "utf-8"
                )
            check, launcher = (made / path.name for path in sources)
            words = [*compiler, "-target:library", f"-out:{made}/Check.dll", str(check)]
            build_trusted(words, "Check.cs")
            words = [*compiler, f"-r:{made}/Check.dll", f"-out:{made}/Launcher.exe", str(launcher)]
            build_trusted(words, "Launcher.cs")

        return cached_build("csharp-checked", key, build)

    def close(self) -> None:
        """Nothing to end."""
