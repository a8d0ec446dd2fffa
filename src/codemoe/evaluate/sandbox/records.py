"""The records of the sandbox: what goes in (Job, Limits) and what comes out (Verdict)."""

from dataclasses import dataclass

# What a run can end with. The last two say nothing about the program: they are never counted
# as a failing program, only reported.
STATUSES = (
    "pass",  # the tests ran to their end and the launcher answered with the run's nonce
    "fail",  # an assertion of the tests failed
    "error",  # an exception, a load error or an exit status other than 0
    "crash",  # killed by a signal: segmentation fault, abort, stack overflow in C++
    "timeout",
    "oom",
    "output_limit",
    "compile_error",  # Java and C++ only; a syntax error of Python or JavaScript is an `error`
    "no_verdict",  # the process ended quietly before the tests did
    "sandbox_error",
    "missing_toolchain",
)
NOT_COUNTED = frozenset({"sandbox_error", "missing_toolchain"})


@dataclass(frozen=True)
class Job:
    """One program to judge: `tests` are appended to `program` (which holds the whole source)."""

    id: str
    language: str
    program: str
    tests: str


@dataclass(frozen=True)
class Verdict:
    """How one job ended; `seconds` is wall time including compilation (0.0 from the cache)."""

    id: str
    language: str
    status: str
    seconds: float
    detail: str

    @property
    def counted(self) -> bool:
        return self.status not in NOT_COUNTED


@dataclass(frozen=True)
class Limits:
    """What one program may use. Memory is per process; every limit holds inside the sandbox."""

    wall_s: float = 6.0
    compile_wall_s: float = 10.0
    memory_mb: int = 512
    file_mb: int = 32
    output_mb: int = 16
    processes: int = 64


@dataclass(frozen=True)
class Profile:
    """The kernel's view of a limit set, for one kind of process. None leaves a limit alone."""

    wall_s: float
    cpu_s: int | None
    address_mb: int | None
    data_mb: int | None
    file_mb: int
    processes: int
    output_mb: int

    def prlimit(self) -> list[str]:
        """The prlimit(1) words in front of the command."""
        words = [
            "prlimit",
            f"--fsize={self.file_mb << 20}",
            f"--nproc={self.processes}",
            "--nofile=256",
            "--core=0",
            f"--stack={64 << 20}",
        ]
        if self.cpu_s is not None:
            words.append(f"--cpu={self.cpu_s}:{self.cpu_s + 1}")
        if self.address_mb is not None:
            words.append(f"--as={self.address_mb << 20}")
        if self.data_mb is not None:
            words.append(f"--data={self.data_mb << 20}")
        return [*words, "--"]


def run_profile(
    limits: Limits, address_mb: int | None = None, data_mb: int | None = None
) -> Profile:
    # The wall clock decides; CPU time is a backstop, with room for a few helper threads.
    return Profile(
        wall_s=limits.wall_s,
        cpu_s=int(limits.wall_s * 2) + 1,
        address_mb=address_mb,
        data_mb=data_mb,
        file_mb=limits.file_mb,
        processes=limits.processes,
        output_mb=limits.output_mb,
    )


def compile_profile(limits: Limits, processes: int, endless: bool = False) -> Profile:
    """For a compiler: more memory and files, and no CPU limit for a long-lived one."""
    return Profile(
        wall_s=limits.compile_wall_s,
        cpu_s=None if endless else int(limits.compile_wall_s) + 1,
        address_mb=None if endless else 2048,  # a JVM reserves address space it never uses
        data_mb=2048,
        file_mb=64,
        processes=processes,
        output_mb=64,
    )


@dataclass(frozen=True)
class SandboxProbe:
    """Whether untrusted programs can run here: the tier's name, or None with reason and fix."""

    tier: str | None
    reason: str
    fix: str
