"""Prediction files of any layout as pairs to score."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.evaluate.audit.columns import find_column, text_of
from codemoe.evaluate.audit.table import MISSING, Row, first_row, read_table
from codemoe.evaluate.codebleu.floors import Pair
from codemoe.evaluate.wrong_language import language_of
from codemoe.languages import LANGUAGES, find_language

_TO_DETECT = 40  # references that are looked at to find out a file's language


@dataclass(frozen=True)
class Layout:
    """Where a file has what. `reference_path` is another file whose rows belong to this one's."""

    path: Path
    prediction: str
    reference: str
    reference_path: Path | None
    language: str  # a column, or a language
    is_language_column: bool
    language_path: Path | None = None  # the file that has the column
    was_detected: bool = False  # the language, from the references
    first_of: str = ""  # words for a column with several answers in each row
    passed_over: str = ""  # a column of languages of which none is known, in words
    ids: tuple[str, str] | None = None  # columns that say which rows belong together; None: places

    def told(self) -> str:
        """In words."""
        of = f" of {self.reference_path.name}" if self.reference_path else ""
        if self.ids:
            of += f" with the same {self.ids[1]!r}"
        how = "column" if self.is_language_column else "detected as" if self.was_detected else ""
        name = self.language if self.is_language_column else LANGUAGES[self.language].label
        return (
            f"predictions from {self.first_of}{self.prediction!r}, "
            f"references from {self.reference!r}{of}, "
            f"language: {f'{how} {name}'.strip()}{self.passed_over and f' ({self.passed_over})'}"
        )


def find_layout(
    path: Path,
    reference_path: Path | None,
    prediction: str | None,
    reference: str | None,
    language: str | None,
) -> Layout:
    """Read the first rows and decide. Raises UserError that says what is missing and how to name
    it."""
    row = first_row(path)
    try:
        found = find_column(row, "prediction", prediction)
        if found is None:
            raise _no_column(row, "prediction")
        other = row if reference_path is None else first_row(reference_path)
        taken = (found,) if reference_path is None else ()
        wanted = find_column(other, "reference", reference, but=taken)
        if wanted is None:
            raise _no_column(other, "reference", "or give their file: --references FILE")
    except UserError as error:
        raise UserError(f"{path}: {error.what}", error.fix) from error
    ids = None if reference_path is None else _shared_ids(path, reference_path, wanted)
    first_of = "the first in each list of " if isinstance(row[found], list) else ""
    layout = Layout(path, found, wanted, reference_path, "", False, first_of=first_of, ids=ids)
    known = find_language(language) if language else None
    if known is not None and language not in row:
        return replace(layout, language=known.name)
    passed_over = ""
    for at, some in ((path, row), (reference_path, other)):
        if at is not None:
            column = language if language in some else None
            column = column or (None if language else find_column(some, "language", None))
            if column and _names_languages(at, column):
                return replace(layout, language=column, is_language_column=True, language_path=at)
            if column:
                first = str(some[column])[:40]
                passed_over = f"column {column!r} names no known language, but {first!r}"
    if language:
        what = passed_over or f"--language {language!r} is neither a column nor a known language"
        raise UserError(f"{path}: {what}", f"known: {', '.join(LANGUAGES)}")
    detected = _detected(layout)
    return replace(layout, language=detected, was_detected=True, passed_over=passed_over)


def _shared_ids(path: Path, reference_path: Path, reference: str) -> tuple[str, str] | None:
    """The columns by which the rows of two files are found, where their places do not tell.

    So in other orders, of a part of the problems, or with several answers to each. Raises
    UserError where an id that is asked for has two references.
    """
    own, other = (find_column(first_row(at), "id", None) for at in (path, reference_path))
    if own is None or other is None:
        return None
    answered = [str(row.get(own)) for _, row in read_table(path)]
    problems = [str(row.get(other)) for _, row in read_table(reference_path)]
    wanted = set(answered)
    if answered == problems or not wanted <= set(problems):
        return None
    known: dict[str, Any] = {}
    for _, row in read_table(reference_path):
        name = str(row.get(other))
        if name in wanted and row.get(reference) != known.setdefault(name, row.get(reference)):
            raise UserError(
                f"{reference_path}: two references have the {other} {name!r}, and the rows of "
                f"{path} are in another order",
                "give each problem an id of its own, or both files in one order",
            )
    return own, other


def _no_column(row: Row, role: str, more: str = "") -> UserError:
    names = ", ".join(map(repr, row)) or "none"
    fix = f"say which: --{role} NAME {more}".strip()
    return UserError(f"no column for the {role}s; found: {names}", fix)


def _names_languages(path: Path, column: str) -> bool:
    for at, (_, row) in enumerate(read_table(path)):
        value = row.get(column)
        if isinstance(value, str) and find_language(value):
            return True
        if at == _TO_DETECT:
            break
    return False


def _detected(layout: Layout) -> str:
    """The language that most of the first references are in."""
    found: Counter[str] = Counter()
    source = layout.reference_path or layout.path
    for at, (_, row) in enumerate(read_table(source)):
        language = language_of(text_of(row.get(layout.reference)) or "")
        if language:
            found[language] += 1
        if at == _TO_DETECT:
            break
    if not found:
        raise UserError(
            f"{layout.path}: the language of its references cannot be told",
            "name it or its column: --language java",
        )
    return found.most_common(1)[0][0]


def read_pairs(layout: Layout) -> Iterator[Pair]:
    """The pairs of a file, in its order. Raises UserError for a bad row, with its place."""
    for line, row, other in _rows_together(layout):
        where = f"{layout.path}:{line}"
        prediction = _text(row, layout.prediction, where)
        reference = _text(other, layout.reference, where)
        yield Pair(_language(layout, row, other, where), reference, prediction)


def _rows_together(layout: Layout) -> Iterator[tuple[int, Row, Row]]:
    """(line or number of the answer's row, that, the row with its reference)."""
    rows = read_table(layout.path)
    if layout.reference_path is None:
        yield from ((line, row, row) for line, row in rows)
        return
    others = read_table(layout.reference_path)
    if layout.ids:
        own, name = layout.ids
        problems = {str(row.get(name)): row for _, row in others}
        yield from ((line, row, problems[str(row.get(own))]) for line, row in rows)
        return
    for one, other in zip_longest(rows, others):
        if one is None or other is None:
            short = layout.path if one is None else layout.reference_path
            raise UserError(
                f"{short} has fewer rows than the file it goes with",
                "give files whose rows belong together, one by one or by ids in both",
            )
        yield *one, other[1]


def _text(row: Row, column: str, where: str) -> str:
    if row.get(column) is MISSING:
        raise UserError(
            f"{where}: the row ends before {column!r}",
            "an empty cell needs its separator; is the file complete?",
        )
    text = text_of(row.get(column))
    if text is None:
        found = json.dumps(row.get(column), default=str)[:60]
        raise UserError(
            f"{where}: {column!r} is {found}, no program",
            "expected a string, a list of them or null; or name another column",
        )
    return text


def _language(layout: Layout, row: Row, other: Row, where: str) -> str:
    if not layout.is_language_column:
        return layout.language
    value = (row if layout.language_path == layout.path else other).get(layout.language)
    known = find_language(value) if isinstance(value, str) else None
    if known is None:
        raise UserError(
            f"{where}: unknown language {value!r}; known: {', '.join(LANGUAGES)}",
            "name another column, or one language for all rows: --language java",
        )
    return known.name
