"""What a worker carries into every run."""

import threading
from dataclasses import dataclass


@dataclass(frozen=True)
class Slot:
    """`number` picks the unprivileged user; `stop` ends the run when the evaluation closes."""

    number: int
    stop: threading.Event
    tier: str = "bubblewrap"
