"""Alignment in the report: what each expert's own answers were worth, and the pairs they made."""

from codemoe.evaluate.report.read import Evaluation
from codemoe.evaluate.report.table import Cell, Table
from codemoe.evaluate.report.words import DASH, percent


def alignment(evaluation: Evaluation) -> Table | None:
    """One row an expert; None where the mixture's experts are not aligned by pairs."""
    counts = evaluation.alignment
    if not counts:
        return None
    causes = list(dict.fromkeys(cause for one in counts.values() for cause in one["pairs"]))
    rows = []
    for name, one in counts.items():
        passed = one["passed"]
        rows.append(
            (
                Cell(name),
                Cell(f"{one['tasks']:,}", f"{one['answers']:,} answers"),
                Cell(DASH if passed is None else percent(passed)),
                *(Cell(f"{one['pairs'].get(cause, 0):,}") for cause in causes),
                Cell(
                    f"{sum(one['without_contrast'].values()):,}",
                    ", ".join(f"{why} {n:,}" for why, n in one["without_contrast"].items()),
                ),
            )
        )
    heads = tuple(cause[0].upper() + cause[1:] for cause in causes)
    return Table(
        "alignment",
        "Alignment: preference pairs by cause",
        ("Expert", "Training tasks", "Sampled answers that pass", *heads, "Tasks without a pair"),
        tuple(rows),
        "Each expert answered training tasks several times before it was aligned; the tests of its "
        "answers made the pairs.",
    )
