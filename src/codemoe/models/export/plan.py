"""How a format is made. There is a plan only when nothing that is known forbids the export."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from codemoe.models.export.check import Check


@dataclass(frozen=True)
class Plan:
    """`write` fills a folder and calls `advance(1, "")` for each of `steps`; `check` reloads it.

    `check` takes the folder and one for its own scratch files. It raises WorkError when the export
    is not the mixture.
    """

    num_bytes: int
    scratch_bytes: int  # that `check` puts on disk for a while
    steps: int
    write: Callable[[Path, Callable[[int, str], None]], None]
    check: Callable[[Path, Path], Check]
