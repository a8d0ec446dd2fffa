"""The system call filter: a table of what is refused, assembled into classic BPF.

    program = assemble(Policy(processes=False), "x86_64")

The bytes are an array of `struct sock_filter`, which bubblewrap takes with --seccomp FD and
prctl(PR_SET_SECCOMP) takes by address. The filter refuses, it does not list what is allowed:
toolchains of ten languages must run in it. What it refuses is what untrusted programs have no
business with and what kernels were broken through; see seccomp(2) and linux/filter.h.

Does not: look behind pointers (no filter can), so paths are the namespaces' or Landlock's affair.
"""

import errno
import struct
from dataclasses import dataclass

# audit architecture (linux/audit.h) of what `uname -m` says.
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name: (x86_64, aarch64); None where the machine has no such call.
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # other processes' memory and state
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # mounts, namespaces, roots
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "mount_setattr": (442, 442),
    # file handles reach behind mounts
    "open_by_handle_at": (304, 265),
    "name_to_handle_at": (303, 264),
    # kernel interfaces with a long record of holes
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "vmsplice": (278, 75),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "lookup_dcookie": (212, 18),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "uselib": (134, None),
    # the machine as a whole
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "iopl": (172, None),
    "ioperm": (173, None),
    "vhangup": (153, 58),
    # the network: an own namespace has none either
    "socket": (41, 198),
    # what is left behind without an own IPC namespace
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    # processes
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    # signals and limits of others
    "kill": (62, 129),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "prlimit64": (302, 261),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
    "sched_setparam": (142, 118),
    "fcntl": (72, 25),
    # terminals
    "ioctl": (16, 29),
}
_ALWAYS = tuple(_NUMBERS)[: tuple(_NUMBERS).index("fork")]

_CLONE_THREAD = 0x10000
# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME is a flag of clone3 only
_CLONE_NEW = 0x20000 | 0x2000000 | 0x4000000 | 0x8000000 | 0x10000000 | 0x20000000 | 0x40000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_SET_OWNER = (8, 10, 15)  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals by way of a descriptor

# Offsets in struct seccomp_data; arguments are 64 bits wide and little-endian here.
_NR, _ARCH, _ARGS = 0, 4, 16
_LOAD, _JEQ, _JGE, _JSET, _RET, _AND = 0x20, 0x15, 0x35, 0x45, 0x06, 0x54
_KILL, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_X32_BIT = 0x40000000


@dataclass(frozen=True)
class Policy:
    """What a program may do besides computing.

    `processes`: may start processes (compilers must). `alone`: signals, limits and priorities of
    process `pid` only; needed where there is no process namespace.
    """

    processes: bool = False
    alone_pid: int | None = None


def syscall_number(name: str, machine: str) -> int | None:
    """The number of a filtered system call; None where the machine has none."""
    return _NUMBERS[name][0 if machine == "x86_64" else 1]


def always_refused() -> tuple[str, ...]:
    """Names that every policy refuses, for tests and documents."""
    return tuple(name for name in _ALWAYS if _NUMBERS[name] != (None, None))


def assemble(policy: Policy, machine: str) -> bytes:
    """The filter as bytes; raises KeyError for a machine that is not in ARCHITECTURES."""
    refuse = _ret(_ERRNO | errno.EPERM)
    lines = [
        _line(_LOAD, _ARCH),
        _line(_JEQ, ARCHITECTURES[machine], 1, 0),
        _ret(_KILL),
        _line(_LOAD, _NR),
    ]
    if machine == "x86_64":  # x32 calls have other numbers for the same things
        lines += [_line(_JGE, _X32_BIT, 0, 1), _ret(_KILL)]

    def rule(name: str, *body: bytes) -> None:
        """`body` runs for this call and ends it, or falls through to a reload of the number."""
        number = syscall_number(name, machine)
        if number is not None:
            reload = () if len(body) == 1 else (_line(_LOAD, _NR),)
            size = len(body) + len(reload)
            lines.extend((_line(_JEQ, number, 0, size), *body, *reload))

    for name in _ALWAYS:
        rule(name, refuse)
    # glibc and libuv fall back to clone where clone3 is unknown; its flags lie behind a pointer.
    rule("clone3", _ret(_ERRNO | errno.ENOSYS))
    if policy.processes:
        rule("clone", _arg(0), _line(_JSET, _CLONE_NEW, 0, 1), refuse)
    else:
        # Threads, but no processes: so the limits of one process are the limits of all.
        rule("fork", refuse)
        rule("vfork", refuse)
        rule("clone", _arg(0), _line(_JSET, _CLONE_THREAD, 1, 0), refuse)
    for request in (_TIOCSTI, _TIOCLINUX):
        rule("ioctl", _arg(1), _line(_JEQ, request, 0, 1), refuse)
    if policy.alone_pid is not None:
        pid = policy.alone_pid
        rule("kill", _arg(0), _line(_JEQ, pid, 1, 0), refuse)
        if not policy.processes:  # a compiler's children signal their own threads
            for name in ("tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo"):
                rule(name, _arg(0), _line(_JEQ, pid, 1, 0), refuse)
            rule("prlimit64", _arg(0), _line(_JEQ, pid, 2, 0), _line(_JEQ, 0, 1, 0), refuse)
        for name in ("tkill", "pidfd_open", "pidfd_send_signal", "setpriority", "ioprio_set"):
            rule(name, refuse)
        for name in ("sched_setscheduler", "sched_setattr", "sched_setparam"):
            rule(name, refuse)
        for command in _SET_OWNER:
            rule("fcntl", _arg(1), _line(_JEQ, command, 0, 1), refuse)
    return b"".join((*lines, _ret(_ALLOW)))


def _line(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def _ret(value: int) -> bytes:
    return _line(_RET, value)


def _arg(index: int) -> bytes:
    """Load the low half of an argument; flags, commands and process ids fit into it."""
    return _line(_LOAD, _ARGS + 8 * index)
