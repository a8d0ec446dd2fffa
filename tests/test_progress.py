"""Progress as log lines: when they come and what time they promise."""

import pytest

from codemoe import progress as module
from codemoe.progress import progress


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


def test_lines_come_now_and_then_with_an_eta(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with progress("work", 100, "steps") as advance:
        advance(0, "loss 9")  # nothing done yet: no time to promise, and no division by zero
        clock.now += 20
        advance(0, "loss 8")
        advance(10, "loss 7")
        advance(10, "loss 6")  # too soon for another line
        clock.now += 20
        advance(30, "")
        clock.now += 20
        advance(50, "")
    assert capsys.readouterr().err.splitlines() == [
        "work: 10/100 steps, eta 3:00 loss 7",
        "work: 50/100 steps, eta 0:40 loss 6",
        "work: 100/100 steps in 1:00 loss 6",
    ]


def test_what_an_earlier_attempt_did_does_not_shorten_the_eta(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with progress("work", 100, "steps", done=80) as advance:
        clock.now += 20
        advance(10, "")
    assert capsys.readouterr().err.splitlines()[0] == "work: 90/100 steps, eta 0:20"
