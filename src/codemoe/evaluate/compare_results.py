"""Two results files of the same problems: is one model better, or is it chance?"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codemoe.errors import UserError
from codemoe.evaluate.sandbox.records import NOT_COUNTED, STATUSES
from codemoe.evaluate.statistics import detectable_difference, paired_bootstrap
from codemoe.evaluate.suites.fields import Fields
from codemoe.jsonl import read_jsonl

MEASURES = ("pass_at_1", "codebleu")
_FIX = "give results.jsonl files of codemoe eval, or of codemoe execute --results"


@dataclass(frozen=True)
class Comparison:
    """One measure over the n problems that both files have: means, and b - a with its interval."""

    n: int
    a: float
    b: float
    difference: float
    interval: tuple[float, float]
    p: float
    detectable_difference: float | None  # None: the differences do not spread, it cannot be told


def compare_results(a: Path, b: Path) -> dict[str, Any]:
    """`measures` (those that both files have), and how many ids only one of them has, as JSON.

    Several samples of a problem count as their mean. Raises UserError for files that are no
    results, or have no problem in common.
    """
    first, second = _values(a), _values(b)
    found = {}
    for measure in MEASURES:
        common = sorted(first[measure].keys() & second[measure].keys())
        if common:
            found[measure] = asdict(
                _compare(
                    np.array([np.mean(first[measure][name]) for name in common]),
                    np.array([np.mean(second[measure][name]) for name in common]),
                )
            )
    ids = [{name for values in one.values() for name in values} for one in (first, second)]
    if not found:
        examples = " and ".join(repr(min(some)) for some in ids if some)
        raise UserError(f"{a} and {b} have no problem in common; their ids: {examples}", _FIX)
    return {"measures": found, "only_a": len(ids[0] - ids[1]), "only_b": len(ids[1] - ids[0])}


def _compare(a: np.ndarray, b: np.ndarray) -> Comparison:
    gap = paired_bootstrap(b, a)
    spread = float((b - a).std(ddof=1)) if len(a) > 1 else 0.0
    least = detectable_difference(len(a), spread=spread) if spread else None
    return Comparison(
        len(a), float(a.mean()), float(b.mean()), gap.difference, gap.interval, gap.p, least
    )


def _values(path: Path) -> dict[str, dict[str, list[float]]]:
    """measure -> id -> its values."""
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in MEASURES}
    for line, row in read_jsonl(path, _FIX):
        fields = Fields(path, line, row)
        name = fields.identity("id")
        for measure, value in _measured(fields):
            found[measure][name].append(value)
    if not any(found.values()):
        raise UserError(f"{path} has no 'status' and no 'codebleu' to compare", _FIX)
    return found


def _measured(fields: Fields) -> Iterator[tuple[str, float]]:
    status = fields.optional("status")
    if status is not None:
        if status not in STATUSES:
            raise UserError(f"{fields.place}: unknown status {status!r}", _FIX)
        if status not in NOT_COUNTED:
            yield "pass_at_1", float(status == "pass")
    score = fields.row.get("codebleu")
    if isinstance(score, int | float) and not isinstance(score, bool):
        yield "codebleu", float(score)
