"""Data sources: rows of files or the hub, and the XLCoST release. Each yields a Row or a Drop per
record.

The Stack's columns are read in `codemoe.data.stack`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codemoe.data.hub import is_hub_id, load_hub_rows
from codemoe.data.records import Record, find_data_files, read_records
from codemoe.data.rows import Drop, Row, text_group
from codemoe.data.xlcost import clean_text, detokenize, title_of
from codemoe.errors import UserError
from codemoe.languages import LANGUAGES, PROSE, find_language

FIELDS = ("id", "group", "text", "code", "language", "source", "license")

XLCOST_HUB = "codeparrot/xlcost-text-to-code"
XLCOST_LICENSE = "CC-BY-SA-4.0"
# Language names as the release spells them in its folders and configurations.
XLCOST_FOLDERS = {
    "python": "Python",
    "java": "Java",
    "javascript": "Javascript",
    "cpp": "C++",
    "csharp": "C#",
    "php": "PHP",
    "c": "C",
}
_XLCOST_SPLITS = {"train": "train", "valid": "validation", "test": "test"}  # file, hub split


@dataclass(frozen=True)
class HubPart:
    """Which part of a hub data set is read."""

    subset: str | None = None
    split: str = "train"
    revision: str | None = None


def records_of(path: str | Path, hub: HubPart) -> Iterator[tuple[str, int, Record]]:
    """(name of the file or data set, number in it from 0, record) of files or of a hub data set."""
    if is_hub_id(path):
        repo = str(path)
        rows = load_hub_rows(repo, hub.subset, split=hub.split, revision=hub.revision)
        for number, value in enumerate(rows):
            yield repo.rpartition("/")[2], number, Record(Path(repo, hub.split), number + 1, value)
        return
    for file in find_data_files(path):
        for number, record in enumerate(read_records(file)):
            yield file.name.split(".")[0], number, record


def read_rows(
    path: str | Path,
    *,
    fields: Mapping[str, str],
    language: str | None = None,
    hub: HubPart = HubPart(),  # frozen
) -> Iterator[Row | Drop]:
    """Rows of JSONL, JSON or Parquet files or of a hub data set: `text`, `code`, `language`; the
    rest may be missing.

    Argument `path` is a file, a glob, a directory or a hub id; `fields` says where other column
    names hold a field (`{"text": "prompt"}`), `language` is that of rows that name none. A missing
    id becomes `<source>-<n>`, a missing source the file's name, a missing group a hash of the text,
    so that one problem stays together across languages.

    Raises UserError for files that cannot be read, missing keys, and when no row at all is in a
    known language: then the wrong key was taken for it.
    """
    columns = {name: name for name in FIELDS} | dict(fields)
    refuse_unknown_fields(columns, FIELDS, path)
    return rows_from(records_of(path, hub), columns, language, path)


def refuse_unknown_fields(columns: Mapping[str, str], known: Sequence[str], path: Any) -> None:
    """Raise for a mapping of a field that there is not."""
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise UserError(
            f"unknown field {', '.join(map(repr, unknown))} in the field mapping of {path}; "
            f"known: {', '.join(known)}"
        )


def rows_from(
    records: Iterable[tuple[str, int, Record]],
    columns: Mapping[str, str],
    language: str | None,
    path: str | Path,
) -> Iterator[Row | Drop]:
    """Rows of records that have our fields in these columns."""
    known, first_unknown = False, ""
    for name, number, record in records:
        if number == 0:
            _check_keys(record, columns, language)
        values = {field: string_of(record, column) for field, column in columns.items()}
        values["language"] = values["language"] or language or ""
        if find_language(values["language"]):
            known = True
        elif not first_unknown:
            first_unknown = f"{record.place}: unknown language {values['language']!r}"
        yield _row(record, values, default_id=f"{name}-{number}", default_source=name)
    if not known:
        raise UserError(
            f"no row of {path} is in a known language; {first_unknown}; "
            f"known: {', '.join((*LANGUAGES, PROSE.name))}",
            "use one of these names, map another key in the recipe (fields: {language: lang}), or "
            "name the one of all rows (language: python)",
        )


def _check_keys(record: Record, columns: Mapping[str, str], language: str | None) -> None:
    needed = ("text", "code") if language else ("text", "code", "language")
    missing = [columns[f] for f in needed if columns[f] not in record.value]
    if missing:
        found = ", ".join(sorted(record.value)) or "none"
        raise UserError(
            f"{record.place}: no key {', '.join(map(repr, missing))}; found the keys {found}; "
            "expected text, code, language (and id, group, source, license where known)",
            "rename the keys, or map them in the recipe, as in fields: {text: prompt}",
        )


def string_of(record: Record, column: str) -> str:
    """One field as text. Characters that no file can hold (lone surrogates) become '?'."""
    value: Any = record.value.get(column)
    if value is None:
        return ""
    if isinstance(value, bytes):  # of a binary Parquet column
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(
                f"{record.place}: {column!r} must be a string, found bytes that are no UTF-8 text"
            ) from None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise UserError(f"{record.place}: {column!r} must be a string, found {value!r:.60}")
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _row(
    record: Record, values: Mapping[str, str], *, default_id: str, default_source: str
) -> Row | Drop:
    identity = values["id"] or default_id
    source = values["source"] or default_source
    language = find_language(values["language"])
    if language is None:
        detail = repr(values["language"])
        return Drop("unknown language", identity, source, record.line, detail=detail)
    if not values["code"].strip():
        return Drop("no code", identity, source, record.line, language.name, record.place)
    return Row(
        id=identity,
        group=values["group"] or text_group(values["text"]),
        language=language.name,
        text=tidy(values["text"]),
        code=tidy(values["code"]),
        source=source,
        license=values["license"],
    )


def tidy(text: str) -> str:
    """Unix line ends, no blank lines around; indentation of the first line stays."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n").rstrip()


