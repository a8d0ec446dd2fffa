"""The row every data source is turned into, and the Parquet files rows travel in."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codemoe.errors import UserError


@dataclass(frozen=True, slots=True)
class Row:
    """One text -> code pair. `group` names the problem, the same in every language."""

    id: str
    group: str
    language: str  # canonical name from codemoe.languages
    text: str
    code: str
    source: str
    license: str


@dataclass(frozen=True, slots=True)
class Drop:
    """One row that was left out, and why. `line` counts from 1; 0 when there is no file line."""

    reason: str
    id: str
    source: str
    line: int = 0
    language: str = ""
    detail: str = ""


COLUMNS = ("id", "group", "language", "text", "code", "source", "license")


def normalise(text: str) -> str:
    """Every run of white space as one blank, none at the ends: what "the same text" means here."""
    return " ".join(text.split())


def stable_hash(text: str, size: int = 8) -> str:
    """`2 * size` hex digits that are the same in every process, on every machine."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=size).hexdigest()


def text_group(text: str) -> str:
    """The group of rows that share a description, for sources that do not name the problem."""
    return "text-" + stable_hash(normalise(text).casefold())


def write_parquet(rows: Iterable[Row], path: Path) -> None:
    """Write the seven string columns; an empty table keeps its schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(rows)
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    table = pa.table({name: [getattr(r, name) for r in rows] for name in COLUMNS}, schema=schema)
    pq.write_table(table, path, compression="zstd")


def read_parquet(path: Path) -> list[Row]:
    """Read what `write_parquet` wrote, in order.

    Raises UserError for a file that is missing, is not Parquet, or lacks one of the columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rerun = "write it again with: codemoe data RECIPE --force"
    try:
        file = pq.ParquetFile(path)
        missing = [name for name in COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise UserError(
                f"{path} lacks the columns {', '.join(missing)}; "
                f"found {', '.join(file.schema_arrow.names)}",
                rerun,
            )
        table = file.read(columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"cannot read {path} as Parquet: {error}", rerun) from error
    columns = [table.column(name).to_pylist() for name in COLUMNS]
    return [Row(*values) for values in zip(*columns, strict=True)]
