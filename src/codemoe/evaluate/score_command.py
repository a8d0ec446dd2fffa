"""`codemoe score`: CodeBLEU of a JSONL file of references and predictions."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.codebleu import EQUAL_WEIGHTS, Weights, score_corpus
from codemoe.languages import get_language

ROW = '{"language": "python", "reference": "...", "prediction": "..."}'


def score_file(path: Path, weights: Weights = EQUAL_WEIGHTS) -> dict[str, Any]:
    """Score rows `{id?, language, reference, prediction}`, one JSON object per line.

    Returns what `--json` prints: n, codebleu, ngram_match, weighted_ngram_match, syntax_match,
    dataflow_match, floor, interval, empty. A figure no sample has is None (see CorpusScore).
    Raises UserError for a missing, empty or unreadable file and for the first bad row, with its
    line number.
    """
    rows = list(_rows(path))
    if not rows:
        raise UserError(f"{path} holds no rows", f"give one JSON object per line: {ROW}")
    score = score_corpus(
        [row["reference"] for row in rows],
        [row["prediction"] for row in rows],
        [row["language"] for row in rows],
        weights,
    )
    return {
        "n": score.n,
        "codebleu": score.codebleu,
        "ngram_match": score.ngram_match,
        "weighted_ngram_match": score.weighted_ngram_match,
        "syntax_match": score.syntax_match,
        "dataflow_match": score.dataflow_match,
        "floor": score.floor,
        "interval": list(score.interval),
        "empty": score.empty,
    }


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"no file {path}", "give the path of a JSONL file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}", "expected a JSONL file in UTF-8") from error
    # Not splitlines(): strings may hold other line separators (U+2028), which JSON allows raw.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield _checked_row(line, f"{path}, line {number}")


def _checked_row(line: str, where: str) -> dict[str, str]:
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({error})", f"expected {ROW}") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: a JSON {type(row).__name__}, not an object", f"expected {ROW}")
    for key in ("language", "reference", "prediction"):
        if key not in row:
            found = ", ".join(map(repr, row)) or "none"
            raise UserError(f"{where}: no key {key!r}; found keys: {found}", f"expected {ROW}")
        if not isinstance(row[key], str):
            raise UserError(
                f"{where}: {key!r} is {json.dumps(row[key])[:60]}, not a string", f"expected {ROW}"
            )
    try:
        get_language(row["language"])
    except UserError as error:
        raise UserError(f"{where}: {error.what}", error.fix) from error
    if not row["reference"].strip():
        raise UserError(f"{where}: the reference is empty", "give a program, or drop the row")
    return row
