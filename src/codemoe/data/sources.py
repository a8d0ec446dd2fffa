"""Data sources: files of rows, and the XLCoST release. Each yields a Row or a Drop per record.

The Stack's columns are read in `codemoe.data.stack`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from codemoe.data.hub import is_hub_id, load_hub_rows
from codemoe.data.records import Record, find_data_files, read_records
from codemoe.data.rows import Drop, Row, text_group
from codemoe.data.xlcost import clean_text, detokenize, title_of
from codemoe.errors import UserError
from codemoe.languages import LANGUAGES, find_language

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


def read_rows(path: str | Path, *, fields: Mapping[str, str]) -> Iterator[Row | Drop]:
    """Rows of JSONL, JSON or Parquet files: `text`, `code`, `language`; the rest may be missing.

    Argument `path` is a file, a glob or a directory; `fields` says where other column names hold a
    field (`{"text": "prompt"}`). A missing id becomes `<source>-<n>`, a missing source the file's
    name, a missing group a hash of the text, so that one problem stays together across languages.

    Raises UserError for files that cannot be read, missing keys, and when no row at all is in a
    known language: then the wrong key was taken for it.
    """
    columns = {name: name for name in FIELDS} | dict(fields)
    unknown = [name for name in columns if name not in FIELDS]
    if unknown:
        raise UserError(
            f"unknown field {', '.join(map(repr, unknown))} in the field mapping of {path}; "
            f"known: {', '.join(FIELDS)}"
        )
    known, first_unknown = False, ""
    for file in find_data_files(path):
        name = file.name.split(".")[0]
        for number, record in enumerate(read_records(file)):
            if number == 0:
                _check_keys(record, columns)
            values = {field: _string(record, column) for field, column in columns.items()}
            if find_language(values["language"]):
                known = True
            elif not first_unknown:
                first_unknown = f"{record.place}: unknown language {values['language']!r}"
            yield _row(record, values, default_id=f"{name}-{number}", default_source=name)
    if not known:
        raise UserError(
            f"no row of {path} is in a known language; {first_unknown}; "
            f"known: {', '.join(LANGUAGES)}",
            "use one of these names, or map another key in the recipe: fields: {language: lang}",
        )


def _check_keys(record: Record, columns: Mapping[str, str]) -> None:
    missing = [columns[f] for f in ("text", "code", "language") if columns[f] not in record.value]
    if missing:
        found = ", ".join(sorted(record.value)) or "none"
        raise UserError(
            f"{record.place}: no key {', '.join(map(repr, missing))}; found the keys {found}; "
            "expected text, code, language (and id, group, source, license where known)",
            "rename the keys, or map them in the recipe, as in fields: {text: prompt}",
        )


def _string(record: Record, column: str) -> str:
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
    path: str | Path, *, languages: Sequence[str], revision: str | None = None
) -> Iterator[Row | Drop]:
    """XLCoST's program-level pairs with real code, from the release's folder or the hub.

    The group is the problem's title, which is the same in every language. The release's own splits
    are read as one: they do share problems across languages.

    Raises UserError when XLCoST has none of the languages, or the files of one are missing.
    """
    hub = is_hub_id(path)
    for language, split, record in (
        _xlcost_hub(str(path), languages, revision) if hub else _xlcost_folder(path, languages)
    ):
        yield _xlcost_row(language, split, record)


def xlcost_files(path: str | Path, languages: Sequence[str]) -> list[tuple[str, str, Path]]:
    """(language, split, file) of a folder with the release: its root, or the `data/` in there.

    Expects `<Language>-program-level/<split>.json` for every language that XLCoST has.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        raise UserError(
            f"XLCoST folder {path} does not exist",
            f"name the release's folder, or a hub id such as {XLCOST_HUB}",
        )
    base = root / "data" if (root / "data").is_dir() else root
    files = []
    for language in _xlcost_languages(languages):
        folder = base / f"{XLCOST_FOLDERS[language]}-program-level"
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


def _xlcost_languages(languages: Sequence[str]) -> list[str]:
    """Those that XLCoST has; other sources may hold the others."""
    names = [name for name in languages if name in XLCOST_FOLDERS]
    if not names:
        raise UserError(
            f"XLCoST has no {' and no '.join(languages)}; it has: {', '.join(XLCOST_FOLDERS)}",
            "take this source out of the recipe, or add one of these languages",
        )
    return names


def _xlcost_folder(path: str | Path, languages: Sequence[str]) -> Iterator[tuple[str, str, Record]]:
    for language, split, file in xlcost_files(path, languages):
        for record in read_records(file):
            yield language, split, record


def _xlcost_hub(
    repo: str, languages: Sequence[str], revision: str | None
) -> Iterator[tuple[str, str, Record]]:
    for language in _xlcost_languages(languages):
        config = f"{XLCOST_FOLDERS[language]}-program-level"
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


def _xlcost_row(language: str, split: str, record: Record) -> Row | Drop:
    missing = [key for key in ("text", "code") if key not in record.value]
    if missing:
        raise UserError(
            f"{record.place}: no key {missing[0]!r}; found {', '.join(sorted(record.value))}; "
            "expected XLCoST's text and code"
        )
    text, code = (_string(record, key) for key in ("text", "code"))
    identity = f"xlcost-{language}-{split}-{record.line}"
    if not code.strip():
        return Drop("no code", identity, "xlcost", record.line, language, record.place)
    text = clean_text(text)
    return Row(
        id=identity,
        group="xlcost-" + text_group(title_of(text)).removeprefix("text-"),
        language=language,
        text=text,
        code=tidy(detokenize(code, language)),
        source="xlcost",
        license=XLCOST_LICENSE,
    )
