"""router.safetensors: the same routers are the same bytes, and what does not fit is refused."""

from pathlib import Path

import pytest
import torch

from codemoe.errors import UserError
from codemoe.models.load import SequenceRouter, load_routers, save_routers
from codemoe.routing.routers import LinearRouter


def _routers() -> tuple[SequenceRouter, list[LinearRouter]]:
    generator = torch.Generator().manual_seed(0)
    sequence = LinearRouter(torch.randn(3, 8, generator=generator), torch.ones(3))
    gates = [LinearRouter(torch.randn(3, 4, generator=generator)) for _ in range(2)]
    return SequenceRouter(1, sequence), gates


def test_save_load_save_is_byte_stable(tmp_path: Path) -> None:
    sequence, gates = _routers()
    for i in range(8):
        save_routers(tmp_path / f"{i}.safetensors", sequence, gates)
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(8)}) == 1
    loaded, loaded_gates = load_routers(tmp_path / "0.safetensors", 3, 2)
    assert loaded is not None
    assert loaded.layer == 1
    assert torch.equal(loaded.router.weight, sequence.router.weight)
    save_routers(tmp_path / "again.safetensors", loaded, loaded_gates)
    again = (tmp_path / "again.safetensors").read_bytes()
    assert again == (tmp_path / "0.safetensors").read_bytes()


def test_a_router_without_sequence_part(tmp_path: Path) -> None:
    _, gates = _routers()
    save_routers(tmp_path / "r.safetensors", None, gates)
    sequence, loaded = load_routers(tmp_path / "r.safetensors", 3, 2)
    assert sequence is None
    assert len(loaded) == 2


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    sequence, gates = _routers()
    path = tmp_path / "r.safetensors"
    save_routers(path, sequence, gates)
    with pytest.raises(UserError, match="routes to 3 experts but the mixture has 4"):
        load_routers(path, 4, 2)
    with pytest.raises(UserError, match=r"lacks the token gates of layers \[2\]"):
        load_routers(path, 3, 3)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="cannot read the router"):
        load_routers(path, 3, 2)