def read_xlcost(
    path: str | Path,
    *,
    languages: Sequence[str],
    revision: str | None = None,
    level: str = "program",
) -> Iterator[Row | Drop]:
    """XLCoST's program- or snippet-level pairs with real code, from the release's folder or the
    hub.

    The group is the problem's title, which is the same in every language and at both levels. The
    release's own splits are read as one: they do share problems across languages.

    Raises UserError when XLCoST has none of the languages, or the files of one are missing.
    """
    hub = is_hub_id(path)
    for language, split, record in (
        _xlcost_hub(str(path), languages, revision, level)
        if hub
        else _xlcost_folder(path, languages, level)
    ):
        yield _xlcost_row(language, split, record, level)


def xlcost_files(
    path: str | Path, languages: Sequence[str], level: str = "program"
) -> list[tuple[str, str, Path]]:
    """(language, split, file) of a folder with the release: its root, or the `data/` in there.

    Expects `<Language>-<level>-level/<split>.json` for every language that XLCoST has.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(
            f"XLCoST folder {path} does not exist",
            f"name the release's folder, or a hub id such as {XLCOST_HUB}",
        )
    base = root / "data" if (root / "data").is_dir() else root
    files = []
    for language in known_to_xlcost(languages):
        folder = base / f"{XLCOST_FOLDERS[language]}-{level}-level"
        places = [(language, split, folder / f"{split}.json") for split in _XLCOST_SPLITS]
        found = [place for place in places if place[2].is_file()]
        if not found:
            expected = f"{folder}/<{'|'.join(_XLCOST_SPLITS)}>.json"
            raise UserError(
                f"no XLCoST data for {language}: expected {expected}",
                "download the release, or leave the language out",
            )
        files += found
    return files


def known_to_xlcost(languages: Sequence[str]) -> list[str]:
    """Those that XLCoST has; other sources may hold the others."""
    names = [name for name in languages if name in XLCOST_FOLDERS]
    if not names:
        raise UserError(
            f"XLCoST has no {' and no '.join(languages)}; it has: {', '.join(XLCOST_FOLDERS)}",
            "take this source out of the recipe, or add one of these languages",
        )
    return names


def _xlcost_folder(
    path: str | Path, languages: Sequence[str], level: str
) -> Iterator[tuple[str, str, Record]]:
    for language, split, file in xlcost_files(path, languages, level):
        for record in read_records(file):
            yield language, split, record


def _xlcost_hub(
    repo: str, languages: Sequence[str], revision: str | None, level: str
) -> Iterator[tuple[str, str, Record]]:
    for language in known_to_xlcost(languages):
        config = f"{XLCOST_FOLDERS[language]}-{level}-level"
        for split, hub_split in _XLCOST_SPLITS.items():
            rows = load_hub_rows(
                repo,
                config,
                split=hub_split,
                revision=revision,
                data_file=f"data/{config}/{split}.json",
            )
            for number, value in enumerate(rows, 1):
                yield language, split, Record(Path(f"{repo}/{config}/{split}"), number, value)


def _xlcost_row(language: str, split: str, record: Record, level: str) -> Row | Drop:
    missing = [key for key in ("text", "code") if key not in record.value]
    if missing:
        raise UserError(
            f"{record.place}: no key {missing[0]!r}; found {', '.join(sorted(record.value))}; "
            "expected XLCoST's text and code"
        )
    text, code = (string_of(record, key) for key in ("text", "code"))
    # Its own source, so that a recipe can weigh snippets otherwise than programs.
    source = "xlcost" if level == "program" else "xlcost-snippets"
    identity = f"{source}-{language}-{split}-{record.line}"
    if not code.strip():
        return Drop("no code", identity, source, record.line, language, record.place)
    text = clean_text(text)
    return Row(
        id=identity,
        group="xlcost-" + text_group(title_of(text)).removeprefix("text-"),
        language=language,
        text=text,
        code=tidy(detokenize(code, language)),
        source=source,
        license=XLCOST_LICENSE,
    )
