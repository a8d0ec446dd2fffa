"""pytest tests/evaluate/sandbox/test_seccomp.py: what the filter refuses, on paper and for real."""

import errno
import struct

import pytest

from codemoe.evaluate.sandbox import Job, Limits, probe, run_jobs
from codemoe.evaluate.sandbox.seccomp import (
    ARCHITECTURES,
    Policy,
    always_refused,
    assemble,
    syscall_number,
)
from codemoe.evaluate.sandbox.tier import probe_tier

KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
PID = 4242


def run_filter(code: bytes, machine: str, number: int, *arguments: int, arch: int = 0) -> int:
    """A classic BPF machine, as far as seccomp filters use it (linux/filter.h)."""
    words = [a & 0xFFFFFFFFFFFFFFFF for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    data = struct.pack("=IIQ6Q", number, arch or ARCHITECTURES[machine], 0, *words)
    accumulator, at = 0, 0
    while True:
        operation, if_true, if_false, value = struct.unpack_from("=HBBI", code, 8 * at)
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif operation == 0x06:
            return value
        else:
            holds = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[operation]
            at += if_true if holds else if_false


def refused(code: bytes, machine: str, name: str, *arguments: int) -> bool:
    number = syscall_number(name, machine)
    assert number is not None
    return run_filter(code, machine, number, *arguments) == ERRNO | errno.EPERM


@pytest.mark.parametrize("machine", list(ARCHITECTURES))
@pytest.mark.parametrize("policy", [Policy(), Policy(processes=True), Policy(alone_pid=PID)])
def test_dangerous_calls_are_refused_by_every_policy(machine: str, policy: Policy) -> None:
    code = assemble(policy, machine)
    for name in always_refused():
        if syscall_number(name, machine) is not None:
            assert refused(code, machine, name), name
    for number in (0, 1, 3, 9, 60, 63, 64, 93, 202, 222, 400):  # read, write, exit, futex ...
        if number not in {syscall_number(n, machine) for n in always_refused()}:
            assert run_filter(code, machine, number) == ALLOW, number
    assert run_filter(code, machine, 0, arch=0x40000003) == KILL  # 32-bit calls


def test_x32_calls_end_the_process() -> None:
    assert run_filter(assemble(Policy(), "x86_64"), "x86_64", 0x40000000 | 59) == KILL


@pytest.mark.parametrize("machine", list(ARCHITECTURES))
def test_threads_but_no_processes(machine: str) -> None:
    thread = 0x3D0F00  # as glibc starts one
    run, build = assemble(Policy(), machine), assemble(Policy(processes=True), machine)
    assert not refused(run, machine, "clone", thread)
    assert refused(run, machine, "clone", 17)
    assert not refused(build, machine, "clone", 17)
    assert refused(build, machine, "clone", 17 | 0x10000000)  # a user namespace
    number = syscall_number("clone3", machine)
    assert number is not None
    assert run_filter(run, machine, number) == ERRNO | errno.ENOSYS


@pytest.mark.parametrize("machine", list(ARCHITECTURES))
def test_alone_means_nobody_elses_signals_and_limits(machine: str) -> None:
    code = assemble(Policy(alone_pid=PID), machine)
    assert not refused(code, machine, "kill", PID, 6)
    for other in (1, PID + 1, -1, 0, -PID):
        assert refused(code, machine, "kill", other, 9)
    assert not refused(code, machine, "prlimit64", 0)
    assert refused(code, machine, "prlimit64", 1)
    assert refused(code, machine, "fcntl", 3, 8)
    assert not refused(code, machine, "fcntl", 3, 3)
    assert not refused(assemble(Policy(), machine), machine, "kill", 1, 9)


# Calls that an ordinary user may make elsewhere: that they fail is the filter's doing.
_TRY = """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def tried():
    found = {}
    for name, number, *args in CALLS:
        ctypes.set_errno(0)
        result = libc.syscall(number, *args)
        found[name] = errno.errorcode.get(ctypes.get_errno(), result)
    return found
"""


@pytest.mark.parametrize("tier", ["bubblewrap", "landlock"])
def test_the_kernel_refuses_them(tier: str) -> None:
    import platform

    state = probe_tier(tier)
    if state.tier is None:
        pytest.skip(state.reason)
    machine = platform.machine()
    calls = []
    for name, *arguments in (
        ("ptrace", 0, 0, 0, 0),
        ("unshare", 0),
        ("personality", 0xFFFFFFFF),
        ("socket", 1, 1, 0),
        ("keyctl", 0, 0),
        ("io_uring_setup", 1, 0),
        ("userfaultfd", 0),
        ("process_vm_readv", 1, 0, 0, 0, 0, 0),
        ("perf_event_open", 0, 0, 0, 0, 0),
        ("bpf", 0, 0, 0),
        ("mount", 0, 0, 0, 0, 0),
        ("add_key", 0, 0, 0, 0, 0),
        ("shmget", 0, 4096, 0o1600),
    ):
        calls.append((name, syscall_number(name, machine), *arguments))
    program = f"CALLS = {calls!r}\n{_TRY}"
    expected = dict.fromkeys((call[0] for call in calls), "EPERM")
    jobs = [Job("1", "python", program, f"assert tried() == {expected!r}, tried()")]
    verdict = run_jobs(jobs, Limits(wall_s=10), tier=tier, calibrate=False)[0]
    assert verdict.status == "pass", verdict


def test_a_control_shows_that_the_kernel_would_allow_some() -> None:
    """Or the test above would prove nothing about the filter."""
    import ctypes

    if probe().tier is None:
        pytest.skip("no sandbox")
    libc = ctypes.CDLL(None, use_errno=True)
    import platform

    number = syscall_number("unshare", platform.machine())
    assert libc.syscall(number, 0) == 0
