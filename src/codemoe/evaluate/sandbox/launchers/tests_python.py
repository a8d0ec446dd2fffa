"""Runs test after test, each in a fork of its own; the candidates are in other processes.

Frames on both standard streams: kind, number of the job, length, content. In come J (a job), R
(bytes of the candidate) and E (the candidate's end); out go C (bytes for the candidate) and V.
"""
# mypy: ignore-errors
# ruff: noqa: F821 (launchers/wire.py stands in front of this text)

import ast
import io
import resource
import struct

HEADER = struct.Struct(">cII")
# What tests import; a fork has it for nothing.
_IMPORTED = (
    "bisect collections copy datetime decimal fractions functools heapq itertools json math "
    "operator random re statistics string time typing "
)
for _name in _IMPORTED.split():
    __import__(_name)


class Pipe:
    """The candidate's channel, by way of the harness."""

    def __init__(self, job):
        self.job, self.buffer, self.gone = job, b"", False

    def send(self, content):
        put(b"C", self.job, len(content).to_bytes(4, "big") + content)

    def receive(self):
        return self.take(int.from_bytes(self.take(4), "big"))

    def take(self, size):
        parts, have = [self.buffer], len(self.buffer)
        while have < size:
            if self.gone:
                raise Gone
            kind, job, content = frame()
            if job != self.job:
                continue
            self.gone = kind == b"E"
            parts.append(content)
            have += len(content)
        data = b"".join(parts)
        self.buffer = data[size:]
        return data[:size]


def exactly(size):
    parts = []
    while size:
        chunk = posix.read(0, min(size, 1 << 20))
        if not chunk:
            posix._exit(0)
        parts.append(chunk)
        size -= len(chunk)
    return b"".join(parts)


def frame():
    kind, job, size = HEADER.unpack(exactly(HEADER.size))
    return kind, job, exactly(size)


def put(kind, job, content):
    data = HEADER.pack(kind, job, len(content)) + content
    while data:
        data = data[posix.write(OUT, data) :]


class Tests(Peer):
    """The trusted side: names of the program become handles."""

    def handle(self, value):
        return super().handle(getattr(value, "_codemoe_remote", value))

    def builtin(self, name):
        found = super().builtin(name)
        if not isinstance(found, type):  # an answer may name a class, not bring a function
            raise WireError(f"{name} is not a class")
        return found

    def namespace(self, program, tests, prompt, entry_point):
        """Globals for the tests: the suite's own helpers, then what the candidate defines."""
        code = compile(tests, "tests.py", "exec", 0, True)
        trusted = prelude(prompt, entry_point)
        self.classes = {
            name: value
            for name, value in trusted.items()
            if isinstance(value, type)
            and value.__module__ == "prompt"
            and not issubclass(value, BaseException)
        }
        self.exceptions = {
            name: value
            for name, value in trusted.items()
            if isinstance(value, type) and issubclass(value, BaseException)
        }
        names = sorted(
            name
            for name in mentioned(code) | mentioned_in_text(tests)
            if name not in trusted
            and (not hasattr(builtins, name) or name == entry_point or f"def {name}(" in prompt)
        )
        found = dict(trusted)
        for name, kind, what in self.ask("load", 0, (program, names, sorted(self.classes)), {}):
            if name not in names:
                raise WireError(f"{name} was not asked for")
            if kind == "handle":
                found[name] = Remote(self, what, name)
            elif kind == "function":
                found[name] = function_of(Remote(self, what, name), name)
            elif kind == "value":
                found[name] = what
            elif kind == "exception":
                bases = [getattr(builtins, base, None) for base in what]
                base = next((b for b in bases if isinstance(b, type)), Exception)
                found[name] = self.exceptions[name] = type(name, (base,), {})
            elif what.partition(".")[0] in sys.stdlib_module_names:
                try:
                    module = __import__(what, fromlist=("x",))
                    found[name] = module if kind == "module" else getattr(module, name)
                except (ImportError, AttributeError):
                    continue
        found["__name__"] = "__main__"
        found["__builtins__"] = builtins
        return code, found


