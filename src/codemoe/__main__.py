"""The program: `codemoe`, or `python -m codemoe` where the command is not on the path."""

import atexit
import os
import sys

from codemoe import garbage


class _Leave:
    """Ends the process without taking the interpreter's objects apart, which a user of torch waits
    for, and which does nothing that the kernel does not do."""

    def __init__(self) -> None:
        self.code: int | None = None  # None: not at the end of a command; as Python does it

    def __call__(self) -> None:
        if self.code is None:
            return
        try:
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:  # closed before the command began
                    stream.flush()
        except (BrokenPipeError, ValueError):
            return  # a closed pipe: Python has a code of its own for it
        except OSError as error:
            if not self.code:  # else it has been told
                os.write(2, f"error: cannot write the output: {error.strerror}\n".encode())
            os._exit(self.code or 1)
        os._exit(self.code)


def main() -> None:
    """The command line, imported where the garbage of the import can wait."""
    garbage.put_off()
    from codemoe.cli import main as run

    run()


def program() -> None:
    """Run the command and leave at once when it is done."""
    leave = _Leave()
    atexit.register(leave)  # the first that is registered is the last that is called
    try:
        main()
    except SystemExit as end:
        code = end.code
        leave.code = code if isinstance(code, int) else int(code is not None)
        raise
    leave.code = 0


if __name__ == "__main__":
    program()
