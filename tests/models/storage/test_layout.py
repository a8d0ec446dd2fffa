"""Headers of safetensors files: what is read, and how damage is told.

Run with: pytest tests/models/storage/test_layout.py
"""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from codemoe.errors import UserError
from codemoe.models.storage.layout import INDEX, SINGLE, read_header, read_layout

TENSORS = {
    "a": torch.arange(6, dtype=torch.float32).view(2, 3),
    "b": torch.ones(5, dtype=torch.bfloat16),
    "c": torch.tensor(3),
}


def test_the_bytes_lie_where_it_says(tmp_path: Path) -> None:
    file = tmp_path / SINGLE
    save_file(TENSORS, file)
    raw = file.read_bytes()
    for name, stored in read_layout(tmp_path).items():
        expected = TENSORS[name]
        assert stored.shape == tuple(expected.shape)
        found = raw[stored.start : stored.start + stored.num_bytes]
        assert found == expected.view(-1).view(torch.uint8).numpy().tobytes()


def test_shards_are_one_checkpoint(tmp_path: Path) -> None:
    save_file({"a": TENSORS["a"]}, tmp_path / "x-2.safetensors")
    save_file({"b": TENSORS["b"]}, tmp_path / "x-1.safetensors")
    index = {"weight_map": {"a": "x-2.safetensors", "b": "x-1.safetensors"}}
    (tmp_path / INDEX).write_text(json.dumps(index))
    assert list(read_layout(tmp_path)) == ["b", "a"]


def _refused(folder: Path, *parts: str) -> None:
    with pytest.raises(UserError) as error:
        read_layout(folder)
    for part in parts:
        assert part in str(error.value)


def test_a_file_cut_short_is_named(tmp_path: Path) -> None:
    file = tmp_path / SINGLE
    save_file(TENSORS, file)
    file.write_bytes(file.read_bytes()[:-3])
    _refused(tmp_path, str(file), "cut short")


@pytest.mark.parametrize(
    "content",
    [b"", b"1234567", b"\xff" * 64, (8).to_bytes(8, "little") + b"nothing!", b"\x02" + b"\0" * 7],
)
def test_what_is_no_safetensors_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SINGLE).write_bytes(content)
    _refused(tmp_path, SINGLE, "cannot read")


def test_headers_that_lie(tmp_path: Path) -> None:
    def write(entries: dict[str, object], data: int = 8) -> None:
        header = json.dumps(entries).encode()
        content = len(header).to_bytes(8, "little") + header + bytes(data)
        (tmp_path / SINGLE).write_bytes(content)

    write({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})
    _refused(tmp_path, "shape [3] takes 8 bytes")
    write({"a": {"dtype": "F4", "shape": [2], "data_offsets": [0, 8]}})
    _refused(tmp_path, "stored as F4")
    write({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})
    _refused(tmp_path, "out of place")
    write({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, -8]}})
    _refused(tmp_path, "cannot read")


def test_an_index_that_does_not_fit(tmp_path: Path) -> None:
    _refused(tmp_path, "holds no", SINGLE)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "gone.safetensors"}}))
    _refused(tmp_path, "gone.safetensors", "missing")
    save_file({"b": TENSORS["b"]}, tmp_path / "gone.safetensors")
    _refused(tmp_path, "promises a")
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "../out.safetensors"}}))
    _refused(tmp_path, "outside of its folder")
    (tmp_path / INDEX).write_text("{")
    _refused(tmp_path, INDEX)


def test_the_library_reads_the_same(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / SINGLE)
    with safe_open(tmp_path / SINGLE, "pt") as opened:
        names = set(opened.keys())
    assert set(read_header(tmp_path / SINGLE)) == names
