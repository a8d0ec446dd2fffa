"""Data sources: files of rows, and the XLCoST release. Each yields a Row or a Drop per record.

The Stack's columns are read in `codemoe.data.stack`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from codemoe.data.hub import load_hub_rows
from codemoe.data.records import Record, find_data_files, read_records
from codemoe.data.rows import Drop, Row, text_group
from codemoe.data.stack import read_stack
from codemoe.data.xlcost import clean_text, detokenize, title_of
from codemoe.errors import UserError
from codemoe.languages import LANGUAGES, find_language

__all__ = ["XLCOST_FOLDERS", "XLCOST_HUB", "read_rows", "read_stack", "read_xlcost"]

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


def read_rows(
    path: str | Path,
    *,
    fields: Mapping[str, str] | None = None,
    language: str | None = None,
    source: str | None = None,
    license: str | None = None,
) -> Iterator[Row | Drop]:
    """Rows of JSONL, JSON or Parquet files: `text`, `code`, `language`; the rest may be missing.

    Argument `path` is a file, a glob or a directory; `fields` says where other column names hold a
    field (`{"text": "prompt"}`); `language`, `source` and `license` stand in where a record has no
    such key. A missing id becomes `<source>-<n>`, a missing group a hash of the text, so that one
    problem stays together across languages.

    Raises UserError for files that cannot be read, missing keys and unknown languages.
    """
    columns = {name: name for name in FIELDS} | dict(fields or {})
    unknown = [name for name in columns if name not in FIELDS]
    if unknown:
        raise UserError(
            f"unknown field {', '.join(map(repr, unknown))} in the field mapping of {path}; "
            f"known: {', '.join(FIELDS)}"
        )
    given = {"language": language, "source": source, "license": license}
    for file in find_data_files(path):
        name = source or file.name.split(".")[0]
        for number, record in enumerate(read_records(file)):
            if number == 0:
                _check_keys(record, columns, given)
            values = {
                field: _string(record, column, given.get(field))
                for field, column in columns.items()
            }
            yield _row(record, values, default_id=f"{name}-{number}", default_source=name)


def _check_keys(
    record: Record, columns: Mapping[str, str], given: Mapping[str, str | None]
) -> None:
    needed = [f for f in ("text", "code", "language") if given.get(f) is None]
    missing = [columns[f] for f in needed if columns[f] not in record.value]
    if missing:
        found = ", ".join(sorted(record.value)) or "none"
        raise UserError(
            f"{record.place}: no key {', '.join(map(repr, missing))}; found the keys {found}; "
            "expected text, code, language (and id, group, source, license where known)",
            "rename the keys, or map them in the recipe, as in fields: {text: prompt}",
        )


def _string(record: Record, column: str, default: str | None) -> str:
    """One field as text. Characters that no file can hold (lone surrogates) become '?'."""
    value: Any = record.value.get(column)
    if value is None:
        return default or ""
    if isinstance(value, bool | list | dict):
        raise UserError(f"{record.place}: {column!r} must be a string, found {value!r:.60}")
    return str(value).encode("utf-8", "replace").decode("utf-8")


def _row(
    record: Record, values: Mapping[str, str], *, default_id: str, default_source: str
) -> Row | Drop:
    identity = values["id"] or default_id
    source = values["source"] or default_source
    row = find_language(values["language"])
    if row is None:
        raise UserError(
            f"{record.place}: unknown language {values['language']!r}; "
            f"known: {', '.join(LANGUAGES)}",
            "use one of these names, or map another key in the recipe: fields: {language: lang}",
        )
    if not values["code"].strip():
        return Drop("no code", identity, source, record.line, row.name, record.place)
    return Row(
        id=identity,
        group=values["group"] or text_group(values["text"]),
        language=row.name,
        text=tidy(values["text"]),
        code=tidy(values["code"]),
        source=source,
        license=values["license"],
    )


def tidy(text: str) -> str:
    """Unix line ends, no blank lines around; indentation of the first line stays."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip("\n").rstrip()


def read_xlcost(
    path: str | Path = XLCOST_HUB,
    *,
    languages: Sequence[str] | None = None,
    splits: Sequence[str] = ("train", "valid", "test"),
    revision: str | None = None,
) -> Iterator[Row | Drop]:
    """XLCoST's program-level pairs with real code, from the release's folder or the hub.

    A folder holds `data/<Language>-program-level/<split>.json`; whatever is no folder is a hub id.
    All languages found (on the hub: all seven) unless `languages` names some. The group is the
    problem's title, which is the same in every language. The release's own splits are read as one:
    they do share problems across languages.

    Raises UserError for a language XLCoST does not have, or one whose files are missing.
    """
    wanted = _xlcost_languages(languages)
    bad = [split for split in splits if split not in _XLCOST_SPLITS]
    if bad:
        raise UserError(f"unknown XLCoST split {bad[0]!r}; known: {', '.join(_XLCOST_SPLITS)}")
    root = Path(path).expanduser()
    if root.is_dir():
        records = _xlcost_folder(root, wanted or list(XLCOST_FOLDERS), splits, bool(wanted))
    else:
        if str(path).count("/") != 1 or str(path).startswith((".", "/", "~")):
            raise UserError(
                f"XLCoST folder {path} does not exist",
                f"name the release's folder, or a hub id such as {XLCOST_HUB}",
            )
        records = _xlcost_hub(str(path), wanted or list(XLCOST_FOLDERS), splits, revision)
    for language, split, record in records:
        yield _xlcost_row(language, split, record)


def _xlcost_languages(languages: Sequence[str] | None) -> list[str]:
    names = []
    for given in languages or ():
        row = find_language(given)
        if row is None or row.name not in XLCOST_FOLDERS:
            raise UserError(f"XLCoST has no {given!r}; it has: {', '.join(XLCOST_FOLDERS)}")
        names.append(row.name)
    return names


def _xlcost_folder(
    root: Path, languages: Sequence[str], splits: Sequence[str], required: bool
) -> Iterator[tuple[str, str, Record]]:
    base = root / "data" if (root / "data").is_dir() else root
    found = False
    for language in languages:
        folder = base / f"{XLCOST_FOLDERS[language]}-program-level"
        files = [(s, folder / f"{s}.json") for s in splits if (folder / f"{s}.json").is_file()]
        if not files and required:
            raise UserError(
                f"no XLCoST data for {language}: expected {folder}/<{'|'.join(splits)}>.json",
                "download the release, or leave the language out",
            )
        for split, file in files:
            found = True
            for record in read_records(file):
                yield language, split, record
    if not found:
        raise UserError(f"no XLCoST data in {root}: expected {base}/<Language>-program-level/")


def _xlcost_hub(
    repo: str, languages: Sequence[str], splits: Sequence[str], revision: str | None
) -> Iterator[tuple[str, str, Record]]:
    for language in languages:
        config = f"{XLCOST_FOLDERS[language]}-program-level"
        for split in splits:
            rows = load_hub_rows(
                repo,
                config,
                split=_XLCOST_SPLITS[split],
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
    text, code = (_string(record, key, None) for key in ("text", "code"))
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
