"""What a driver says about one job, and what every driver can do."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from codemoe.evaluate.sandbox.records import Job, Limits
from codemoe.evaluate.sandbox.slot import Slot


class Judgement(NamedTuple):
    """`status` is one of STATUSES; `form` how it was reached."""

    status: str
    detail: str
    form: str = "guarded"


@dataclass(frozen=True)
class Setup:
    """What a driver is made from: the limits (times already scaled to this machine) and tier."""

    limits: Limits
    tier: str


class Driver(Protocol):
    """One language's way to judge."""

    def judge(self, job: Job, slot: Slot) -> Judgement: ...

    def close(self) -> None: ...
