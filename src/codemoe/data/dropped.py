"""The record of what was left out: dropped.csv."""

import csv
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from codemoe.data.rows import Drop

CSV_COLUMNS = ("id", "source", "language", "reason", "detail")


def write_dropped(dropped: Iterable[Drop], path: Path) -> None:
    """One line per dropped row, in the order of the stages that dropped them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for drop in dropped:
            detail = drop.detail or (f"line {drop.line}" if drop.line else "")
            values = (drop.id, drop.source, drop.language, drop.reason, detail)
            writer.writerow([v.encode("utf-8", "replace").decode() for v in values])


def count_reasons(dropped: Sequence[Drop]) -> dict[str, dict[str, int]]:
    """{reason: {language: rows}}, the most frequent reason first."""
    totals = Counter(drop.reason for drop in dropped)
    pairs = Counter((drop.reason, drop.language) for drop in dropped)
    return {
        reason: {lang: n for (why, lang), n in sorted(pairs.items()) if why == reason}
        for reason, _ in totals.most_common()
    }
