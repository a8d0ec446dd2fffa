"""JSONL files, plain or gzipped: every defect is a UserError that names the file and the line."""

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codemoe.errors import UserError

ONE_OBJECT = "one JSON object per line is expected"


def read_jsonl(path: Path, fix: str = ONE_OBJECT) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) for each line that is not blank; `fix` goes with the errors.

    Raises UserError for a file that cannot be read or is empty, and for a line that is no object.
    """
    empty = True
    for line, text in read_lines(path, fix):
        if text.strip():
            empty = False
            yield line, parse_object(path, line, text, fix)
    if empty:
        raise UserError(f"{path} is empty", fix)


def read_lines(path: Path, fix: str) -> Iterator[tuple[int, str]]:
    """(line number from 1, line with its end) of a UTF-8 file, unpacked when it ends in .gz."""
    line = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            # Bytes, because only "\n" ends a line: JSON strings may hold U+2028 and the like.
            for line, raw in enumerate(file, 1):
                yield line, raw.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}:{line}: not UTF-8 text ({error.reason})", fix) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = f"cannot read {path}: not a complete gzip file (after line {line}): {error}"
        raise UserError(what, fix) from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}", fix) from error


def parse_object(path: Path, line: int, text: str, fix: str) -> dict[str, Any]:
    # Without its end: else the place where a cut line breaks would be the next line.
    value = parse_json(path, line, text.rstrip("\r\n"), fix)
    if not isinstance(value, dict):
        kind = type(value).__name__
        raise UserError(f"{path}:{line}: expected a JSON object, found {kind}", fix)
    return value


def parse_json(path: Path, line: int, text: str, fix: str) -> Any:
    """The value of a text that begins in this line of the file."""
    try:
        return json.loads(text)
    # A plain ValueError is a number of more than 4,300 digits.
    except (ValueError, RecursionError) as error:
        at = line + error.lineno - 1 if isinstance(error, json.JSONDecodeError) else line
        what = f"{path}:{at}: broken JSON: {error}; found {text.strip()[:60]!r}"
        raise UserError(what, fix) from error
