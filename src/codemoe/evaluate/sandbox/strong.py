"""Drivers of the strong form: Python and JavaScript, and what compiles to them."""

import json
import re
import threading
from collections.abc import Callable, Sequence

from codemoe.evaluate.sandbox import wire
from codemoe.evaluate.sandbox.dialogue import TestsDied, TestsProcess
from codemoe.evaluate.sandbox.judgement import Judgement, Setup
from codemoe.evaluate.sandbox.records import Job, Profile
from codemoe.evaluate.sandbox.script import (
    LAUNCHERS,
    PYTHON_WORDS,
    Script,
    node_profile,
    node_words,
    python_profile,
)
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import Tool, find_tools
from codemoe.evaluate.sandbox.verdict import clean, judge_outcome
from codemoe.languages import Language

# Tests that look into the candidate's own process cannot be driven from another one. Only the
# tests decide this: a candidate could otherwise choose the weaker form for itself.
_PYTHON_SAME_PROCESS = re.compile(
    r"\b(?:stdout|stderr|stdin|redirect_\w+|capsys|getsource|inspect|__code__|__globals__|globals|"
    r"mock|patch|monkeypatch|asyncio|await|GeneratorType|Iterator|Generator|tracemalloc|"
    r"settrace|doctest|unittest)\b"
)
_JAVASCRIPT_SAME_PROCESS = re.compile(
    r"\b(?:stdout|stderr|stdin|instanceof\s+(?!Array|Error|Promise|Map|Set|Date)\w+|vm|jest|sinon|"
    r"Symbol|Proxy|Reflect|prototype|eval|toString\(\)\s*\.)\b|console\.log\s*="
)

_JAVASCRIPT_FUNCTION = re.compile(
    r"\bfunction\s*\*?\s*([\w$]+)\s*\(|\b(?:const|let|var)\s+([\w$]+)\s*=\s*(?:async\s*)?\("
)


class Strong:
    """Tests in one process, the candidate in another; one tests' process a worker."""

    def __init__(
        self,
        tools: tuple[Tool, ...],
        guarded: Script,
        same_process: re.Pattern[str],
        tests_command: list[str],
        candidate_command: list[str],
        tests_profile: Profile,
        profile: Profile,
        request: Callable[[Job], bytes],
        environment: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._binds = [path for tool in tools for path in tool.binds]
        self._guarded, self._same_process = guarded, same_process
        self._tests_command, self._tests_profile = tests_command, tests_profile
        self._candidate_command = [*candidate_command, "{calls}", "{result}"]
        self._profile = profile
        self._request, self._environment = request, environment
        self._processes: dict[int, TestsProcess] = {}
        self._lock = threading.Lock()

    def judge(self, job: Job, slot: Slot) -> Judgement:
        if self._same_process.search(job.tests):
            return self._guarded.judge(job, slot)
        with self._lock:
            process = self._processes.get(slot.number)
            if process is None:
                process = self._processes[slot.number] = TestsProcess(
                    self._tests_command,
                    self._tests_profile,
                    slot.number,
                    self._binds,
                    self._environment,
                )
        try:
            outcome = process.converse(
                self._request(job), self._candidate_command, self._profile, slot, self._binds
            )
        except TestsDied as died:
            message = clean(f"the tests' process did not run: {died}")
            return Judgement("sandbox_error", message, "strong")
        return judge_outcome(outcome)

    def close(self) -> None:
        with self._lock:
            for process in self._processes.values():
                process.close()
            self._processes.clear()


def _tests_profile(profile: Profile, memory_mb: int | None) -> Profile:
    """For a process that serves many jobs; one that forks limits each of them itself."""
    return Profile(
        wall_s=profile.wall_s,
        cpu_s=None,
        address_mb=memory_mb,
        data_mb=memory_mb,
        file_mb=8,
        tasks=64,
        output_mb=profile.output_mb,
        may_fork=True,
        proc=False,
    )


def python(row: Language, setup: Setup) -> Strong:
    tools = find_tools(row)
    # As text, not as a file: a directory bound for it would show where the cache lies.
    shared = "".join((LAUNCHERS / name).read_text("utf-8") for name in ("wire.py", "peer.py"))
    tests, candidate = (
        [tools[0].path, *PYTHON_WORDS, shared + (LAUNCHERS / name).read_text("utf-8")]
        for name in ("tests_python.py", "candidate_python.py")
    )
    profile = python_profile(setup)
    cpu_s = int(setup.limits.wall_s) + 2

    def request(job: Job) -> bytes:
        return wire.encode(job.program, job.tests, job.prompt, job.entry_point or "", cpu_s)

    return Strong(
        tools,
        Script(tools[0], PYTHON_WORDS, "launch_python.py", profile),
        _PYTHON_SAME_PROCESS,
        tests,
        candidate,
        _tests_profile(profile, 2 * setup.limits.memory_mb),
        profile,
        request,
    )


# Where packages are that were installed for everybody.
NODE_ENVIRONMENT = (
    ("NODE_PATH", "/usr/local/lib/node_modules:/usr/lib/node_modules:/usr/share/nodejs"),
    ("OPENSSL_CONF", "/dev/null"),  # node reads it, needed or not
)


def javascript(row: Language, setup: Setup) -> Strong:
    tools = find_tools(row)
    text = (LAUNCHERS / "wire.js").read_text("utf-8")
    words = node_words(setup)
    tests, candidate = (
        [tools[0].path, *words, "-e", text + (LAUNCHERS / name).read_text("utf-8")]
        for name in ("tests_javascript.js", "candidate_javascript.js")
    )
    profile = node_profile(setup)

    def request(job: Job) -> bytes:
        asked = _JAVASCRIPT_FUNCTION.findall(job.prompt)
        entry = job.entry_point or ("".join(asked[-1]) if asked else "")
        parts = [job.program, job.tests, entry]
        return json.dumps(parts).encode("utf-8")

    return Strong(
        tools,
        Script(tools[0], (*words, "-e"), "launch_javascript.js", profile, NODE_ENVIRONMENT),
        _JAVASCRIPT_SAME_PROCESS,
        tests,
        candidate,
        _tests_profile(profile, None),
        profile,
        request,
        NODE_ENVIRONMENT,
    )
