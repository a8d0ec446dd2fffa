"""`codemoe score`: CodeBLEU of a JSONL file of references and predictions."""

import json
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.codebleu import EQUAL_WEIGHTS, Weights, score_corpus
from codemoe.jsonl import read_jsonl
from codemoe.languages import get_language

ROW = '{"language": "python", "reference": "...", "prediction": "..."}'


def score_file(path: Path, weights: Weights = EQUAL_WEIGHTS) -> dict[str, Any]:
    """Score rows `{id?, language, reference, prediction}`, one JSON object per line.

    Returns what `--json` prints: n, codebleu, ngram_match, weighted_ngram_match, syntax_match,
    dataflow_match, floor, interval, empty. A figure no sample has is None (see CorpusScore).
    Raises UserError for a missing, empty or unreadable file and for the first bad row, with its
    line number.
    """
    fix = f"give one JSON object per line: {ROW}"
    rows = [_checked(row, f"{path}:{line}") for line, row in read_jsonl(path, fix)]
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


def _checked(row: dict[str, Any], where: str) -> dict[str, str]:
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
