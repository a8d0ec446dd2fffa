"""Go: compiler and linker called by themselves, against packages that were built once.

`go build` would want a writable cache in every sandbox and takes longer to think than to compile.
"""

import re
import secrets
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

from codemoe.evaluate.sandbox.judgement import Judgement, Setup
from codemoe.evaluate.sandbox.native import LAUNCHERS
from codemoe.evaluate.sandbox.process import run
from codemoe.evaluate.sandbox.records import Job, compile_profile, run_profile
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import MissingTool, build_trusted, cached_build, find_tools
from codemoe.evaluate.sandbox.verdict import clean, compile_failure, judge_run
from codemoe.languages import Language

_PACKAGE = re.compile(r"^[ \t]*package\s+\w+[ \t]*;?[ \t]*$", re.MULTILINE)
_IMPORT = re.compile(
    r"^[ \t]*import\s*(?:\([^)]*\)|(?:[\w.]+\s+)?\"[^\"]*\")[ \t]*;?", re.MULTILINE
)
_MAIN = re.compile(r"\bfunc\s+main\s*\(\s*\)")
_TEST = re.compile(r"^func\s+(Test\w*)\s*\(\s*\w+\s+\*testing\.T\s*\)", re.MULTILINE)
_BUILTIN = re.compile(
    r"^(?:func|var|const|type)\s+\(?\s*(panic|recover|len|cap|append|true|false|nil|iota|string|bool|"
    r"int|int64|float64|error|make|new|copy|delete|print|println)\b",
    re.MULTILINE,
)
_TESTIFY = "github.com/stretchr/testify/assert"
_COMPILE = (
    'cd "$1" && head -c "$2" > solution.go && cat > main.go && '
    '"$3/compile" -importcfg "$4" -p main -o main.o solution.go main.go && '
    '"$3/link" -importcfg "$4" -s -w -o a.out main.o && cat a.out'
)


def join(program: str, tests: str) -> str:
    """One source file of package main: imports first, and only the tests' `main` (renamed)."""
    imports = list(dict.fromkeys(_IMPORT.findall(program) + _IMPORT.findall(tests)))
    parts = [_IMPORT.sub("", _PACKAGE.sub("", part)) for part in (program, tests)]
    parts[0] = _MAIN.sub("func codemoeUnused()", parts[0])
    parts[1] = _MAIN.sub("func codemoeSuite()", parts[1])
    return "\n".join(["package main", *imports, *parts, ""])


class Go:
    """The Go compiler, the standard library's export data, and the guard."""

    def __init__(self, row: Language, setup: Setup) -> None:
        (self._tool,) = find_tools(row)
        # The runtime reserves much more address space than it uses.
        self._compile_profile = replace(compile_profile(setup.limits, tasks=128), address_mb=None)
        self._run_profile = run_profile(
            setup.limits, data_mb=setup.limits.memory_mb + 128, proc=False
        )
        self._lock = threading.Lock()
        self._built: tuple[Path, str, str] | None = None

    def judge(self, job: Job, slot: Slot) -> Judgement:
        if found := _BUILTIN.search(job.program):
            return Judgement("compile_error", f"the program redefines {found[1]}")
        home, guard, tools = self._prepared()
        source = join(job.program, job.tests).encode("utf-8", "replace")
        main = self._main(job, guard)
        built = run(
            ["sh", "-c", _COMPILE, "sh", "{work}", str(len(source)), tools, f"{home}/importcfg"],
            self._compile_profile,
            slot,
            payload=lambda _fd: source + main.encode(),
            binds=[str(home), *self._tool.binds],
            keep_stdout=True,
        )
        if failure := compile_failure(built):
            said = built.stdout.decode("utf-8", "replace")  # the compiler speaks there
            if failure.status == "compile_error" and built.code not in (0, None):
                return Judgement("compile_error", clean(said + built.stderr))
            return failure
        nonce = secrets.token_hex(16)
        seen = run(
            ["{file}/a.out"],
            self._run_profile,
            slot,
            payload=lambda fd: f"{nonce} {fd}\n".encode(),
            files=[(built.stdout, "a.out")],
            environment=[("GOMAXPROCS", "2"), ("GOTRACEBACK", "none")],
        )
        return Judgement(*judge_run(seen, nonce))

    def _main(self, job: Job, guard: str) -> str:
        """The file whose `main` hands the suite to the guard."""
        if _MAIN.search(job.tests):
            imported = f'package main\nimport guard "{guard}"\n'
            return imported + "func main() { guard.Main(codemoeSuite) }\n"
        tests = ", ".join(f'{{Name: "{name}", F: {name}}}' for name in _TEST.findall(job.tests))
        return (
            f'package main\nimport (\n\t"testing"\n\tguard "{guard}"\n)\n'
            f"func main() {{ guard.Tests([]testing.InternalTest{{{tests}}}) }}\n"
        )

    def _prepared(self) -> tuple[Path, str, str]:
        """(cache directory, import path of the guard, directory of compile and link)"""
        with self._lock:
            if self._built is None:
                self._built = self._prepare()
            return self._built

    def _prepare(self) -> tuple[Path, str, str]:
        tools = self._ask("env", "GOTOOLDIR")
        sources = sorted((LAUNCHERS / "go").glob("*.go"))
        key = "\n".join((self._tool.stamp, *(path.read_text("utf-8") for path in sources)))

        def build(made: Path) -> None:
            listed = self._export_data(made / "std")
            # Nobody but this machine's owner knows the guard's path.
            name = f"codemoe{secrets.token_hex(8)}"
            lines = [line.replace(f"{made}/", "{home}/") for line in listed]
            (made / "importcfg.std").write_text("\n".join(listed), "utf-8")
            for package, path in (("guard", name), ("assert", _TESTIFY)):
                words = [f"{tools}/compile", "-importcfg", str(made / "importcfg.std"), "-p", path]
                words += ["-o", str(made / f"{package}.a"), str(LAUNCHERS / "go" / f"{package}.go")]
                build_trusted(words, f"{package}.go")
                lines.append(f"packagefile {path}={{home}}/{package}.a")
            (made / "importcfg.in").write_text("\n".join(lines) + "\n", "utf-8")
            (made / "importcfg").write_text("", "utf-8")
            (made / "guard").write_text(name, "utf-8")

        home = cached_build("go", key, build)
        text = (home / "importcfg.in").read_text("utf-8").replace("{home}", str(home))
        if (home / "importcfg").read_text("utf-8") != text:  # its own place was not known before
            (home / "importcfg").write_text(text, "utf-8")
        return home, (home / "guard").read_text("utf-8"), tools

    def _export_data(self, cache: Path) -> list[str]:
        """An importcfg line for every package of the standard library."""
        form = "{{if .Export}}packagefile {{.ImportPath}}={{.Export}}{{end}}"
        said = self._ask("list", "-export", "-f", form, "std", environment={"GOCACHE": str(cache)})
        return [line for line in said.splitlines() if line.startswith("packagefile ")]

    def _ask(self, *words: str, environment: dict[str, str] | None = None) -> str:
        env = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GOFLAGS": "-mod=mod"}
        env |= {"GOCACHE": "/nonexistent", "CGO_ENABLED": "0", **(environment or {})}
        done = subprocess.run(
            [self._tool.path, *words], capture_output=True, text=True, env=env, cwd="/"
        )
        if done.returncode != 0:
            raise MissingTool(f"go {words[0]} fails: {clean(done.stderr, 200)}")
        return done.stdout.strip()

    def close(self) -> None:
        """Nothing to end."""
