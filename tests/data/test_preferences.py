"""Preference pairs that people made: every form they come in, and what is wrong with them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from codemoe.align_config import HumanPairs
from codemoe.data import preferences
from codemoe.data.preferences import (
    Preference,
    human_files,
    read_human,
    read_preferences,
    write_preferences,
)
from codemoe.data.prompt import format_prompt
from codemoe.data.rows import Drop
from codemoe.errors import UserError

ROWS = [
    {"prompt": "add two", "chosen": "return a + b", "rejected": "return a", "language": "Python"},
    {"prompt": "sub, two", "chosen": 'return "a\n-b"', "rejected": "", "language": "java"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path | str, **source: Any) -> list[Preference | Drop]:
    return list(read_human(HumanPairs(path=str(path), **source)))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_all_forms_give_the_same(suffix: str, tmp_path: Path) -> None:
    first, second = read(write(tmp_path / f"pairs{suffix}", ROWS))
    assert isinstance(first, Preference)
    assert isinstance(second, Preference)
    assert (first.language, first.cause) == ("python", "human")
    assert first.prompt == format_prompt("add two", "python")
    assert (second.chosen, second.rejected) == ('return "a\n-b"', "")
    assert second.prompt == format_prompt("sub, two", "java")


def test_other_names_a_language_for_all_and_a_limit(tmp_path: Path) -> None:
    rows = [{"prompt": f"task {i}", "good": "a", "bad": "b"} for i in range(5)]
    path = write(tmp_path / "pairs.jsonl", rows)
    fields = {"chosen": "good", "rejected": "bad"}
    found = read(path, fields=fields, language="C++", max_pairs=3)
    assert [one.language for one in found] == ["cpp"] * 3
    with pytest.raises(UserError, match="no language"):
        read(path, fields=fields)


def test_a_prompt_in_the_format_stays_and_names_its_language(tmp_path: Path) -> None:
    prompt = format_prompt("add two", "javascript")
    path = write(tmp_path / "pairs.jsonl", [{"prompt": prompt, "chosen": "a", "rejected": "b"}])
    (found,) = read(path, language="java")
    assert isinstance(found, Preference)
    assert (found.prompt, found.language) == (prompt, "javascript")


def test_rows_that_are_no_pairs_are_told_with_the_reason(tmp_path: Path) -> None:
    rows = [
        ROWS[0],
        ROWS[0] | {"chosen": "  "},
        ROWS[0] | {"prompt": ""},
        ROWS[0] | {"rejected": ROWS[0]["chosen"] + "\n"},
        ROWS[0] | {"language": "klingon"},
    ]
    found = read(write(tmp_path / "pairs.jsonl", rows))
    assert [one.reason for one in found if isinstance(one, Drop)] == [
        "no chosen",
        "no prompt",
        "chosen and rejected are the same",
        "unknown language",
    ]


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"prompt": "p", "chosen": "c"}], "no key 'rejected'; found the keys chosen, prompt"),
        ([ROWS[0] | {"chosen": [{"role": "assistant", "content": "c"}]}], "must be text"),
        ([ROWS[0] | {"language": "klingon"}], "no row of .* can be used.*klingon"),
    ],
)
def test_bad_files(rows: list[dict[str, Any]], what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=what):
        read(write(tmp_path / "pairs.jsonl", rows))


def test_bad_csv(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    for text, what in [
        ("prompt,chosen,rejected\na,b\n", "not as many fields"),
        ('prompt,chosen,rejected\na,b,"c\n', "as CSV"),
        ("", "is empty"),
    ]:
        path.write_text(text)
        with pytest.raises(UserError, match=what):
            read(path)


def test_no_such_file_and_other_kinds(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "pairs.txt").write_text("x")
    with pytest.raises(UserError, match="unknown kind of data file"):
        read(tmp_path / "pairs.txt")


def test_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def load(repo: str, **options: Any) -> list[dict[str, Any]]:
        asked.update(options, repo=repo)
        return ROWS

    monkeypatch.setattr(preferences, "load_hub_rows", load)
    found = read("owner/name", revision="abc", split="train_prefs")
    assert len(found) == 2
    assert asked == {"repo": "owner/name", "revision": "abc", "split": "train_prefs"}
    assert human_files(HumanPairs(path="owner/name")) == []


def test_pairs_come_back_as_written(tmp_path: Path) -> None:
    pairs = [one for one in read(write(tmp_path / "p.jsonl", ROWS)) if isinstance(one, Preference)]
    for some in (pairs, []):
        write_preferences(tmp_path / "pairs.jsonl", some)
        assert read_preferences(tmp_path / "pairs.jsonl") == some
