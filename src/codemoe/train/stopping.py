"""Stop early: at a signal, at a loss that is no number, or when validation no longer improves."""

import math
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from codemoe.errors import WorkError
from codemoe.progress import say


class Stopped(WorkError):
    """A signal ended training after a checkpoint; the shell's exit code for it, 128 + number."""

    def __init__(self, number: int, step: int) -> None:
        self.exit_code = 128 + number
        super().__init__(
            f"stopped by {signal.Signals(number).name} after step {step}, which is saved",
            "the same command goes on from there",
        )


class StopRequest:
    """Whether a signal has asked for the end, and which."""

    def __init__(self) -> None:
        self.number: int | None = None

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt  # the second one means at once
        self.number = number
        name = signal.Signals(number).name
        say(f"{name}: finishing this step and saving; once more stops at once")


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """SIGTERM and SIGINT become a request, until the scope ends. Only a main thread can listen."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, request.ask) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def first_not_finite(values: Sequence[float]) -> int | None:
    """Index of the first NaN or infinity."""
    return next((i for i, value in enumerate(values) if not math.isfinite(value)), None)


def evaluations_since_best(history: Sequence[dict[str, Any]]) -> int:
    """How many validation losses in a trainer's log have come since the lowest one.

    A function of the log alone, which every checkpoint holds: a resumed run stops where an
    undisturbed one does.
    """
    losses = [row["eval_loss"] for row in history if "eval_loss" in row]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0
