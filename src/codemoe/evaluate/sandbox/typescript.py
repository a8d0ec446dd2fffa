"""TypeScript: its types are taken off in one sandbox, the rest is JavaScript.

Types are not checked: the tests decide, and type errors that TypeScript reports but runs are no
failures of the program.
"""

import re
from dataclasses import replace

from codemoe.evaluate.sandbox.judgement import Judgement, Setup
from codemoe.evaluate.sandbox.process import run
from codemoe.evaluate.sandbox.records import Job, compile_profile
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.strong import javascript
from codemoe.evaluate.sandbox.toolchain import find_tool
from codemoe.evaluate.sandbox.verdict import clean, launch_failure
from codemoe.languages import LANGUAGES, Language

_SYNTAX = re.compile(r"(program|tests)\.ts\((\d+),\d+\): error TS1\d{3}: ([^\n]*)")
_COMPILE = (
    'cd "$1" && head -c "$2" > program.ts && cat > tests.ts && shift 2 && '
    '"$@" --outDir out program.ts tests.ts >&2; '
    "wc -c < out/program.js && cat out/program.js out/tests.js"
)


class TypeScript:
    """tsc in front of the JavaScript driver."""

    def __init__(self, row: Language, setup: Setup) -> None:
        self._tool = find_tool("tsc")
        self._node = find_tool("node")
        self._javascript = javascript(LANGUAGES["javascript"], setup)
        self._words = [self._tool.path, "--target", "es2022", "--module", "commonjs", "--noLib"]
        version = re.search(r"(\d+)\.(\d+)", self._tool.version)
        if version and (int(version[1]), int(version[2])) >= (5, 6):
            self._words.append("--noCheck")
        # node and Go both reserve more than they use.
        self._profile = replace(compile_profile(setup.limits, tasks=128), address_mb=None)

    def judge(self, job: Job, slot: Slot) -> Judgement:
        program = job.program.encode("utf-8", "replace")
        built = run(
            ["sh", "-c", _COMPILE, "sh", "{work}", str(len(program)), *self._words],
            self._profile,
            slot,
            payload=lambda _fd: program + job.tests.encode("utf-8", "replace"),
            binds=[*self._tool.binds, *self._node.binds],
            environment=[("OPENSSL_CONF", "/dev/null")],
            keep_stdout=True,
        )
        if failure := launch_failure(built):
            return Judgement("sandbox_error", failure, "strong")
        if found := _SYNTAX.search(built.stderr):
            return Judgement("compile_error", clean(f"line {found[2]}: {found[3]}"), "strong")
        if built.timed_out or built.output_exceeded:
            return Judgement("compile_error", "tsc had no end", "strong")
        size, _, rest = built.stdout.partition(b"\n")
        if not size.strip().isdigit():
            return Judgement("compile_error", clean(built.stderr) or "tsc wrote nothing", "strong")
        length = int(size)
        return self._javascript.judge(
            replace(
                job,
                language="javascript",
                program=rest[:length].decode("utf-8", "replace"),
                tests=rest[length:].decode("utf-8", "replace"),
            ),
            slot,
        )

    def close(self) -> None:
        self._javascript.close()
