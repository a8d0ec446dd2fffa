"""Read the raw records of data files: JSONL, JSON and Parquet; files, globs and directories."""

import glob
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from codemoe.errors import UserError

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")


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
    reader = _read_parquet if path.name.endswith(".parquet") else _read_json
    empty = True
    for record in reader(path):
        empty = False
        yield record
    if empty:
        raise UserError(f"{path} is empty", "remove it from the recipe or fill it")


def _read_json(path: Path) -> Iterator[Record]:
    opener = gzip.open if path.name.endswith(".gz") else open
    line = 0
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            for line, text in enumerate(lines, 1):
                if not text.strip():
                    continue
                if text.lstrip().startswith("["):
                    yield from _read_list(path, line, text + lines.read())
                    return
                value = _parse(path, line, text)
                if not isinstance(value, dict):
                    raise UserError(f"{path}:{line}: expected one JSON object, found {text[:60]!r}")
                yield Record(path, line, value)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 after line {line}: {error.reason}") from error
    except (OSError, EOFError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _read_list(path: Path, line: int, text: str) -> Iterator[Record]:
    values = _parse(path, line, text)
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict):
            raise UserError(f"{path}: item {number} of the list is no JSON object: {value!r:.60}")
        yield Record(path, number, value)


def _parse(path: Path, line: int, text: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        at = line + error.lineno - 1 if isinstance(error, json.JSONDecodeError) else line
        raise UserError(
            f"{path}:{at}: broken JSON: {error}; found {text.strip()[:60]!r}",
            "mend or remove this line",
        ) from error


def _read_parquet(path: Path) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            line = 0
            for batch in file.iter_batches(1024):
                for value in batch.to_pylist():
                    line += 1
                    yield Record(path, line, value)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {path} as Parquet: {error}") from error
