"""Source readers: every supported shape is read, every bad input has one clear message."""

import datetime
import gzip
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from codemoe.data.rows import Drop, Row
from codemoe.data.sources import read_rows, read_xlcost
from codemoe.data.stack import read_stack
from codemoe.errors import UserError, WorkError
from codemoe.languages import LANGUAGES

PAIR = {"text": "Add two numbers", "code": "def add(a, b):\n    return a + b", "language": "Python"}


def _write(path: Path, *values: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(v) + "\n" for v in values), encoding="utf-8")
    return path


def _rows(items: Any) -> list[Row]:
    rows = list(items)
    assert all(isinstance(row, Row) for row in rows)
    return rows


def test_jsonl_with_defaults(tmp_path: Path) -> None:
    other = PAIR | {"text": " add  two numbers", "language": "C++", "code": "int add();"}
    file = _write(tmp_path / "pairs.jsonl", PAIR, other)
    one, two = _rows(read_rows(file, fields={}))
    assert (one.id, two.id) == ("pairs-0", "pairs-1")
    assert (one.language, two.language) == ("python", "cpp")
    assert (one.source, one.license) == ("pairs", "")
    assert one.group == two.group  # the same description up to case and blanks


def test_every_container_gives_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = [PAIR | {"id": f"a{n}", "group": f"g{n}", "source": "s"} for n in range(3)]
    expected = _rows(read_rows(_write(tmp_path / "1" / "a.jsonl", *values), fields={}))
    (tmp_path / "2").mkdir()
    with gzip.open(tmp_path / "2" / "a.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(v) + "\n" for v in values)
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "a.json").write_text(json.dumps(values, indent=1))
    (tmp_path / "4").mkdir()
    pq.write_table(pa.Table.from_pylist(values), tmp_path / "4" / "a.parquet")
    for number in (2, 3, 4):
        assert _rows(read_rows(tmp_path / str(number), fields={})) == expected
    assert _rows(read_rows(f"{tmp_path}/[12]/a.*", fields={})) == expected * 2


def test_field_mapping(tmp_path: Path) -> None:
    file = _write(tmp_path / "x.jsonl", {"prompt": "p q", "response": "code()", "language": "js"})
    (row,) = _rows(read_rows(file, fields={"text": "prompt", "code": "response"}))
    assert (row.text, row.code, row.language) == ("p q", "code()", "javascript")
    with pytest.raises(UserError, match="unknown field 'txt'"):
        list(read_rows(file, fields={"txt": "prompt"}))


def test_rows_in_unknown_languages_are_dropped(tmp_path: Path) -> None:
    strange = PAIR | {"language": "klingon"}
    file = _write(tmp_path / "x.jsonl", strange, PAIR, strange | {"id": "k", "language": None})
    one, row, two = read_rows(file, fields={})
    assert one == Drop("unknown language", "x-0", "x", 1, detail="'klingon'")
    assert two == Drop("unknown language", "k", "x", 3, detail="''")
    assert isinstance(row, Row)
    # Nothing but strangers: the wrong key was taken for the language.
    with pytest.raises(UserError, match=r"x\.jsonl:1: unknown language 'x y'") as caught:
        list(read_rows(_write(file, *[PAIR | {"t": "x y"}] * 2), fields={"language": "t"}))
    assert "fields: {language: " in caught.value.fix


def test_binary_columns_are_text_or_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def table(**columns: Any) -> Path:
        path = tmp_path / "x.parquet"
        pq.write_table(pa.table({name: [value] for name, value in columns.items()}), path)
        return path

    pair = PAIR | {"code": "print('\u00e9')".encode(), "blob": b"\xff"}
    (row,) = _rows(read_rows(table(**pair), fields={}))
    assert row.code == "print('\u00e9')"
    with pytest.raises(UserError, match=r"x\.parquet:1: 'blob' must be a string, found bytes"):
        list(read_rows(table(**pair), fields={"code": "blob"}))
    with pytest.raises(UserError, match="'code' must be a string, found datetime"):
        list(read_rows(table(**PAIR | {"code": datetime.date(2020, 1, 1)}), fields={}))
    wrong = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    pq.write_table(pa.table({"text": wrong}), tmp_path / "x.parquet")
    with pytest.raises(UserError, match=r"cannot read .*x\.parquet as Parquet"):
        list(read_rows(tmp_path / "x.parquet", fields={}))