def function_of(remote, name):
    """A plain function, so that tests that look at its name or type find one."""

    def call(*args, **kwargs):
        return ask(remote, "call", args, kwargs)

    call.__name__ = call.__qualname__ = name
    call._codemoe_remote = remote
    return call


def prelude(prompt, entry_point):
    """What the suite's own part of the program defines, but for what is asked for."""
    namespace = {"__name__": "prompt"}
    lines = prompt.splitlines(keepends=True)
    tree = None
    for end in range(len(lines), 0, -1):
        if end < len(lines) and not lines[end].startswith(("def ", "class ", "@", "async ")):
            continue
        try:
            tree = ast.parse("".join(lines[:end]))
            break
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    if tree is None:
        return namespace
    asked = {entry_point}
    defined = [node for node in tree.body if isinstance(node, DEFINITIONS)]
    if defined and end == len(lines):
        asked.add(defined[-1].name)  # the one that the completion goes on with
    # Only what has a body: the rest is there to be filled in.
    tree.body = [
        node
        for node in tree.body
        if not isinstance(node, DEFINITIONS) or not (node.name in asked or lacks_body(node, asked))
    ]
    try:
        exec(compile(tree, "prompt.py", "exec", 0, True), namespace)
    except BaseException:
        return {"__name__": "prompt"}
    namespace.pop("__builtins__", None)
    return namespace


DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def lacks_body(node, asked):
    if isinstance(node, ast.ClassDef) and any(
        isinstance(part, DEFINITIONS) and (part.name in asked or lacks_body(part, asked))
        for part in node.body
    ):
        return True
    return not any(
        not isinstance(part, ast.Pass)
        and not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
        for part in node.body
    )


def mentioned(code):
    names = set(code.co_names)
    for constant in code.co_consts:
        if type(constant) is type(code):
            names |= mentioned(constant)
    return names


def mentioned_in_text(tests):
    """Names in strings that tests evaluate."""
    if "eval(" not in tests and "exec(" not in tests:
        return set()
    import re

    return set(re.findall(r"[A-Za-z_]\w*", tests))


def verdict(job, request):
    program, tests, prompt, entry_point, cpu_s = request
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    sys.stdout = sys.stderr = io.StringIO()  # what tests print is nobody's
    sys.stdin = io.StringIO()
    pipe = Pipe(job)
    ended = "G the program ended before its tests did"
    try:
        code, namespace = Tests(pipe).namespace(program, tests, prompt, entry_point or None)
        module = type(sys)("__main__")
        module.__dict__.update(namespace)
        sys.modules["__main__"] = module
        exec(code, module.__dict__)
    except Gone:
        return ended
    except SystemExit as error:
        return f"E the tests ended with exit status {error.code}" if error.code else ended
    except AssertionError as error:
        return "F " + describe(error)
    except MemoryError as error:
        return "O " + describe(error)
    except BaseException as error:
        return ended if pipe.gone else "E " + describe(error)
    return ended if pipe.gone else "P"


def describe(error):
    try:
        return f"{type(error).__name__}: {error}"[:600]
    except BaseException:
        return type(error).__name__


def main():
    while True:
        kind, job, content = frame()
        if kind != b"J":
            continue  # late bytes of a candidate whose tests are over
        pid = posix.fork()
        if pid == 0:
            try:
                text = verdict(job, Reader(None, content).get())
                put(b"V", job, text.encode("utf-8", "replace"))
            finally:
                posix._exit(0)
        _, status = posix.waitpid(pid, 0)
        if status:  # killed by a limit or a crash; what the harness makes of it is its affair
            put(b"V", job, b"K the tests' process was killed (%d)" % status)


OUT = posix.dup(1)
posix.dup2(2, 1)
main()
