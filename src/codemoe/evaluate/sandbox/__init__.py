"""Run untrusted programs with their tests and say how each one ended.

    verdicts = run_jobs([Job("1", "python", "def f(): return 1", "assert f() == 1")])

Languages: those whose row in `languages.py` has a toolchain. docs/sandbox.md says it for users.

Tiers (`probe` says which works here; nothing falls back by itself to an unconfined run):
- "bubblewrap": namespaces of its own, a file system of /usr and the toolchain, read-only, and
  scratch space with a size; a system call filter; limits; root is dropped first
- "landlock", without user namespaces: Landlock's list of readable paths, the filter (no sockets, no
  signals to others), limits; a candidate has no writable path at all
- "unsafe-no-sandbox": limits only; by explicit request, and recorded

Forms, recorded with every verdict:
- "strong" (Python, JavaScript, TypeScript): the tests run in a process of ours, the candidate in
  another one. It gets calls as plain data and answers with plain data (dialogue.py, launchers/
  wire.*); what would decide for itself what it is equal to stays behind as a handle. It never sees
  a test or an expected value, and cannot speak for the tests. Helpers that the suite's own prompt
  defines are run on our side
- "guarded" (the rest, and tests that look into the candidate's own process, such as its standard
  output; only the tests' text decides that): one process. `pass` needs a random nonce that the
  launcher writes after the last test. Compiled programs have no /proc; assertions of C, C++, Rust
  and C# cannot be redefined; answers of a class that lies about its equality are refused or do not
  count in Java, C++ and C#

Also covered:
- limits on wall and CPU time, memory, output and files. A candidate may start threads but no
  processes, so the memory limit holds in sum; standard input is empty
- everything a program started is gone, and reaped, when its verdict is there; killing this process
  (even with SIGKILL) ends its sandboxes, but for one killed in the very millisecond in which it
  starts: that one may stay behind, asleep, before it has run anything
- times grow with what a trivial program takes here, and a timeout counts when it happened twice,
  the second time alone

What is not covered:
- guarded verdicts: a program written against *these* launchers (one that searches its own memory
  for the nonce, say) can still forge a pass: they are not tamper-proof against such an author
- inodes of the scratch file system are not limited (a few hundred MB of kernel memory); a
  compiler's memory is limited per process
- Landlock hides contents, not names: whether a path exists can be found out; a compiler that was
  started there may go on for a moment after `kill -9` of the evaluation, within its CPU limit
- kernel bugs in what the filter leaves, CPU side channels, and time stolen from programs that run
  at the same moment
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
from codemoe.evaluate.sandbox.tier import BUBBLEWRAP, UNSAFE, probe

__all__ = [
    "BUBBLEWRAP",
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
