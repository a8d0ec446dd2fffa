"""A published table of scores: what it claims, and what its own parts are worth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.audit.columns import PARTS, find_column, number_of
from codemoe.evaluate.audit.table import Row, read_table


@dataclass(frozen=True)
class Claim:
    """Mean of a table's scores. Where the table has the four parts: what they come to."""

    source: str
    n: int
    codebleu: float
    worth: float | None = None  # mean of the four parts, as they stand in the table
    free_rows: int = 0  # rows that got a full data flow for none
    zero_parts: tuple[str, ...] = ()  # parts that are 0 in every row
    in_percent: bool = False  # in the table; the figures here are from 0 to 1

    def figures(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "n": self.n,
            "codebleu": self.codebleu,
            "worth": self.worth,
            "free_rows": self.free_rows,
            "zero_parts": list(self.zero_parts),
            "in_percent": self.in_percent,
        }


def is_score_table(row: Row) -> bool:
    """Whether a file holds scores and their parts."""
    return all(find_column(row, role, None) for role in ("codebleu", *PARTS))


def read_claim(path: Path) -> Claim:
    """The claim of a file of scores. Raises UserError where it has no such column or rows."""
    return claim_of((row for _, row in read_table(path)), str(path))


def claim_of(rows: Iterable[Row], source: str) -> Claim:
    """The claim of a table's rows; those without a number for a score are passed over."""
    scores, parts = _scores_and_parts(rows, source)
    unit = _unit_of(scores, source)
    scores = [score / unit for score in scores]
    unit_of_parts = _unit_of([value for row in parts for value in row] or [0.0], source)
    parts = [[value / unit_of_parts for value in row] for row in parts]
    if len(parts) != len(scores):
        return Claim(source, len(scores), fmean(scores), in_percent=unit != 1)
    return Claim(
        source,
        len(scores),
        fmean(scores),
        worth=fmean(fmean(row) for row in parts),
        free_rows=sum(
            1
            for score, row in zip(scores, parts, strict=True)
            if row[-1] == 0 and abs(score - fmean(row) - 0.25) < 1e-6
        ),
        zero_parts=tuple(
            name for at, name in enumerate(PARTS) if all(row[at] == 0 for row in parts)
        ),
        in_percent=unit != 1,
    )


def _scores_and_parts(rows: Iterable[Row], source: str) -> tuple[list[float], list[list[float]]]:
    """The scores as they stand there, and the parts of those rows that have all four."""
    scores: list[float] = []
    parts: list[list[float]] = []
    score_column: str | None = None
    columns: list[str | None] = []
    for row in rows:
        if score_column is None:
            score_column = find_column(row, "codebleu", None)
            if score_column is None:
                names = ", ".join(map(repr, row))
                raise UserError(f"{source}: no column of CodeBLEU scores; found: {names}")
            columns = [find_column(row, part, None) for part in PARTS]
        score = number_of(row.get(score_column))
        if score is None:
            continue
        scores.append(score)
        found = [number_of(row.get(column)) for column in columns if column]
        if len(found) == len(PARTS) and None not in found:
            parts.append([value for value in found if value is not None])
    if not scores:
        raise UserError(f"{source}: no scores in it")
    return scores, parts


def _unit_of(values: Sequence[float], source: str) -> float:
    """1, or 100 for percentages, which papers print."""
    low, high = min(values), max(values)
    if low < 0 or high > 100:
        odd = low if low < 0 else high
        raise UserError(f"{source}: a score of {odd:g}", "expected 0 to 1, or percentages")
    return 100.0 if high > 1 + 1e-6 else 1.0