def test_rows_without_code_are_dropped(tmp_path: Path) -> None:
    file = _write(tmp_path / "x.jsonl", PAIR, PAIR | {"code": " \n"}, PAIR | {"code": None})
    _, blank, null = read_rows(file, fields={})
    assert isinstance(blank, Drop)
    assert isinstance(null, Drop)
    assert (blank.reason, blank.id, blank.line, blank.language) == ("no code", "x-1", 2, "python")


def test_line_ends_and_lone_surrogates(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"text": "t \\ud800", "code": "\\r\\n  a\\r\\nb\\r\\n", "language": "go"}')
    (row,) = _rows(read_rows(file, fields={}))
    assert row.code == "  a\nb"
    row.text.encode("utf-8")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b'{"text": "a", "code": "b", "language": "go"}\n{"text": ', r"x\.jsonl:2: broken JSON"),
        (b'{"text": "a", "language": "go"}\n', r"x\.jsonl:1: no key 'code'; found the keys lang"),
        (b'{"text": "a", "code": "b"}\n', "no key 'language'"),
        (b'{"text": "a", "code": "b", "language": "klingon"}\n', r":1: unknown language 'klingon'"),
        (b'{"text": "a", "code": ["b"], "language": "go"}\n', "'code' must be a string"),
        (b"3\n", "expected one JSON object"),
        (b"[1]", "item 1 of the list"),
        (b'[{"text": "a"},\n\n{"text": }]', r"x\.jsonl:3: broken JSON"),
        (b'{"text": ' + b"1" * 5000 + b"}", r"x\.jsonl:1: broken JSON"),
        (b'{"text": "\xff"}', "not UTF-8"),
    ],
)
def test_bad_files_name_file_and_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        list(read_rows(file, fields={}))


def test_bad_places(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        list(read_rows(tmp_path / "nothing.jsonl", fields={}))
    with pytest.raises(UserError, match="no data in directory"):
        list(read_rows(tmp_path, fields={}))
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match="unknown kind"):
        list(read_rows(tmp_path / "x.xlsx", fields={}))
    (tmp_path / "x.parquet").write_bytes(b"not parquet")
    with pytest.raises(UserError, match="as Parquet"):
        list(read_rows(tmp_path / "x.parquet", fields={}))
    whole = gzip.compress(json.dumps(PAIR).encode())
    for content in (b"not gzip", whole[:-9], whole[:10] + b"\x07" + whole[11:]):
        (tmp_path / "x.jsonl.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"cannot read .*x\.jsonl\.gz"):
            list(read_rows(tmp_path / "x.jsonl.gz", fields={}))


# -- XLCoST ----------------------------------------------------------------------------------


def _xlcost(root: Path) -> Path:
    python = {"text": "Sum of two | Python3 program ; f", "code": "print ( 1 ) NEW_LINE"}
    cpp = {"text": "Sum of two | C ++ program ; f", "code": "int main ( ) { return 0 ; }"}
    _write(root / "data" / "Python-program-level" / "train.json", python, python | {"code": ""})
    _write(root / "data" / "C++-program-level" / "test.json", cpp)
    return root


def test_xlcost_folder(tmp_path: Path) -> None:
    # XLCoST has no Go: another source may hold it.
    items = list(read_xlcost(_xlcost(tmp_path), languages=["python", "go", "cpp"]))
    rows = [item for item in items if isinstance(item, Row)]
    assert [row.code for row in rows] == ["print(1)", "int main() {\n    return 0;\n}"]
    assert rows[0].group == rows[1].group  # the title is the problem
    assert rows[1].text == "Sum of two | C++ program ; f"
    assert [i.reason for i in items if isinstance(i, Drop)] == ["no code"]
    assert {row.id for row in rows} == {"xlcost-python-train-1", "xlcost-cpp-test-1"}
    only = _rows(read_xlcost(tmp_path / "data", languages=["cpp"]))
    assert [row.language for row in only] == ["cpp"]


def test_xlcost_bad_input(tmp_path: Path) -> None:
    _xlcost(tmp_path)
    with pytest.raises(UserError, match="no XLCoST data for java"):
        list(read_xlcost(tmp_path, languages=["java"]))
    for languages in (["rust"], ["go"], ["go", "rust"]):
        for path in (tmp_path, "a/b"):
            with pytest.raises(UserError, match=f"XLCoST has no {languages[0]}.*; it has: python"):
                list(read_xlcost(path, languages=languages))
    for path in (tmp_path / "nowhere", "no*where", "~/no/where"):
        with pytest.raises(UserError, match="does not exist"):
            list(read_xlcost(path, languages=["python"]))
    _write(tmp_path / "data" / "Python-program-level" / "train.json", {"code": "x"})
    with pytest.raises(UserError, match="no key 'text'"):
        list(read_xlcost(tmp_path, languages=["python"]))


def _fake_datasets(monkeypatch: pytest.MonkeyPatch, load: Any) -> None:
    module = types.ModuleType("datasets")
    module.load_dataset = load  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)


