"""Python and JavaScript: one process whose launcher runs the candidate, then the tests."""

import secrets
from collections.abc import Callable
from pathlib import Path

from codemoe.evaluate.sandbox.process import run
from codemoe.evaluate.sandbox.records import Job, Limits, Profile, run_profile
from codemoe.evaluate.sandbox.slot import Slot
from codemoe.evaluate.sandbox.toolchain import Tool, find_tool
from codemoe.evaluate.sandbox.verdict import judge_run

LAUNCHERS = Path(__file__).parent / "launchers"


class ScriptLanguage:
    """An interpreter and its launcher; holds nothing between runs."""

    def __init__(self, tool: Tool, words: tuple[str, ...], launcher: str, profile: Profile) -> None:
        self._tool = tool
        self._command = [tool.path, *words, (LAUNCHERS / launcher).read_text("utf-8")]
        self._profile = profile
        self.stamp = tool.stamp

    def judge(self, job: Job, slot: Slot) -> tuple[str, str]:
        nonce = secrets.token_hex(16)
        seen = run(
            self._command,
            self._profile,
            slot.number,
            slot.stop,
            payload=_payload(nonce, job),
            binds=[(path, path) for path in self._tool.binds],
        )
        return judge_run(seen, nonce)

    def close(self) -> None:
        """Nothing to end."""


def _payload(nonce: str, job: Job) -> Callable[[int], bytes]:
    program = job.program.encode("utf-8", "surrogatepass")
    tests = job.tests.encode("utf-8", "surrogatepass")
    return lambda fd: f"{nonce} {fd} {len(program)}\n".encode() + program + tests


def python(limits: Limits) -> ScriptLanguage:
    # Without site and without writing byte code: 9 ms instead of 50 to 120.
    profile = run_profile(limits, address_mb=2 * limits.memory_mb, data_mb=limits.memory_mb)
    return ScriptLanguage(
        find_tool("python3"), ("-I", "-S", "-B", "-c"), "launch_python.py", profile
    )


def javascript(limits: Limits) -> ScriptLanguage:
    # A limit on address space would end node at its start; one on data also counts Buffers.
    profile = run_profile(limits, data_mb=limits.memory_mb + 256)
    words = (
        f"--max-old-space-size={limits.memory_mb // 2}",
        "--unhandled-rejections=strict",
        "--no-warnings",
        "-e",
    )
    return ScriptLanguage(find_tool("node"), words, "launch_javascript.js", profile)
