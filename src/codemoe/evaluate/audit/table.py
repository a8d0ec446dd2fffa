"""Rows of JSONL, JSON, CSV, TSV and text files, one at a time."""

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.jsonl import parse_json, read_jsonl, read_lines

Row = dict[str, Any]
KINDS = ".jsonl, .jsonl.gz, .json, .csv, .tsv, .txt"
_JSONL = (".jsonl", ".ndjson")
LINE = "line"  # the only column of a text file
MISSING: Any = object()  # a cell that a row ends before, as a line of means may


def read_table(path: Path) -> Iterator[tuple[int, Row]]:
    """(line or row number from 1, row). A text file has one program a line.

    Raises UserError for a file that cannot be read, is empty, or is of no known kind.
    """
    kind = _kind(path)
    if kind in _JSONL:
        yield from read_jsonl(path)
    elif kind == ".json":
        yield from _json_array(path)
    elif kind in (".csv", ".tsv"):
        yield from _separated(path, "," if kind == ".csv" else "\t")
    elif kind == ".txt":
        for line, text in read_lines(path, f"expected one of {KINDS}"):
            yield line, {LINE: text.rstrip("\r\n")}
    else:
        raise UserError(f"{path}: no known kind of file", f"expected one of {KINDS}")


def _kind(path: Path) -> str:
    """The suffix, before .gz."""
    return Path(path.stem if path.suffix == ".gz" else path.name).suffix.lower()


def count_rows(path: Path) -> int:
    """How many rows `read_table` gives; broken ones are counted, too."""
    if _kind(path) in _JSONL:
        return sum(1 for _, text in read_lines(path, "") if text.strip())
    return sum(1 for _ in read_table(path))


def first_row(path: Path) -> Row:
    """The first row of a file; raises UserError where it has none."""
    for _, row in read_table(path):
        return row
    raise UserError(f"{path} is empty", f"expected rows; kinds: {KINDS}")


def _json_array(path: Path) -> Iterator[tuple[int, Row]]:
    fix = "expected [{...}, {...}]; a file of one object a line is named .jsonl"
    text = "".join(text for _, text in read_lines(path, fix))
    rows = parse_json(path, 1, text, fix)
    if not isinstance(rows, list):
        raise UserError(f"{path}: expected a JSON array, found {type(rows).__name__}", fix)
    for at, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            what = f"item {at} of the array is no object but {type(row).__name__}"
            raise UserError(f"{path}: {what}", fix)
    yield from enumerate(rows, 1)


def _separated(path: Path, delimiter: str) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(sys.maxsize)
    lines = (text for _, text in read_lines(path, "expected a CSV file with a line of names"))
    names = next(lines, "")
    if delimiter not in names:  # spreadsheets write ";" where "," is the decimal point
        delimiter = next((other for other in ";\t," if other in names), delimiter)
    # Strict: a quote that is never closed would swallow all rows behind it.
    reader = csv.DictReader(
        chain([names], lines), delimiter=delimiter, strict=True, restval=MISSING
    )
    try:
        _refuse_twins(path, reader.fieldnames or ())
        for row in reader:
            more = row.pop(None, ())  # what is behind the last name
            if any(cell.strip() for cell in more):
                found = f"{len(row) + len(more)} cells under {len(row)} names"
                raise UserError(
                    f"{path}:{reader.line_num}: {found}",
                    'a cell with a separator in it needs quotes: "f(a, b)"',
                )
            yield reader.line_num, row
    except csv.Error as error:
        fix = 'a quote in a quoted cell is written twice: "f(""a"")"; every cell\'s quotes end'
        raise UserError(f"{path}:{reader.line_num + 1}: broken CSV: {error}", fix) from error


def _refuse_twins(path: Path, names: Sequence[str]) -> None:
    """Of two columns of one name only the last would be seen."""
    twins = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twins:
        raise UserError(
            f"{path}: several columns are named {twins[0]!r}",
            "the first line names the columns: give each a name of its own",
        )
