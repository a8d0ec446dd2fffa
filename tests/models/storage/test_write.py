"""The streaming writer: the same bytes for any number of threads, true hashes, resumed shards.

Run with: pytest tests/models/storage/test_write.py
"""

import errno
import hashlib
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from codemoe.errors import UserError
from codemoe.models.storage.copy import copied
from codemoe.models.storage.layout import SINGLE, read_layout
from codemoe.models.storage.read import Files
from codemoe.models.storage.write import Tensor, _reserve, lay_out, write_index, write_shards


def _pieces(seed: int, count: int, slow: float = 0.0) -> Iterator[np.ndarray]:
    random = np.random.default_rng(seed)
    for first in range(0, count, 1000):
        time.sleep(slow)
        size = min(1000, count - first)
        yield random.standard_normal(size, np.float32).view(np.uint8)


def plan(slow: float = 0.0) -> list[Tensor]:
    counts = [17, 5000, 1, 120_000, 3000, 3000, 9, 40_000]
    return [
        Tensor(f"t{i}", "F32", (n,), partial(_pieces, i, n, slow), computed=bool(i % 2))
        for i, n in enumerate(counts)
    ]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("shard_bytes", [50_000, 10**9])
def test_the_same_bytes_for_any_number_of_threads(tmp_path: Path, shard_bytes: int) -> None:
    made = []
    for threads in (1, 2, 5):
        folder = tmp_path / str(threads)
        folder.mkdir()
        shards = lay_out(plan(slow=0.0005 if threads > 1 else 0), shard_bytes)
        hashes = write_shards(shards, folder, threads=threads)
        write_index(shards, folder)
        made.append(content(folder))
        for file, sha256 in hashes.items():
            assert hashlib.sha256(made[-1][file]).hexdigest() == sha256
    assert made[0] == made[1] == made[2]


def test_the_library_reads_it(tmp_path: Path) -> None:
    (shard,) = lay_out(plan(), 10**9)
    write_shards([shard], tmp_path)
    loaded = load_file(tmp_path / SINGLE)
    for seed, tensor in enumerate(plan()):
        expected = np.concatenate([p.copy() for p in _pieces(seed, tensor.shape[0])])
        assert np.array_equal(loaded[tensor.name].numpy().view(np.uint8), expected)


def test_wide_numbers_come_first_so_that_all_are_aligned(tmp_path: Path) -> None:
    save_file({"odd": torch.ones(3).bfloat16(), "wide": torch.ones(4)}, tmp_path / SINGLE)
    files, layout = Files(), read_layout(tmp_path)
    tensors = [copied(files, layout[name], name) for name in ("odd", "wide")]
    out = tmp_path / "out"
    out.mkdir()
    write_shards(lay_out(tensors, 10**9), out)
    assert all(s.start % 8 == 0 for s in read_layout(out).values() if s.dtype == "F32")
    assert load_file(out / SINGLE)["odd"].tolist() == [1, 1, 1]


def test_shards_are_at_most_so_large() -> None:
    shards = lay_out(plan(), 100_000)
    assert all(s.num_bytes <= 100_000 or len(s.tensors) == 1 for s in shards)
    assert [t.name for s in shards for t in s.tensors] == [t.name for t in plan()]


@pytest.mark.parametrize("slack", [0, 500, 9_000])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_shards_are_about_equally_large(count: int, slack: int) -> None:
    """Each thread fills a file: the slowest one is what a merge waits for."""
    sizes = [65_000, *[2_000, 2_000, 9_000, 9_000, 9_000] * 30, 65_000]
    tensors = [Tensor(f"t{i}", "U8", (n,), partial(_pieces, i, n)) for i, n in enumerate(sizes)]
    most = -(-sum(sizes) // count) + slack
    made = [shard.num_bytes for shard in lay_out(tensors, most)]
    assert max(made) <= most
    assert count <= len(made) <= count + 1  # tensors cannot be cut
    assert max(made) - min(made) <= 2 * 65_000
    assert min(made) > most / 3


def test_many_small_tensors_leave_no_small_files() -> None:
    tensors = [Tensor(f"t{i}", "U8", (7,), partial(_pieces, i, 7)) for i in range(160)]
    made = [shard.num_bytes for shard in lay_out(tensors, 69)]
    assert len(made) <= 19  # 18 hold them all
    assert min(made) >= 49


def test_a_disk_that_is_too_small_is_an_error_before_anything_is_made(tmp_path: Path) -> None:
    with (tmp_path / "probe").open("w") as probe:
        try:
            _reserve(probe.fileno(), 1 << 60)
        except OSError:
            pass
        else:
            pytest.skip("this file system takes no room beforehand")

    def never() -> Iterator[np.ndarray]:
        raise AssertionError("asked for")
        yield

    huge = lay_out([Tensor("huge", "U8", (1 << 60,), never)], 1 << 61)
    with pytest.raises(OSError, match=r"space|too large") as error:
        write_shards(huge, tmp_path)
    assert error.value.errno in (errno.ENOSPC, errno.EFBIG)


def test_shards_of_an_earlier_attempt_are_kept(tmp_path: Path) -> None:
    shards = lay_out(plan(), 50_000)
    hashes = write_shards(shards, tmp_path)
    kept, count = shards[0].file, []
    (tmp_path / kept).write_bytes(b"not touched")
    again = write_shards(shards, tmp_path, written={kept: "x"}, on_bytes=count.append)
    assert (tmp_path / kept).read_bytes() == b"not touched"
    assert again == hashes | {kept: "x"}
    assert sum(count) == sum(s.num_bytes for s in shards[1:])


def test_an_error_of_a_thread_ends_the_others(tmp_path: Path) -> None:
    def broken() -> Iterator[np.ndarray]:
        raise UserError("broken tensor")
        yield

    tensors = [*plan(slow=0.01), Tensor("bad", "F32", (4,), broken, computed=True)]
    with pytest.raises(UserError, match="broken tensor"):
        write_shards(lay_out(tensors, 50_000), tmp_path, threads=3)


def test_a_copy_names_file_and_tensor_of_a_nan(tmp_path: Path) -> None:
    weights = torch.ones(700_000)
    weights[600_000] = float("nan")
    save_file({"fine": torch.ones(3), "bad.weight": weights.bfloat16()}, tmp_path / SINGLE)
    layout, out = read_layout(tmp_path), tmp_path / "out"
    out.mkdir()
    tensors = [copied(Files(), stored, name) for name, stored in layout.items()]
    with pytest.raises(UserError) as error:
        write_shards(lay_out(tensors, 10**9), out, threads=2)
    assert str(tmp_path / SINGLE) in str(error.value)
    assert "bad.weight" in str(error.value)
