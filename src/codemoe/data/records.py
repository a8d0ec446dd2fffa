"""Read the raw records of data files: JSONL, JSON, Parquet, CSV; files, globs and directories."""

import csv
import glob
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from codemoe.errors import UserError
from codemoe.jsonl import parse_json, parse_object, read_lines

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
# CSV only where a caller asks for it: folders of rows hold lists of what was dropped, too.
WITH_CSV = (*SUFFIXES, ".csv")
_JSON = "expected one JSON object per line, or one list of objects"


class Record(NamedTuple):
    """One raw record and where it stands; `line` counts from 1 (in Parquet: the row)."""

    path: Path
    line: int
    value: dict[str, Any]

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}"


def find_data_files(path: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> list[Path]:
    """The data files a path means, sorted: one file, a glob's matches, or a directory's content.

    Raises UserError when there is none, or a file's kind is unknown.
    """
    root = Path(path).expanduser()
    kinds = ", ".join(suffixes)
    if root.is_dir():
        files = sorted(p for p in root.rglob("*") if p.is_file() and p.name.endswith(suffixes))
        if not files:
            raise UserError(f"no data in directory {path}; expected files ending in {kinds}")
        return files
    if root.exists():
        if not root.name.endswith(suffixes):
            raise UserError(f"{path}: unknown kind of data file; expected {kinds}")
        return [root]
    matches = sorted(Path(match) for match in glob.glob(str(root), recursive=True))
    if not matches:
        raise UserError(
            f"data source {path} does not exist (nothing matches, from {Path.cwd()})",
            "name a file, a glob or a directory in the recipe's data section",
        )
    return [file for match in matches for file in find_data_files(match, suffixes)]


def read_records(path: Path) -> Iterator[Record]:
    """The records of one file, in order. A JSON file may hold one list or one object per line.

    Raises UserError with file and line for what cannot be read, and for a file without records.
    """
    readers = {".parquet": _read_parquet, ".csv": _read_csv}
    reader = readers.get(path.suffix, _read_json)
    empty = True
    for record in reader(path):
        empty = False
        yield record
    if empty:
        raise UserError(f"{path} is empty", "remove it from the recipe or fill it")


def _read_json(path: Path) -> Iterator[Record]:
    lines = read_lines(path, _JSON)
    for line, text in lines:
        if text.lstrip().startswith("["):
            yield from _read_list(path, line, text + "".join(more for _, more in lines))
        elif text.strip():
            yield Record(path, line, parse_object(path, line, text, _JSON))


def _read_list(path: Path, line: int, text: str) -> Iterator[Record]:
    for number, value in enumerate(parse_json(path, line, text, _JSON), 1):
        if not isinstance(value, dict):
            raise UserError(f"{path}: item {number} of the list is no JSON object: {value!r:.60}")
        yield Record(path, number, value)


def _read_parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    line = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                for value in batch.to_pylist():
                    line += 1
                    yield Record(path, line, value)
    # ValueError: text that is no UTF-8, dates that Python has not, two columns of one name.
    except (OSError, ValueError, pa.ArrowException) as error:
        where = f" (after row {line})" if line else ""
        raise UserError(f"cannot read {path} as Parquet{where}: {error}") from error


def _read_csv(path: Path) -> Iterator[Record]:
    """With a line of names first. A field may be as long as a program."""
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            for value in rows:
                if None in value or None in value.values():
                    raise UserError(
                        f"{path}:{rows.line_num}: the row has not as many fields as the first line "
                        f"has names ({', '.join(rows.fieldnames or ())})"
                    )
                yield Record(path, rows.line_num, value)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"cannot read {path} as CSV: {error}") from None
