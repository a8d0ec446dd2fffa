"""`codemoe score`: CodeBLEU of a JSONL file of references and predictions."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.codebleu.corpus import refuse_unknown
from codemoe.evaluate.codebleu.floors import Pair
from codemoe.evaluate.codebleu.judging import Judged
from codemoe.evaluate.codebleu.record import EQUAL_WEIGHTS, Weights, checked_weights
from codemoe.evaluate.codebleu.score import no_reference
from codemoe.evaluate.measure import ODD, measure
from codemoe.jsonl import read_jsonl
from codemoe.languages import get_language

ROW = '{"language": "python", "reference": "...", "prediction": "..."}'
FIGURES = (
    "codebleu",
    "ngram_match",
    "weighted_ngram_match",
    "syntax_match",
    "dataflow_match",
    "floor",
    "interval",
    "pooled",
)


def score_file(
    path: Path,
    weights: Weights = EQUAL_WEIGHTS,
    *,
    compat: bool = False,
    workers: int | None = None,
    on_start: Callable[[], None] = lambda: None,
    on_row: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Score rows `{id?, language, reference, prediction}`, one JSON object per line.

    Returns what `--json` prints: the figures of one mode (`n, codebleu, ngram_match,
    weighted_ngram_match, syntax_match, dataflow_match, floor, interval, pooled`), counts of odd
    answers (`empty` and the others of ODD), `corrected` and `compat` beside each other, and both
    for each language. A figure no sample has is None (see CorpusScore).
    Raises UserError for a missing, empty or unreadable file and for the first bad row, with its
    line number.
    """
    weights = checked_weights(weights)
    lines: list[int] = []  # of rows that are read and not judged yet

    def rows() -> Iterator[Pair]:
        fix = f"give one JSON object per line: {ROW}"
        for line, row in read_jsonl(path, fix):
            pair = _checked(row, f"{path}:{line}", compat)
            lines.append(line)
            yield pair

    def judged_row(pair: Pair, judged: Judged) -> None:
        line = lines.pop(0)
        if judged.corrected is None:
            error = no_reference(pair.reference, pair.language)
            raise UserError(f"{path}:{line}: {error.what}", error.fix)
        on_row()

    total, by_language = measure(
        rows(), weights=weights, workers=workers, on_row=judged_row, on_start=on_start
    )
    figures = total.figures()
    mode = "compat" if compat else "corrected"
    return {
        "n": figures["n"],
        **{key: figures[mode][key] for key in FIGURES},
        **{key: figures[key] for key in ODD},
        "mode": mode,
        "corrected": figures["corrected"],
        "compat": figures["compat"],
        "answered_in": figures["answered_in"],
        "by_language": {name: part.figures() for name, part in sorted(by_language.items())},
    }


def _checked(row: dict[str, Any], where: str, compat: bool) -> Pair:
    for key in ("language", "reference", "prediction"):
        if key not in row:
            found = ", ".join(map(repr, row)) or "none"
            raise UserError(f"{where}: no key {key!r}; found keys: {found}", f"expected {ROW}")
        if not isinstance(row[key], str):
            raise UserError(
                f"{where}: {key!r} is {json.dumps(row[key])[:60]}, not a string", f"expected {ROW}"
            )
    try:
        language = get_language(row["language"]).name
        if compat:
            refuse_unknown([language])
    except UserError as error:
        raise UserError(f"{where}: {error.what}", error.fix) from error
    if not row["reference"].strip():
        raise UserError(f"{where}: the reference is empty", "give a program, or drop the row")
    return Pair(language, row["reference"], row["prediction"])