def test_xlcost_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def load(repo: str, config: str, **options: Any) -> list[dict[str, str]]:
        calls.append((repo, config, options["split"], options["revision"]))
        return [{"text": "t | c", "code": "x = 1 NEW_LINE"}]

    _fake_datasets(monkeypatch, load)
    rows = _rows(read_xlcost("a/b", languages=["python"], revision="abc"))
    splits = ("train", "validation", "test")
    assert calls == [("a/b", "Python-program-level", split, "abc") for split in splits]
    assert [row.id for row in rows] == [f"xlcost-python-{s}-1" for s in ("train", "valid", "test")]
    assert rows[0].code == "x = 1"


def test_xlcost_hub_without_script_support(monkeypatch: pytest.MonkeyPatch) -> None:
    files = []

    def load(repo: str, config: str | None = None, **options: Any) -> list[dict[str, str]]:
        if repo != "json":
            raise RuntimeError("Dataset scripts are no longer supported, but found b.py")
        files.append(options["data_files"])
        return [{"text": "t", "code": "x = 1 NEW_LINE"}]

    _fake_datasets(monkeypatch, load)
    _rows(read_xlcost("a/b", languages=["python"], revision="abc"))
    _rows(read_xlcost("a/b", languages=["csharp"]))
    assert files == [
        f"hf://datasets/{repo}/data/{folder}-program-level/{split}.json"
        for repo, folder in (("a/b@abc", "Python"), ("a/b", "C#"))
        for split in ("train", "valid", "test")
    ]


@pytest.mark.parametrize(
    ("error", "kind"),
    [(FileNotFoundError("Dataset 'a/b' not found"), UserError), (OSError("offline"), WorkError)],
)
def test_hub_errors_are_explained(
    monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type[UserError]
) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise error

    _fake_datasets(monkeypatch, load)
    with pytest.raises(UserError, match="a/b") as caught:
        list(read_xlcost("a/b", languages=["python"]))
    assert type(caught.value) is kind


