"""`codemoe audit`: files in, one record for each with figures and findings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.audit.claims import Claim, is_score_table, read_claim
from codemoe.evaluate.audit.findings import (
    answer_findings,
    claim_findings,
    count_findings,
    language_findings,
    score_findings,
)
from codemoe.evaluate.audit.rows import Layout, find_layout, read_pairs
from codemoe.evaluate.audit.table import first_row
from codemoe.evaluate.codebleu.floors import Pair
from codemoe.evaluate.codebleu.judging import Judged
from codemoe.evaluate.measure import measure


@dataclass(frozen=True)
class AuditRequest:
    """What to audit. `references` and `scores` are none, one for all, or one for each file."""

    files: Sequence[Path]
    references: Sequence[Path] = ()
    scores: Sequence[Path] = ()
    prediction: str | None = None
    reference: str | None = None
    language: str | None = None
    claimed: float | None = None
    workers: int | None = None
    on_start: Callable[[Path], None] = field(default=lambda path: None)
    on_row: Callable[[], None] = field(default=lambda: None)


def audit_files(request: AuditRequest) -> list[dict[str, Any]]:
    """Audit each file: what `--json` prints under `files`.

    A file that holds only a table of scores is audited as a claim. Raises UserError for the first
    file that cannot be read, saying which column to name.
    """
    if request.claimed is not None and not 0 <= request.claimed <= 1:
        raise UserError(f"--claimed is {request.claimed:g}; expected 0 to 1", "42 % is 0.42")
    if request.claimed is not None and request.scores:
        raise UserError("--claimed and --scores are both given", "give one of them")
    references = _for_each(request.references, request.files, "--references")
    scores = _for_each(request.scores, request.files, "--scores")
    layouts: list[Layout | None] = []
    for path, reference in zip(request.files, references, strict=True):
        if reference is None and request.prediction is None and is_score_table(first_row(path)):
            layouts.append(None)
        else:
            layouts.append(
                find_layout(
                    path, reference, request.prediction, request.reference, request.language
                )
            )
    return [
        _audit_table(path) if layout is None else _audit(request, layout, score)
        for path, layout, score in zip(request.files, layouts, scores, strict=True)
    ]


def _for_each(given: Sequence[Path], files: Sequence[Path], option: str) -> list[Path | None]:
    if not given:
        return [None] * len(files)
    if len(given) == 1:
        return [given[0]] * len(files)
    if len(given) != len(files):
        raise UserError(
            f"{len(files)} files and {len(given)} of {option}",
            f"give {option} once for all files, or once for each, in their order",
        )
    return list(given)


def _audit_table(path: Path) -> dict[str, Any]:
    claim = read_claim(path)
    return {
        "file": str(path),
        "n": claim.n,
        "claimed": claim.figures(),
        "findings": claim_findings(claim, None),
    }


def _audit(request: AuditRequest, layout: Layout, scores: Path | None) -> dict[str, Any]:
    def on_row(pair: Pair, judged: Judged) -> None:
        request.on_row()

    total, by_language = measure(
        read_pairs(layout),
        workers=request.workers,
        on_row=on_row,
        on_start=lambda: request.on_start(layout.path),
    )
    figures = total.figures()
    parts = {name: one.figures() for name, one in sorted(by_language.items())}
    claim = None
    if scores is not None:
        claim = read_claim(scores)
    elif request.claimed is not None:
        claim = Claim("--claimed", figures["n"], request.claimed)
    compat = figures["compat"]
    findings = [
        *(count_findings(claim, figures["n"] + total.skipped) if claim and scores else []),
        *(claim_findings(claim, compat["codebleu"] if compat else None) if claim else []),
        *score_findings(figures),
        *language_findings(parts),
        *answer_findings(figures),
    ]
    if total.skipped:
        words = "row has" if total.skipped == 1 else "rows have"
        findings.append(f"Left out: {total.skipped} {words} a reference without code.")
    return {
        "file": str(layout.path),
        "layout": layout.told(),
        **figures,
        "skipped": total.skipped,
        "claimed": claim.figures() if claim else None,
        "by_language": parts,
        "findings": findings or ["Nothing odd was found."],
    }
