"""Preference pairs: which of two answers to a prompt is the better one, and why.

Files of pairs that people made are read here, and so is `pairs.jsonl`, what an aligned expert is
trained on: pairs that its own answers made, and people's.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from codemoe.align_config import PREFERENCE_FIELDS, HumanPairs
from codemoe.data.hub import is_hub_id, load_hub_rows
from codemoe.data.prompt import MARKER, format_prompt
from codemoe.data.records import WITH_CSV, Record, find_data_files, read_records
from codemoe.data.rows import Drop
from codemoe.errors import UserError
from codemoe.jsonl import read_jsonl
from codemoe.languages import find_language

HUMAN = "human"  # the cause of such a pair
_LANGUAGE_LINE = re.compile(r"^### Language: (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Preference:
    """One pair. `prompt` is in the one prompt format, up to its marker."""

    id: str
    language: str
    cause: str
    prompt: str
    chosen: str
    rejected: str
    # How their tests ended; None of a human pair.
    chosen_status: str | None = None
    rejected_status: str | None = None
    rejected_finished: bool = True  # False: cut at the longest answer allowed, so it has no end


def write_preferences(path: Path, pairs: Sequence[Preference]) -> None:
    lines = (json.dumps(asdict(pair)) + "\n" for pair in pairs)
    path.write_text("".join(lines), encoding="utf-8")


def read_preferences(path: Path) -> list[Preference]:
    """What `write_preferences` wrote; an expert may have none."""
    if path.stat().st_size == 0:
        return []
    return [Preference(**row) for _, row in read_jsonl(path)]


def human_files(source: HumanPairs) -> list[Path]:
    """The local files of a source; none for the hub, which a revision fixes."""
    return [] if is_hub_id(source.path) else find_data_files(source.path, WITH_CSV)


def read_human(source: HumanPairs) -> Iterator[Preference | Drop]:
    """The pairs of one source, or why a row is none; at most `max_pairs` pairs.

    A prompt is a task in words, or one in the prompt format. The language is the row's own, the one
    that the prompt names, or the source's. Raises UserError for missing keys and for what is no
    text, and when no row at all can be used.
    """
    columns = {name: name for name in PREFERENCE_FIELDS} | source.fields
    used, why = 0, "it is empty"
    for number, record in enumerate(_records(source)):
        if number == 0:
            _check_keys(record, columns)
        pair = _pair(record, columns, source.language)
        if isinstance(pair, Drop):
            why = f"{record.place}: {pair.reason} {pair.detail}".rstrip()
        else:
            used += 1
        yield pair
        if used == source.max_pairs:
            return
    if not used:
        raise UserError(
            f"align.human: no row of {source.path} can be used; the last one, {why}",
            "rows need prompt, chosen and rejected, and a language: in the row, in the prompt, or "
            "for all of them as `language` in the recipe",
        )


def _records(source: HumanPairs) -> Iterator[Record]:
    if not is_hub_id(source.path):
        for file in human_files(source):
            yield from read_records(file)
        return
    rows = load_hub_rows(source.path, split=source.split, revision=source.revision)
    for number, value in enumerate(rows, 1):
        yield Record(Path(f"{source.path}/{source.split}"), number, value)


def _check_keys(record: Record, columns: dict[str, str]) -> None:
    needed = [columns[name] for name in ("prompt", "chosen", "rejected")]
    missing = [name for name in needed if name not in record.value]
    if missing:
        raise UserError(
            f"{record.place}: no key {', '.join(map(repr, missing))}; found the keys "
            f"{', '.join(sorted(record.value)) or 'none'}; expected prompt, chosen and rejected",
            "rename the keys, or map them in the recipe, as in fields: {chosen: good}",
        )


def _text(record: Record, column: str) -> str:
    value = record.value.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise UserError(
            f"{record.place}: {column!r} must be text, found {value!r:.60}",
            "of a list of messages, keep the last one's text",
        )
    return value.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate is in no file


def _pair(record: Record, columns: dict[str, str], default: str | None) -> Preference | Drop:
    values = {name: _text(record, column) for name, column in columns.items()}
    prompt, chosen, rejected = values["prompt"], values["chosen"], values["rejected"]
    identity = values["id"] or record.place

    def drop(reason: str, detail: str = "") -> Drop:
        return Drop(reason, identity, HUMAN, record.line, detail=detail)

    for name in ("prompt", "chosen"):
        if not values[name].strip():
            return drop(f"no {name}")
    if chosen.strip() == rejected.strip():
        return drop("chosen and rejected are the same")
    formatted = prompt.endswith(MARKER)
    line = _LANGUAGE_LINE.search(prompt) if formatted else None
    named = values["language"] or (line.group(1) if line else "") or default or ""
    row = find_language(named)
    if row is None:
        return drop("unknown language", repr(named)) if named else drop("no language")
    if not formatted:
        prompt = format_prompt(prompt, row.name)
    return Preference(identity, row.name, HUMAN, prompt, chosen, rejected)
