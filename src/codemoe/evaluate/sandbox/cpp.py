"""C++: compile in one sandbox, run in another; precompiled header and launcher object cached."""

import re
import secrets
import shutil
import subprocess
import threading
from pathlib import Path

from codemoe.errors import WorkError
from codemoe.evaluate.sandbox.process import run
from codemoe.evaluate.sandbox.records import Job, Limits, compile_profile, run_profile
from codemoe.evaluate.sandbox.script import LAUNCHERS
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import cached_build, find_tool
from codemoe.evaluate.sandbox.verdict import clean, judge_run, launch_failure

_FLAGS = ("-std=gnu++17", "-O0", "-w")
# The usual headers: half the size of bits/stdc++.h, and the load time goes with the size.
_COMMON = (
    "algorithm array bitset cassert cctype climits cmath cstdint cstdio cstdlib cstring deque "
    "functional iomanip iostream iterator limits list map memory numeric optional queue set "
    "sstream stack stdexcept string tuple unordered_map unordered_set utility vector"
)
_HEADERS = {"common": _COMMON, "all": "bits/stdc++.h cassert"}
_ALL = re.compile(r"#\s*include\s*<bits/stdc\+\+\.h>")
# After the candidate, so that neither NDEBUG nor a macro of its own bends the tests.
_UNDEFINED = (
    "NDEBUG main assert if else for while do switch case return throw try catch int bool char long "
    "double float void auto const true false std compare candidate"
)
_BETWEEN = (
    "\n"
    + "".join(f"#undef {word}\n" for word in _UNDEFINED.split())
    + '#include <cassert>\n#line 1 "tests.cpp"\n'
)
_COMPILE = 'compiler=$1; shift; "$compiler" "$@" && cat /w/a.out'


class Cpp:
    """g++ with its caches; built lazily, once, by whichever worker needs it first."""

    def __init__(self, limits: Limits) -> None:
        self._tool = find_tool("g++")
        self.stamp = " ".join((self._tool.stamp, *_FLAGS))
        linker = next((name for name in ("mold", "gold") if shutil.which(f"ld.{name}")), None)
        self._link = ("-fuse-ld=" + linker,) if linker else ()
        self._compile_profile = compile_profile(limits, processes=32)
        self._run_profile = run_profile(limits, address_mb=limits.memory_mb)
        self._lock = threading.Lock()
        self._made: dict[str, Path] = {}

    def judge(self, job: Job, slot: Slot) -> tuple[str, str]:
        header = self._cached("all" if _ALL.search(job.program + job.tests) else "common")
        launcher = self._cached("launcher")
        source = f'#line 1 "solution.cpp"\n{job.program}{_BETWEEN}{job.tests}\n'
        words = [*_FLAGS, "-fmax-errors=3", "-fdiagnostics-color=never"]
        words += ["-include", "/header/all.hpp", "-x", "c++", "-", "-x", "none"]
        words += ["/launcher/launcher.o", "-Wl,--wrap=main", *self._link, "-o", "/w/a.out"]
        built = run(
            ["sh", "-c", _COMPILE, "sh", self._tool.path, *words],
            self._compile_profile,
            slot.number,
            slot.stop,
            payload=lambda _fd: source.encode("utf-8", "replace"),
            binds=[
                (str(header), "/header"),
                (str(launcher), "/launcher"),
                *((path, path) for path in self._tool.binds),
            ],
            keep_stdout=True,
        )
        if failure := launch_failure(built):
            return "sandbox_error", failure
        if built.timed_out:
            return "compile_error", f"the compiler had no end after {built.seconds:.0f} s"
        if built.output_exceeded:
            return "compile_error", "the compiler wrote more than allowed"
        if built.code != 0 or not built.stdout:
            return "compile_error", clean(built.stderr) or f"exit status {built.code}"
        nonce = secrets.token_hex(16)
        seen = run(
            ["/w/a.out"],
            self._run_profile,
            slot.number,
            slot.stop,
            payload=lambda fd: f"{nonce} {fd}\n".encode(),
            files=[(built.stdout, "/w/a.out")],
        )
        return judge_run(seen, nonce)

    def _cached(self, what: str) -> Path:
        with self._lock:
            if what not in self._made:
                build = self._build_launcher if what == "launcher" else self._build_header
                content = _HEADERS.get(what) or (LAUNCHERS / "launch_cpp.cpp").read_text("utf-8")
                key = "\n".join((self.stamp, *_FLAGS, content))
                self._made[what] = cached_build(
                    f"cpp-{what}", key, lambda made: build(made, content)
                )
            return self._made[what]

    def _build_header(self, made: Path, content: str) -> None:
        lines = (f"#include <{name}>\n" for name in content.split())
        # The plain header must lie beside the compiled one, or g++ finds neither.
        (made / "all.hpp").write_text("".join(lines), encoding="utf-8")
        self._trusted("-x", "c++-header", str(made / "all.hpp"), "-o", str(made / "all.hpp.gch"))

    def _build_launcher(self, made: Path, content: str) -> None:
        (made / "launcher.cpp").write_text(content, encoding="utf-8")
        self._trusted("-c", str(made / "launcher.cpp"), "-o", str(made / "launcher.o"))

    def _trusted(self, *words: str) -> None:
        """Compile our own source, outside the sandbox."""
        command = [self._tool.path, *_FLAGS, *words]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        if done.returncode != 0:
            raise WorkError(
                f"g++ cannot compile codemoe's own source: {clean(done.stderr)}",
                "check the installation of g++ and its standard library",
            )

    def close(self) -> None:
        """Nothing to end."""
