"""The same function over many items in several processes: in order, and a few items at a time."""

import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from codemoe.errors import UserError, WorkError

Item = TypeVar("Item")
Result = TypeVar("Result")
Map = Callable[[Callable[[Item], Result], Iterable[Item]], Iterator[Result]]
_AHEAD = 3  # items given out for each process


def available_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_count(workers: int | None) -> int:
    """How many processes to use; None asks for one for each core.

    A process that runs threads, or has torch's, cannot be forked safely: it does its work alone
    unless a number is named.
    """
    if workers is None:
        threads = threading.active_count() > 1 or "torch" in sys.modules
        can_fork = sys.platform.startswith("linux") and not threads
        return available_cores() if can_fork else 1
    if workers < 1:
        raise UserError(f"{workers} workers; expected 1 or more", "leave it out to use all cores")
    return workers


@contextmanager
def in_processes(workers: int) -> Iterator[Map]:
    """Yield `map(work, items)`, which gives results in the order of the items.

    The processes are started at once, so that the caller may start threads afterwards. One
    worker is this process. Never more than a few items are taken ahead of the results.
    Raises WorkError when a process dies (of memory, most likely).
    """
    if workers == 1:
        yield map
        return
    is_forked = sys.platform.startswith("linux") and "torch" not in sys.modules
    context = get_context("fork" if is_forked else "spawn")
    executor = ProcessPoolExecutor(workers, mp_context=context, initializer=_ignore_interrupts)
    try:
        executor.submit(int).result()  # starts them

        def mapped(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
            waiting: deque[Future[Result]] = deque()
            for item in items:
                waiting.append(executor.submit(work, item))
                if len(waiting) > workers * _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

        yield mapped
    except BrokenProcessPool as error:
        raise WorkError(
            "a worker process was killed, most likely for want of memory",
            "use fewer of them: --workers 1",
        ) from error
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _ignore_interrupts() -> None:
    """Ctrl-C is the main process's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
