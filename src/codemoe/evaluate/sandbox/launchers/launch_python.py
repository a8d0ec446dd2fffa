"""Runs a candidate and then its tests inside the sandbox; started with `python -I -S -B -c`.

The candidate has the main thread, the tests and the nonce live on another one: neither the
candidate's frames nor its tracebacks lead to them, and it has a namespace of its own. The nonce
is written only after the last test. This raises the price of a forged verdict; it is no proof,
because both share one process.
"""
# mypy: ignore-errors
# Every millisecond counts twice per program: built-in modules only, no typing.

import _thread
import builtins
import posix
import sys


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # whatever the candidate put there
            continue


def serve(task, ready, done):
    """The main thread: calls what the tests ask for, for ever. Sees only one task at a time."""
    while True:
        ready.acquire()
        function, args, kwargs = task.pop()
        try:
            task.append((True, function(*args, **kwargs)))
        except BaseException as error:
            task.append((False, error))
        function = args = kwargs = None
        done.release()


def judge(task, ready, done, main_id):
    """The other thread: loads the candidate, runs the tests, and speaks to the harness."""
    chunks = []
    while chunk := posix.read(0, 1 << 16):
        chunks.append(chunk)
    header, _, body = b"".join(chunks).partition(b"\n")
    nonce, fd, length = header.split()
    result_fd, length = int(fd), int(length)
    program = body[:length].decode("utf-8", "surrogatepass")
    tests = body[length:].decode("utf-8", "surrogatepass")
    write, leave, get_ident = posix.write, posix._exit, _thread.get_ident
    module_type, function_type, slot_type = type(sys), type(serve), type(object.__eq__)
    modules = sys.modules
    # What the candidate does to the builtins is its own affair: these are the tests'.
    original = dict(vars(builtins))
    write(result_fd, b"S\n")

    def end(error, compiling=False):
        """Say how it ended and leave; a quiet exit stays quiet, for no verdict was reached."""
        kind = "E"
        if isinstance(error, SystemExit):
            code = error.code
            if code is None or (isinstance(code, int) and code & 255 == 0):
                flush()
                leave(0)
        elif isinstance(error, AssertionError):
            kind = "F"
        elif isinstance(error, MemoryError) and not compiling:
            kind = "O"
        try:
            text = f"{kind} {type(error).__name__}: {error}"[:600].replace("\n", " ")
        except BaseException:  # an exception that cannot be shown
            text = f"{kind} {type(error).__name__}"
        flush()
        write(result_fd, text.encode("utf-8", "replace") + b"\n")
        leave(1)

    def on_main(function, args, kwargs):
        if get_ident() == main_id:  # a callback of the tests that calls the candidate again
            return function(*args, **kwargs)
        task.append((function, args, kwargs))
        ready.release()
        done.acquire()
        succeeded, value = task.pop()
        if not succeeded:
            raise value
        return value

    def forged(value, depth=0):
        """The class of an answer that decides for itself what it is equal to, or None."""
        kind = type(value)
        if kind in (list, tuple, set, frozenset, dict):
            if depth < 2:
                for item in value.values() if kind is dict else value:
                    if found := forged(item, depth + 1):
                        return found
            return None
        if type(kind.__eq__) is slot_type or kind.__name__ in tests:
            return None
        home = modules.get(kind.__module__)
        of_library = home is not solution and getattr(home, kind.__name__, None) is kind
        return None if of_library else kind.__name__

    def proxy(function):
        def call(*args, **kwargs):
            value = on_main(function, args, kwargs)
            if name := forged(value):
                raise AssertionError(f"the answer is a {name}, which defines its own equality")
            return value

        call.__name__, call.__qualname__ = function.__name__, function.__qualname__
        call.__doc__, call.__wrapped__ = function.__doc__, function
        return call

    denied = {
        "sys._current_frames",
        "sys._current_exceptions",
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
        "ctypes.cdata",
        "ctypes.cdata/buffer",
        "ctypes.string_at",
        "ctypes.wstring_at",
    }

    def hook(event, args):
        if event in denied:
            raise ValueError(f"{event} is not available in the sandbox")
        if event == "sys._getframe" and get_ident() != main_id:
            raise ValueError("call stack is not deep enough")  # as at the outermost frame
        if event == "open":
            path = args[0]
            if isinstance(path, bytes):
                path = path.decode("utf-8", "replace")
            if isinstance(path, str) and "/proc" in path and path.endswith("mem"):
                raise PermissionError(13, "Permission denied", path)

    solution = module_type("solution")
    solution.__dict__["__builtins__"] = builtins
    modules["solution"] = modules["__main__"] = solution
    sys.argv[:] = ["solution.py"]
    try:
        code = compile(program, "solution.py", "exec", 0, True)
    except BaseException as error:  # MemoryError here means nested too deeply for the parser
        end(error, compiling=True)
    sys.addaudithook(hook)
    suite = module_type("__main__")
    namespace = suite.__dict__
    try:
        on_main(exec, (code, solution.__dict__), {})
        for name, value in list(solution.__dict__.items()):
            if not (name.startswith("__") and name.endswith("__")):
                namespace[name] = proxy(value) if type(value) is function_type else value
        namespace["__builtins__"] = original
        modules["__main__"] = suite
        exec(compile(tests, "tests.py", "exec", 0, True), namespace)
    except BaseException as error:
        end(error)
    flush()
    write(result_fd, b"P " + nonce + b"\n")
    leave(0)


if __name__ == "__main__":
    _task, _ready, _done = [], _thread.allocate_lock(), _thread.allocate_lock()
    _ready.acquire()
    _done.acquire()
    # The judge too keeps the builtins as they are now.
    judge = type(serve)(judge.__code__, {**globals(), "__builtins__": dict(vars(builtins))})
    _thread.start_new_thread(judge, (_task, _ready, _done, _thread.get_ident()))
    serve(_task, _ready, _done)
