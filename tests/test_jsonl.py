"""The one reader of JSONL: what it reads, and that no defect of a file is a traceback."""

import gzip
import json
from pathlib import Path

import pytest

from codemoe.errors import UserError
from codemoe.jsonl import read_jsonl

ROWS = b'{"a": 1}\n{"a": 2}\n'


def test_blank_lines_marks_and_separators(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'\xef\xbb\xbf\n{"a": "\xe2\x80\xa8"}\r\n\n{"a": 2}')
    assert list(read_jsonl(file)) == [(2, {"a": "\u2028"}), (4, {"a": 2})]
    packed = tmp_path / "x.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert list(read_jsonl(packed)) == list(read_jsonl(file))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "x.jsonl is empty"),
        (b"\n \n", "x.jsonl is empty"),
        (ROWS + b'{"a": ', "x.jsonl:3: broken JSON: "),
        (ROWS + b'{\n{"a": 3}\n', "x.jsonl:3: broken JSON: "),
        (ROWS + b"[1]", "x.jsonl:3: expected a JSON object, found list"),
        (ROWS + b'{"a": "\xff"}', "x.jsonl:3: not UTF-8 text"),
        (ROWS + b'{"a": ' + b"9" * 4301 + b"}", "x.jsonl:3: broken JSON: "),
        (ROWS + b"[" * 100_000, "x.jsonl:3: broken JSON: "),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_broken_lines_are_named(tmp_path: Path, content: bytes, what: str, packed: bool) -> None:
    file = tmp_path / ("x.jsonl.gz" if packed else "x.jsonl")
    file.write_bytes(gzip.compress(content) if packed else content)
    with pytest.raises(UserError) as caught:
        list(read_jsonl(file, "do this"))
    assert what.replace("x.jsonl", str(file)) in caught.value.what
    assert caught.value.fix == "do this"


def test_broken_archives_are_named(tmp_path: Path) -> None:
    whole = gzip.compress(json.dumps({"a": 1}).encode())
    broken = {
        "no archive": b"plain",
        "cut": whole[:-9],
        "a block of no known type": whole[:10] + b"\x07" + whole[11:],
        "another checksum": whole[:-8] + b"\0" * 8,
    }
    for content in broken.values():
        (tmp_path / "x.jsonl.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"x\.jsonl\.gz: not a complete gzip file \(after line"):
            list(read_jsonl(tmp_path / "x.jsonl.gz"))


def test_files_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UserError, match="cannot read"):
            list(read_jsonl(path))
