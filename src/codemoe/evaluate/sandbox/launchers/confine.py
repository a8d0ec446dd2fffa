"""Confines itself as the first argument (JSON) says and becomes the rest of the command line."""
# mypy: ignore-errors

import ctypes
import json
import os
import resource
import struct
import sys

PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE = 1, 2, 4, 8, 1 << 14
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE
# Stands in the filter for the process id, which only we know; see process.py.
SENTINEL = struct.pack("=I", 0x7EADBEEF)

libc = ctypes.CDLL(None, use_errno=True)


def fail(what):
    number = ctypes.get_errno()
    os.write(2, f"confine: {what}: {os.strerror(number)}\n".encode())
    os._exit(126)


def landlock(rules):
    abi = rules["abi"]
    rights = (1 << 13) - 1
    for needed, bit in ((2, 13), (3, 14), (5, 15)):
        if abi >= needed:
            rights |= 1 << bit
    fields = [rights]
    if abi >= 4:
        fields.append(3)  # TCP bind and connect
    if abi >= 6:
        fields.append(3)  # abstract sockets and signals of others
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        fail("landlock")

    def allow(path, access):
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return
        if not os.path.isdir(path):
            access &= OF_FILES
        rule = struct.pack("=Qi", access & rights, descriptor)
        if libc.syscall(ADD_RULE, ruleset, 1, rule, 0) != 0:
            fail(f"landlock rule for {path}")
        os.close(descriptor)

    for path in rules["read"]:
        allow(path, EXECUTE | READ_FILE | READ_DIR)
    for path in rules["devices"]:
        allow(path, READ_FILE | WRITE_FILE)
    for path in rules["write"]:
        allow(path, rights & ~(1 << 6 | 1 << 9 | 1 << 10 | 1 << 11))  # no devices, no sockets
    if rules["proc"]:
        allow(f"/proc/{os.getpid()}", READ_FILE | READ_DIR | EXECUTE)
        for name in (
            "cpuinfo",
            "meminfo",
            "stat",
            "version",
            "filesystems",
            "sys/vm",
            "sys/kernel",
        ):
            allow(f"/proc/{name}", READ_FILE | READ_DIR)
    if libc.syscall(RESTRICT_SELF, ruleset, 0) != 0:
        fail("landlock")
    os.close(ruleset)


def main():
    rules = json.loads(sys.argv[1])
    libc.prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() != rules["parent"]:  # it died before we could ask for the signal
        os._exit(126)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        fail("no_new_privs")
    os.chdir(rules["cwd"])
    code = b""
    if rules["seccomp_fd"] is not None:
        code = os.read(rules["seccomp_fd"], 1 << 16)
        code = code.replace(SENTINEL, struct.pack("=I", os.getpid()))
        os.close(rules["seccomp_fd"])
    for name, limit in rules["rlimits"].items():
        kind = getattr(resource, "RLIMIT_" + name.upper())
        hard = limit + 1 if name == "cpu" else limit
        ceiling = resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY:
            limit, hard = min(limit, ceiling), min(hard, ceiling)
        resource.setrlimit(kind, (limit, hard))
    if rules["abi"]:
        landlock(rules)
    if code:
        buffer = ctypes.create_string_buffer(code, len(code))
        program = struct.pack("=HxxxxxxQ", len(code) // 8, ctypes.addressof(buffer))
        if libc.prctl(PR_SET_SECCOMP, 2, program, 0, 0) != 0:
            fail("seccomp")
    try:
        os.execvpe(sys.argv[2], sys.argv[2:], rules["environment"])
    except OSError as error:
        os.write(2, f"confine: {sys.argv[2]}: {error.strerror}\n".encode())
        os._exit(126)


main()
