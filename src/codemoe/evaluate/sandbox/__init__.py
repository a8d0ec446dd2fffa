"""Run untrusted programs with their tests and say how each one ended.

    verdicts = run_jobs([Job("1", "python", "def f(): return 1", "assert f() == 1")])

Languages: Python, JavaScript (node), Java, C++. One fresh sandbox per compilation and per run;
Java compiles in one long-lived JVM inside a sandbox of its own.

What is covered (tier "bubblewrap", the only one yet):
- no network, no host processes, no host files but /usr and the toolchain, read-only; nothing of
  the host is writable; the environment is cleared; root is dropped before the sandbox starts
- limits on wall time, CPU time, memory per process, processes, file size, scratch space and
  output; standard input is empty
- everything a program started is gone, and reaped, when its verdict is there; killing this
  process (even with SIGKILL) ends its sandboxes, but for one killed in the very millisecond in
  which it starts: that one may stay behind, asleep, before it has run anything
- an exit status alone proves nothing: `pass` needs a random nonce that the launcher writes after
  the last test. The verdict's form is *guarded*: Python's tests have their own thread, namespace
  and an audit hook; JavaScript's `assert`, `require`, JSON and Object are frozen; Java holds the
  nonce in a frame that no Java code can read, runs with -ea, and takes the `main` that stands in
  the tests; C++ gets <cassert> again after the candidate and a launcher before its constructors

What is not covered:
- tests and candidate share one process. A program written against *these* launchers (one that
  searches its own memory, say, patches a library that the tests use, or, in C++, answers with a
  type that lies about its equality) can still forge a pass: scores are not tamper-proof against
  a determined author
- no system call filter (seccomp): kernel bugs stay reachable, as in any plain container
- memory is limited per process, not in sum (no cgroup); a program may use `processes` times it
- inodes of the scratch file system are not limited (a few hundred MB of kernel memory)
- CPU side channels, and time stolen from programs that run at the same moment
- no second tier: where bubblewrap or user namespaces are missing, nothing runs; `probe` says why
  and what to do, and nothing falls back to an unconfined run
"""

from codemoe.evaluate.sandbox.pool import choose_tier, run_jobs
from codemoe.evaluate.sandbox.records import (
    FORMS,
    NOT_COUNTED,
    STATUSES,
    Job,
    Limits,
    SandboxProbe,
    Verdict,
)
from codemoe.evaluate.sandbox.tier import UNSAFE, probe

__all__ = [
    "FORMS",
    "NOT_COUNTED",
    "STATUSES",
    "UNSAFE",
    "Job",
    "Limits",
    "SandboxProbe",
    "Verdict",
    "choose_tier",
    "probe",
    "run_jobs",
]
