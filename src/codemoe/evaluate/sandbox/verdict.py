"""From what was seen of a process to one of the statuses."""

import re

from codemoe.evaluate.sandbox.dialogue import Outcome
from codemoe.evaluate.sandbox.judgement import Judgement
from codemoe.evaluate.sandbox.process import RawRun

_DETAIL = 500
# C's assert aborts; Rust's panics, with exit status 101.
_ASSERTION = re.compile(r"Assertion [`'].*failed|assertion [`'(\w].*failed|assertion failed")
_PANIC = 101
# Words that runtimes leave on standard error when memory is gone and no launcher can speak.
_NO_MEMORY = re.compile(
    r"heap out of memory|OutOfMemoryError|bad_alloc|Cannot allocate memory|OutOfMemoryException"
    r"|memory allocation of \d+ bytes failed|fatal error: out of memory|runtime: out of memory"
)
_SIGNALS = {4: "SIGILL", 5: "SIGTRAP", 6: "SIGABRT", 7: "SIGBUS", 8: "SIGFPE", 9: "SIGKILL"}
_SIGNALS |= {11: "SIGSEGV", 15: "SIGTERM", 24: "SIGXCPU", 25: "SIGXFSZ", 31: "SIGSYS"}


def clean(text: str, limit: int = _DETAIL) -> str:
    """One printable line of at most `limit` characters: details end up in terminals and JSON."""
    text = " ".join(text.split())
    text = "".join(c if c.isprintable() else "?" for c in text[: 4 * limit])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def launch_failure(run: RawRun) -> str | None:
    """Why the sandbox itself did not come up; None when it did.

    Only asked while the launcher, which speaks first, has not been reached: from then on the
    candidate could write these words itself.
    """
    if run.started or run.timed_out:
        return None
    for line in run.stderr.splitlines():
        if line.startswith(("bwrap:", "setpriv:", "prlimit:", "confine:")):
            return clean(line)
    return None


def compile_failure(run: RawRun) -> Judgement | None:
    """What became of a compiler that was asked for a program on standard output; None: it made one.

    A compiler that dies of its input (out of memory, too deep a nesting) is the program's fault.
    """
    if failure := launch_failure(run):
        return Judgement("sandbox_error", failure)
    if run.timed_out:
        return Judgement("compile_error", f"the compiler had no end after {run.seconds:.0f} s")
    if run.output_exceeded:
        return Judgement("compile_error", "the compiler wrote more than allowed")
    if run.code != 0 or not run.stdout:
        return Judgement("compile_error", clean(run.stderr) or f"exit status {run.code}")
    return None


def judge_run(run: RawRun, nonce: str) -> tuple[str, str]:
    """(status, detail) of a finished run of a launcher; the nonce is the only road to `pass`."""
    failure = launch_failure(run)
    if failure and not _NO_MEMORY.search(failure):
        return "sandbox_error", failure
    if run.output_exceeded:
        return "output_limit", "more output than allowed"
    if run.timed_out:
        return "timeout", f"no end after {run.seconds:.1f} s"
    lines = run.result.decode("utf-8", "replace").splitlines()
    if run.code == 0 and f"P {nonce}" in lines:
        return "pass", ""
    for kind, status in (("F ", "fail"), ("O ", "oom"), ("E ", "error")):
        for line in lines:
            if line.startswith(kind) and run.code != 0:
                return status, clean(line[2:])
    return _judge_exit(run)


def judge_outcome(outcome: Outcome) -> Judgement:
    """From the words of the tests' process, which the candidate cannot speak for."""
    run = outcome.candidate
    if not outcome.verdict and (failure := launch_failure(run)):
        return Judgement("sandbox_error", failure, "strong")
    if run.output_exceeded:
        return Judgement("output_limit", "more output than allowed", "strong")
    kind, text = outcome.verdict[:1], clean(outcome.verdict[2:])
    if kind == "P":
        return Judgement("pass", "", "strong")
    if run.timed_out:
        return Judgement("timeout", f"no end after {run.seconds:.1f} s", "strong")
    if kind == "":
        return Judgement("timeout", "the tests had no end", "strong")
    if kind == "G":
        return Judgement(*_judge_exit(run), "strong")
    status = {"F": "fail", "O": "oom"}.get(kind, "error")
    return Judgement(status, text, "strong")


def _judge_exit(run: RawRun) -> tuple[str, str]:
    if run.code == 0:
        return "no_verdict", "the program ended before its tests did"
    said = clean(run.stderr[-2000:])
    if _NO_MEMORY.search(run.stderr):
        return "oom", said
    signal_number = -run.code if run.code < 0 else run.code - 128
    if (signal_number == 6 or run.code == _PANIC) and _ASSERTION.search(run.stderr):
        return "fail", said
    if signal_number == 24:
        return "timeout", "CPU time limit"
    if signal_number == 25:
        return "output_limit", "a file grew beyond the limit"
    if 0 < signal_number < 65:
        name = _SIGNALS.get(signal_number, f"signal {signal_number}")
        return "crash", clean(f"{name} {said}")
    return "error", clean(f"exit status {run.code} {said}")
