"""The records of the sandbox: what goes in (Job, Limits) and what comes out (Verdict)."""

from dataclasses import dataclass

# What a run can end with. The last two say nothing about the program: they are never counted
# as a failing program, only reported.
STATUSES = (
    "pass",  # the tests ran to their end and said so where the program could not
    "fail",  # an assertion of the tests failed
    "error",  # an exception, a load error or an exit status other than 0
    "crash",  # killed by a signal: segmentation fault, abort, stack overflow in C++
    "timeout",
    "oom",
    "output_limit",
    "compile_error",  # compiled languages; a syntax error of an interpreted one is an `error`
    "no_verdict",  # the process ended quietly before the tests did
    "sandbox_error",
    "missing_toolchain",
)
NOT_COUNTED = frozenset({"sandbox_error", "missing_toolchain"})


FORMS = ("strong", "guarded")  # how a verdict was reached; see the room's docstring


@dataclass(frozen=True)
class Job:
    """One program to judge: `tests` are appended to `program` (which holds the whole source).

    `prompt` is the part of the program that the suite itself brought (complete helpers in it are
    trusted: tests that call them call the suite's, whatever the candidate made of the name).
    `entry_point` is the name that is tested, where the suite says it.
    """

    id: str
    language: str
    program: str
    tests: str
    prompt: str = ""
    entry_point: str | None = None


@dataclass(frozen=True)
class Verdict:
    """How one job ended; `seconds` is wall time including compilation (0.0 from the cache).

    `tools` names the programs that compiled and ran it, with versions; `reruns` counts timeouts
    that were tried again, alone.
    """

    id: str
    language: str
    status: str
    seconds: float
    detail: str
    form: str = "guarded"
    tier: str = ""
    tools: str = ""
    reruns: int = 0

    @property
    def counted(self) -> bool:
        return self.status not in NOT_COUNTED


@dataclass(frozen=True)
class Limits:
    """What one program may use, before times are scaled to the machine's speed.

    A program may start threads but no processes, so memory is limited in sum.
    """

    wall_s: float = 6.0
    compile_wall_s: float = 15.0
    memory_mb: int = 512
    file_mb: int = 32
    output_mb: int = 16
    threads: int = 64


@dataclass(frozen=True)
class Profile:
    """The kernel's view of a limit set, for one kind of process. None leaves a limit alone."""

    wall_s: float
    cpu_s: int | None
    address_mb: int | None
    data_mb: int | None
    file_mb: int
    tasks: int  # threads and processes
    output_mb: int
    may_fork: bool = False
    scratch: bool = False  # writes files; a candidate may only where they vanish with its namespace
    proc: bool = True  # needs /proc; without it a program cannot read its own memory map or files

    def rlimits(self) -> dict[str, int]:
        """prlimit(1)'s names and values, sizes in bytes."""
        limits = {
            "fsize": self.file_mb << 20,
            "nproc": self.tasks,
            "nofile": 256,
            "core": 0,
            "stack": 64 << 20,
        }
        if self.cpu_s is not None:
            limits["cpu"] = self.cpu_s
        if self.address_mb is not None:
            limits["as"] = self.address_mb << 20
        if self.data_mb is not None:
            limits["data"] = self.data_mb << 20
        return limits


def run_profile(
    limits: Limits,
    address_mb: int | None = None,
    data_mb: int | None = None,
    *,
    proc: bool = True,
) -> Profile:
    """For a candidate: the wall clock decides; CPU time is a backstop with room for threads."""
    return Profile(
        wall_s=limits.wall_s,
        cpu_s=int(limits.wall_s * 2) + 1,
        address_mb=address_mb,
        data_mb=data_mb,
        file_mb=limits.file_mb,
        tasks=limits.threads,
        output_mb=limits.output_mb,
        proc=proc,
    )


def compile_profile(limits: Limits, tasks: int, endless: bool = False) -> Profile:
    """For a compiler: processes, more memory and files, and no CPU limit for a long-lived one."""
    return Profile(
        wall_s=limits.compile_wall_s,
        cpu_s=None if endless else int(limits.compile_wall_s) + 1,
        address_mb=None if endless else 2048,  # a JVM reserves address space it never uses
        data_mb=2048,
        file_mb=64,
        tasks=tasks,
        output_mb=64,
        may_fork=True,
        scratch=not endless,
    )


@dataclass(frozen=True)
class SandboxProbe:
    """Whether untrusted programs can run here: the tier's name, or None with reason and fix."""

    tier: str | None
    reason: str
    fix: str
