"""The prompts and solutions of benchmark files, for keeping them out of training data."""

from pathlib import Path

from codemoe.data.records import find_data_files, read_records
from codemoe.errors import UserError

# The fields that hold a task's words or its solution in HumanEval, HumanEval-X, MBPP, MBXP,
# MultiPL-E and codemoe's own suites. Tests are left out: their asserts look alike everywhere.
_FIELDS = ("prompt", "text", "canonical_solution", "solution", "code", "declaration", "answer")


def read_benchmark_texts(path: str | Path) -> list[str]:
    """Every prompt and solution in a benchmark file, glob or directory (JSONL, gzip or Parquet).

    Raises UserError for what cannot be read and for files that are no benchmark.
    """
    texts: list[str] = []
    for file in find_data_files(path):
        found: list[str] = []
        keys: set[str] = set()
        for record in read_records(file):
            keys |= record.value.keys()
            values = (record.value.get(name) for name in _FIELDS)
            found += [value for value in values if isinstance(value, str) and value.strip()]
        if not found:
            raise UserError(
                f"{file} has no prompts or solutions; found the keys {', '.join(sorted(keys))}; "
                f"expected one of {', '.join(_FIELDS)}"
            )
        texts += found
    return texts