@pytest.mark.parametrize("error", [OSError("reset"), ValueError("not JSON"), RuntimeError("gone")])
def test_a_hub_stream_that_breaks_off_is_explained(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def stream(*_: Any, **__: Any) -> Iterator[dict[str, str]]:
        yield {"content": DOCUMENTED}
        raise error

    _fake_datasets(monkeypatch, stream)
    with pytest.raises(WorkError, match=f"after row 1 of the hub data set o/s: .*{error}"):
        list(read_stack("o/s", languages=["python"]))


# -- The Stack -------------------------------------------------------------------------------

DOCUMENTED = '"""Add two whole numbers."""\n\ndef add(a, b):\n    return a + b\n'


def _stack(tmp_path: Path, **columns: Any) -> list[Row | Drop]:
    value = {"content": DOCUMENTED, "lang": "Python"} | columns
    file = _write(tmp_path / "s.jsonl", value)
    return list(read_stack(str(file), languages=list(LANGUAGES)))


def test_stack_takes_the_leading_description(tmp_path: Path) -> None:
    (row,) = _stack(tmp_path, max_stars_repo_licenses=["MIT", "BSD"], hexsha="abc")
    assert isinstance(row, Row)
    assert row.text == "Add two whole numbers."
    assert row.code == "def add(a, b):\n    return a + b"
    assert (row.id, row.license, row.source) == ("stack-abc", "MIT, BSD", "the-stack")


@pytest.mark.parametrize(
    ("language", "content", "text", "code"),
    [
        (
            "Java",
            "/* Copyright 2020 X. Licensed under Y */\n/**\n * Adds two numbers.\n */\nclass A {}",
            "Adds two numbers.",
            "class A {}",
        ),
        ("C++", "// Sorts an array\n// in place.\nint x;", "Sorts an array\nin place.", "int x;"),
        ("Python", "#!/bin/python\n# Count all words.\nx = 1", "", ""),
        ("Python", "# -*- coding: utf-8 -*-\n'''Count all the words.'''\nx = 1", "Count all", ""),
        ("JavaScript", "'use strict';\n// Reverse a list quickly\nf()", "Reverse a list", "'use"),
        ("Go", "package main\nfunc main() {}", "", ""),
    ],
)
def test_descriptions(tmp_path: Path, language: str, content: str, text: str, code: str) -> None:
    (item,) = _stack(tmp_path, lang=language, content=content)
    if text:
        assert isinstance(item, Row)
        assert item.text.startswith(text)
        assert item.code.startswith(code)
    else:
        assert isinstance(item, Drop)
        assert item.reason == "no description"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"avg_line_length": 100.5}, "average line too long"),
        ({"max_line_length": 1001}, "line too long"),
        ({"alphanum_fraction": 0.2}, "too few letters and digits"),
        ({"content": '"""A b c."""\nx = "' + "a" * 1001 + '"\n' + "y\n" * 50}, "line too long"),
        ({"content": '"""A b c."""\n' + ("a" * 110 + "\n") * 30}, "average line too long"),
        ({"content": '"""A b c."""\n' + "()[]{}\n" * 30}, "too few letters and digits"),
        ({"content": "# Auto-generated by x\n" + DOCUMENTED}, "auto-generated"),
        ({"content": " \n"}, "no code"),
        ({"lang": "Markdown"}, "unknown language"),
    ],
)
def test_stack_filters(tmp_path: Path, columns: dict[str, Any], reason: str) -> None:
    (drop,) = _stack(tmp_path, **columns)
    assert isinstance(drop, Drop)
    assert drop.reason == reason


def test_stack_languages_and_columns(tmp_path: Path) -> None:
    values = [{"content": DOCUMENTED, "lang": lang} for lang in ("Python", "Go", "Klingon")]
    file = str(_write(tmp_path / "s.jsonl", *values))
    row, other, unknown = read_stack(file, languages=["python"])
    assert isinstance(row, Row)
    assert isinstance(other, Drop)
    assert (other.reason, other.language) == ("language not in recipe", "go")
    assert isinstance(unknown, Drop)
    assert (unknown.reason, unknown.language, unknown.detail) == (
        "unknown language",
        "",
        "'Klingon'",
    )
    with pytest.raises(UserError, match="no column 'content'"):
        list(read_stack(str(_write(tmp_path / "t.jsonl", PAIR)), languages=["python"]))


def test_stack_hub_streams_one_folder_per_language(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def load(repo: str, config: str | None, **options: Any) -> list[dict[str, str]]:
        calls.append((repo, options["data_dir"], options["streaming"]))
        return [{"content": DOCUMENTED}] * 2

    _fake_datasets(monkeypatch, load)
    assert len(list(read_stack("o/s", languages=["python", "csharp"]))) == 4
    assert calls == [("o/s", "data/c-sharp", True), ("o/s", "data/python", True)]
