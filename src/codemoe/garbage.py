"""When Python looks for garbage: hardly ever while a command starts.

Start-up makes some 70,000 objects, of modules and classes, that all stay. Python's collector looks
through them again and again as they become more; for a short command that is a fifteenth of its
time.
"""

import gc

_START_UP = 150_000  # objects; so many new ones are still looked through, whatever the command does
_usual: list[tuple[int, int, int]] = []


def put_off() -> None:
    """For the start of a process."""
    _usual.append(gc.get_threshold())
    gc.set_threshold(_START_UP)


def as_usual() -> None:
    """Where start-up ends and large things come, which are not to wait so long for being freed."""
    if _usual:
        gc.freeze()  # what is there stays, and is never looked through
        gc.set_threshold(*_usual.pop())
