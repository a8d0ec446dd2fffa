"""Which column is which: named by the user, or known by what people call such columns."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from codemoe.errors import UserError

# In the order of preference: an earlier name wins where a file has several.
_KNOWN = {
    "prediction": "prediction predictions predicted predicted_code pred preds generated "
    "generated_code generated_text generation generations gen completion completions output "
    "outputs response responses answer answers hypothesis hypotheses hyp hyps candidate candidates "
    "model_output model_response model_answer result code value text line solution",
    "reference": "reference references reference_code ground_truth groundtruth gt target targets "
    "target_code gold gold_code canonical_solution solution label labels expected expected_output "
    "expected_code ref refs truth answer code value line",
    "language": "language lang programming_language prog_lang pl expert",
    "id": "task_id problem_id question_id example_id sample_id id idx index",
    "codebleu": "codebleu codebleu_score score",
    "ngram_match": "ngram_match_score ngram_match",
    "weighted_ngram_match": "weighted_ngram_match_score weighted_ngram_match",
    "syntax_match": "syntax_match_score syntax_match",
    "dataflow_match": "dataflow_match_score dataflow_match",
}
KNOWN = {role: tuple(names.split()) for role, names in _KNOWN.items()}
PARTS = ("ngram_match", "weighted_ngram_match", "syntax_match", "dataflow_match")


def find_column(
    row: Mapping[str, Any], role: str, named: str | None, *, but: Sequence[str] = ()
) -> str | None:
    """The column of a role; None where the file has none. `but` are other roles' columns.

    Raises UserError for a named column that is not there.
    """
    if named is not None:
        if named not in row:
            raise UserError(
                f"no column {named!r}; found: {', '.join(map(repr, row))}", f"name one: --{role}"
            )
        return named
    by_plain_name = {_plain(name): name for name in row if name not in but}
    for known in KNOWN[role]:
        if known in by_plain_name:
            return by_plain_name[known]
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")


def text_of(value: Any) -> str | None:
    """A cell's program: a string, the first of a list of them; None: no text.

    Nothing is "": null, NaN (what pandas writes for a missing cell), no candidate.
    """
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or value != value:
        return ""
    return value if isinstance(value, str) else None


def number_of(value: Any) -> float | None:
    """A cell's number; None where it is none, as "", "nan" and "inf" are."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
