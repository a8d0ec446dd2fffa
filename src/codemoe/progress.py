"""Progress on standard error: a bar with an ETA on a terminal, now and then a line in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_LOG_INTERVAL_S = 15.0


def say(text: str) -> None:
    """One line for people; standard output stays free for results."""
    print(text, file=sys.stderr, flush=True)


def _span(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    return f"{minutes}:{rest:02d}"


@contextmanager
def progress(
    description: str, total: int, unit: str = "it", done: int = 0
) -> Iterator[Callable[[int, str], None]]:
    """Yield `advance(n, note)`; `note` is a short live figure such as "loss 0.12".

    `done` of the total were done before, by an earlier attempt: the ETA does not count them.
    """
    if sys.stderr.isatty():
        with _bar(description, total, unit, done) as advance:
            yield advance
    else:
        with _lines(description, total, unit, done) as advance:
            yield advance


@contextmanager
def _bar(
    description: str, total: int, unit: str, done: int
) -> Iterator[Callable[[int, str], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task(description, total=total, completed=done, note="")

        def advance(n: int = 1, note: str = "") -> None:
            bars.update(task, advance=n)
            if note:
                bars.update(task, note=note)

        yield advance


@contextmanager
def _lines(
    description: str, total: int, unit: str, done: int
) -> Iterator[Callable[[int, str], None]]:
    started = last = time.monotonic()
    before = done
    latest = ""

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last, latest
        done += n
        latest = note or latest
        now = time.monotonic()
        if now - last >= _LOG_INTERVAL_S and before < done < total:
            last = now
            remaining = (now - started) / (done - before) * (total - done)
            say(f"{description}: {done}/{total} {unit}, eta {_span(remaining)} {latest}".rstrip())

    yield advance
    spent = _span(time.monotonic() - started)
    say(f"{description}: {done}/{total} {unit} in {spent} {latest}".rstrip())
