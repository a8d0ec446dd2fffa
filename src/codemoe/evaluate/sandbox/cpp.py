"""C++: a precompiled header and a launcher that knows exceptions, on top of the native driver."""

import re
from pathlib import Path

from codemoe.evaluate.sandbox.cpp_lies import find_lie
from codemoe.evaluate.sandbox.judgement import Judgement
from codemoe.evaluate.sandbox.native import LAUNCHER_FLAGS, LAUNCHERS, Native, translation_unit
from codemoe.evaluate.sandbox.records import Job
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import build_trusted, cached_build

_FLAGS = ("-std=gnu++17", "-O0", "-w")  # a precompiled header serves one set of flags
# The usual headers: half the size of bits/stdc++.h, and the load time goes with the size.
_COMMON = (
    "algorithm array bitset cassert cctype climits cmath cstdint cstdio cstdlib cstring deque "
    "functional iomanip iostream iterator limits list map memory numeric optional queue set "
    "sstream stack stdexcept string string_view tuple unordered_map unordered_set utility vector"
)
_HEADERS = {"common": _COMMON, "all": "bits/stdc++.h cassert"}
_ALL = re.compile(r"#\s*include\s*<bits/stdc\+\+\.h>")
_UNDEFINED = (
    "NDEBUG main assert if else for while do switch case return throw try catch int bool char long "
    "double float void auto const extern true false std compare candidate"
)


def _own_helpers(program: str, tests: str) -> str:
    """The tests with their helpers renamed where the program has a function of that name, too.

    Both may well have a `compare`, and the program's could be the better match for an answer.
    """
    for name in dict.fromkeys(_FUNCTION.findall(tests)):
        if name not in ("main", *_KEYWORDS) and re.search(rf"\b{name}\s*\(", program):
            tests = re.sub(rf"\b{name}\b", f"codemoe_{name}", tests)
    return tests


_FUNCTION = re.compile(r"\b(\w+)\s*\([^;{}()]*\)\s*(?:const\s*)?\{")
_DECLARATION = 'extern "C" [[noreturn]] void codemoe_failed(const char *claim);'
_KEYWORDS = ("if", "for", "while", "switch", "catch", "return", "do", "else")


class Cpp(Native):
    """g++ with its caches."""

    def judge(self, job: Job, slot: Slot) -> Judgement:
        if lie := find_lie(job.program, job.prompt, job.entry_point):
            return Judgement("compile_error", lie)
        return super().judge(job, slot)

    def _source(self, job: Job) -> str:
        tests = _own_helpers(job.program, job.tests)
        return translation_unit(job.program, tests, _DECLARATION, _UNDEFINED)

    def _commands(self, job: Job) -> list[tuple[list[str], list[str]]]:
        launcher = self.built("launcher")

        def command(header: Path, *more: str) -> tuple[list[str], list[str]]:
            # Not "#include": GCC ignores a precompiled header after anything else.
            words = ["-include", str(header / "all.hpp"), *more]
            binds = [str(header), str(launcher)]
            return self.fill([str(launcher / "launcher.o")], words), binds

        common = self.built("common")
        if not _ALL.search(job.program + job.tests):
            return [command(common)]
        # Few programs that include everything use more than the usual headers, and those load in
        # half the time; beside them lies an empty <bits/stdc++.h>.
        return [command(common, "-I", str(common)), command(self.built("all"))]

    def _build(self, what: str) -> Path:
        if what == "launcher":
            return self._build_launcher()
        content = _HEADERS[what]

        def build(made: Path) -> None:
            lines = (f"#include <{name}>\n" for name in content.split())
            # The plain header must lie beside the compiled one, or g++ finds neither.
            header = made / "all.hpp"
            header.write_text("".join(lines), encoding="utf-8")
            if what == "common":
                (made / "bits").mkdir()
                (made / "bits" / "stdc++.h").write_text("#pragma once\n", encoding="utf-8")
            words = [self._compiler.path, *_FLAGS, "-x", "c++-header", str(header)]
            build_trusted([*words, "-o", f"{header}.gch"], "precompiled header")

        key = "\n".join((self._compiler.stamp, *_FLAGS, content))
        return cached_build(f"cpp-{what}-headers", key, build)

    def _build_launcher(self) -> Path:
        native = (LAUNCHERS / "launch_native.c").read_text("utf-8")
        own = (LAUNCHERS / "launch_cpp.cpp").read_text("utf-8")

        def build(made: Path) -> None:
            (made / "launch_native.c").write_text(native, "utf-8")
            (made / "main.cpp").write_text(own, "utf-8")
            words = [self._compiler.path, "-std=gnu++17", *LAUNCHER_FLAGS]
            words += [str(made / "main.cpp"), "-o", str(made / "launcher.o")]
            build_trusted(words, "launch_cpp.cpp")

        key = "\n".join((self._compiler.stamp, *_FLAGS, native, own))
        return cached_build("cpp-launcher", key, build)
