"""Languages whose compiler links a C `main`: compile in one sandbox, run in another.

A row of the table of languages is enough for another one: its compiler's command, as C and Rust
have it. The launcher is linked in front of `main` and holds the evidence (launch_native.c).
"""

import re
import secrets
import shutil
import threading
from pathlib import Path

from codemoe.evaluate.sandbox.judgement import Judgement, Setup
from codemoe.evaluate.sandbox.process import run
from codemoe.evaluate.sandbox.records import Job, compile_profile, run_profile
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import build_trusted, cached_build, find_tool, find_tools
from codemoe.evaluate.sandbox.verdict import compile_failure, judge_run
from codemoe.languages import Language

LAUNCHERS = Path(__file__).parent / "launchers"
# No call to a library function may come out of a loop, nor out of a stack check.
LAUNCHER_FLAGS = ("-O1", "-fPIC", "-fno-builtin", "-fno-stack-protector", "-c")
_COMPILE = 'cd "$1" && shift && "$@" && cat a.out'
# After the candidate, so that neither NDEBUG nor a macro of its own bends the tests.
_UNDEFINED = (
    "NDEBUG main assert if else for while do switch case return int bool char long double float "
    "void const extern"
)
_RUST_ASSERT = re.compile(r"(?<![\w:])(assert|assert_eq|assert_ne|panic)!")


def translation_unit(program: str, tests: str, declaration: str, words: str) -> str:
    """Candidate and tests in one source, for C and C++.

    Between them words are freed of macros, and `assert` becomes ours: the library's own would end
    in a function that a candidate can bring along. Nothing is declared there, because many tests
    begin with the brace that closes the candidate's function.
    """
    lines = "".join(f"#undef {word}\n" for word in words.split())
    tests = _ASSERT_HEADER.sub("", tests)
    return (
        f'{declaration}\n#line 1 "solution"\n{program}\n{lines}'
        "#define assert(...) ((__VA_ARGS__) ? (void)0 : codemoe_failed(#__VA_ARGS__))\n"
        f'#line 1 "tests"\n{tests}\n'
    )


_ASSERT_HEADER = re.compile(r"^[ \t]*#[ \t]*include[ \t]*<(?:assert\.h|cassert)>", re.MULTILINE)
_DECLARATION = "#include <assert.h>\nextern void codemoe_failed(const char *claim);"


class Native:
    """One compiler; the launcher is built lazily, once, by whichever worker needs it first."""

    def __init__(self, row: Language, setup: Setup) -> None:
        assert row.toolchain is not None
        self._row = row
        self._tools = find_tools(row)
        self._words = row.toolchain.compile
        self._compiler = self._tools[0]
        self._binds = [path for tool in self._tools for path in tool.binds]
        fast = next((name for name in ("mold", "gold") if shutil.which(f"ld.{name}")), None)
        self._linker = f"-fuse-ld={fast}" if fast else ""
        self._compile_profile = compile_profile(setup.limits, tasks=64)
        memory = setup.limits.memory_mb
        self._run_profile = run_profile(setup.limits, address_mb=memory, proc=False)
        self._lock = threading.Lock()
        self._made: dict[str, Path] = {}

    def judge(self, job: Job, slot: Slot) -> Judgement:
        source = self._source(job).encode("utf-8", "replace")
        for words, binds in self._commands(job):
            built = run(
                ["sh", "-c", _COMPILE, "sh", "{work}", *words],
                self._compile_profile,
                slot,
                payload=lambda _fd: source,
                binds=[*binds, *self._binds],
                keep_stdout=True,
            )
            failure = compile_failure(built)
            if failure is None:
                break
        else:
            return failure or Judgement("compile_error", "")
        nonce = secrets.token_hex(16)
        seen = run(
            ["{file}/a.out"],
            self._run_profile,
            slot,
            payload=lambda fd: f"{nonce} {fd}\n".encode(),
            files=[(built.stdout, "a.out")],
            binds=self._binds,
        )
        return Judgement(*judge_run(seen, nonce))

    def _source(self, job: Job) -> str:
        """Candidate, then tests, in one translation unit."""
        if self._row.name == "c":
            return translation_unit(job.program, job.tests, _DECLARATION, _UNDEFINED)
        tests = _RUST_ASSERT.sub(r"::std::\1!", job.tests)  # not one that the candidate defined
        # An attribute left open by the candidate would take the next item, the tests, away.
        opened = "" if tests.lstrip().startswith("}") else "const _: () = ();\n"
        return f"{job.program}\n{opened}{tests}\n"

    def _commands(self, job: Job) -> list[tuple[list[str], list[str]]]:
        """Compilers' words, and the directories that they name; tried until one succeeds."""
        launcher = self.built("launcher") / "launcher.o"
        words = self.fill([str(launcher)])
        # Rust suites have a `main` or test functions.
        has_main = re.search(r"\bfn\s+main\s*\(", job.tests)
        if self._row.name == "rust" and not has_main and "#[test]" in job.tests:
            words.insert(1, "--test")
        return [(words, [str(launcher.parent)])]

    def fill(self, launcher: list[str], extra: list[str] | None = None) -> list[str]:
        """The row's command with its places filled in; `extra` follows the compiler's name."""
        words = [self._compiler.path, *(extra or [])]
        for word in self._words[1:]:
            if word == "{launcher}":
                words += launcher
            elif word == "{linker}":
                if self._linker:
                    rust = self._row.name == "rust"
                    words += ["-C", f"link-arg={self._linker}"] if rust else [self._linker]
            else:
                words.append(word.replace("{launcher}", launcher[0]).replace("{out}", "a.out"))
        return words

    def built(self, what: str) -> Path:
        """A directory of the cache with something of our own, compiled once."""
        with self._lock:
            if what not in self._made:
                self._made[what] = self._build(what)
            return self._made[what]

    def _build(self, what: str) -> Path:
        source = (LAUNCHERS / "launch_native.c").read_text("utf-8")
        compiler = find_tool("gcc")

        def build(made: Path) -> None:
            (made / "launcher.c").write_text(source, "utf-8")
            words = [compiler.path, *LAUNCHER_FLAGS, str(made / "launcher.c")]
            build_trusted([*words, "-o", str(made / "launcher.o")], "launch_native.c")

        return cached_build(f"native-{what}", "\n".join((compiler.stamp, source)), build)

    def close(self) -> None:
        """Nothing to end."""
