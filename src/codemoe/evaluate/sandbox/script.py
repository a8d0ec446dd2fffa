"""The guarded form of scripts: one process whose launcher runs the candidate, then the tests."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from codemoe.evaluate.sandbox.judgement import Judgement, Setup
from codemoe.evaluate.sandbox.process import run
from codemoe.evaluate.sandbox.records import Job, Profile, run_profile
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import Tool
from codemoe.evaluate.sandbox.verdict import judge_run

LAUNCHERS = Path(__file__).parent / "launchers"


class Script:
    """An interpreter and its launcher; holds nothing between runs."""

    def __init__(
        self,
        tool: Tool,
        words: Sequence[str],
        launcher: str,
        profile: Profile,
        environment: Sequence[tuple[str, str]] = (),
    ) -> None:
        self._command = [tool.path, *words, (LAUNCHERS / launcher).read_text("utf-8")]
        self._profile = profile
        self._binds, self._environment = tool.binds, environment

    def judge(self, job: Job, slot: Slot) -> Judgement:
        nonce = secrets.token_hex(16)
        seen = run(
            self._command,
            self._profile,
            slot,
            payload=_payload(nonce, job),
            binds=self._binds,
            environment=self._environment,
        )
        return Judgement(*judge_run(seen, nonce))


def _payload(nonce: str, job: Job) -> Callable[[int], bytes]:
    program = job.program.encode("utf-8", "surrogatepass")
    tests = job.tests.encode("utf-8", "surrogatepass")
    return lambda fd: f"{nonce} {fd} {len(program)}\n".encode() + program + tests


# Without site and without writing byte code: 9 ms instead of 50 to 120.
PYTHON_WORDS = ("-I", "-S", "-B", "-c")


def python_profile(setup: Setup) -> Profile:
    memory = setup.limits.memory_mb
    return run_profile(setup.limits, address_mb=2 * memory, data_mb=memory)


def node_words(setup: Setup) -> tuple[str, ...]:
    heap = f"--max-old-space-size={setup.limits.memory_mb // 2}"
    return heap, "--unhandled-rejections=strict", "--no-warnings"


def node_profile(setup: Setup) -> Profile:
    # A limit on address space would end node at its start; one on data also counts Buffers.
    return run_profile(setup.limits, data_mb=setup.limits.memory_mb + 256)
