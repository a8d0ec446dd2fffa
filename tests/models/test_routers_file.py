"""router.safetensors: the same routers are the same bytes, and what does not fit is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from codemoe.errors import UserError
from codemoe.models.routers_file import SequenceRouter, load_routers, save_routers
from codemoe.routing.routers import ROUTERS, LinearRouter, SigmoidRouter, build_router

NAMES = ["a", "b", "c"]


def _sequence() -> SequenceRouter:
    generator = torch.Generator().manual_seed(0)
    return SequenceRouter(1, LinearRouter(torch.randn(3, 8, generator=generator), torch.ones(3)))


def _gates(kind: str = "top-1", number: int = 2) -> list[LinearRouter]:
    generator = torch.Generator().manual_seed(1)
    return [
        build_router(kind, torch.randn(3, 4, generator=generator), top_k=2, capacity_factor=1.5)
        for _ in range(number)
    ]


def test_save_load_save_is_byte_stable(tmp_path: Path) -> None:
    sequence, gates = _sequence(), _gates()
    for i in range(8):
        save_routers(tmp_path / f"{i}.safetensors", NAMES, sequence, gates)
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(8)}) == 1
    loaded, loaded_gates = load_routers(tmp_path / "0.safetensors", NAMES, 2, 4)
    assert loaded is not None
    assert loaded.layer == 1
    assert torch.equal(loaded.router.weight, sequence.router.weight)
    save_routers(tmp_path / "again.safetensors", NAMES, loaded, loaded_gates)
    again = (tmp_path / "again.safetensors").read_bytes()
    assert again == (tmp_path / "0.safetensors").read_bytes()


@pytest.mark.parametrize("kind", ROUTERS)
def test_every_kind_keeps_its_options_and_all_its_tensors(tmp_path: Path, kind: str) -> None:
    gates = _gates(kind)
    for gate in gates:
        for tensor in gate.state_dict().values():
            tensor.add_(torch.arange(tensor.numel()).view_as(tensor) / 7)
    save_routers(tmp_path / "r.safetensors", NAMES, None, gates)
    _, loaded = load_routers(tmp_path / "r.safetensors", NAMES, 2, 4)
    x_ND = torch.randn(9, 4, generator=torch.Generator().manual_seed(2))
    for gate, again in zip(gates, loaded, strict=True):
        assert type(again) is type(gate)
        assert not again.training
        for name, tensor in gate.state_dict().items():
            assert torch.equal(again.state_dict()[name], tensor), name
        if kind != "expert-choice":
            assert torch.equal(again(x_ND).gates_NE(), gate.eval()(x_ND).gates_NE())
        options = {k: v for k, v in vars(gate).items() if k in ("top_k", "capacity_factor")}
        assert options.items() <= vars(again).items()
    if kind == "sigmoid":
        assert isinstance(loaded[0], SigmoidRouter)
        assert loaded[0].balance_bias.any()


def test_a_router_without_sequence_part(tmp_path: Path) -> None:
    save_routers(tmp_path / "r.safetensors", NAMES, None, _gates())
    sequence, loaded = load_routers(tmp_path / "r.safetensors", NAMES, 2, 4)
    assert sequence is None
    assert len(loaded) == 2


def test_layers_before_the_first_gate_have_none(tmp_path: Path) -> None:
    save_routers(tmp_path / "r.safetensors", NAMES, None, [None, *_gates()])
    _, loaded = load_routers(tmp_path / "r.safetensors", NAMES, 3, 4)
    assert [gate is None for gate in loaded] == [True, False, False]


def test_a_shared_gate_is_stored_once_and_stays_one(tmp_path: Path) -> None:
    (gate,) = _gates(number=1)
    path = tmp_path / "r.safetensors"
    save_routers(path, NAMES, None, [None, gate, gate])
    assert set(load_file(path)) == {"token.shared.weight"}
    _, loaded = load_routers(path, NAMES, 3, 4)
    assert loaded[0] is None
    assert loaded[1] is loaded[2]


def _without(path: Path, *names: str) -> None:
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    save_file({k: t for k, t in load_file(path).items() if k not in names}, path, metadata)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.safetensors"
    save_routers(path, NAMES, _sequence(), _gates())
    with pytest.raises(UserError, match="routes to a, b, c but the mixture has a, b, c, d"):
        load_routers(path, [*NAMES, "d"], 2, 4)
    with pytest.raises(UserError, match="routes to a, b, c but the mixture has c, b, a"):
        load_routers(path, NAMES[::-1], 2, 4)
    with pytest.raises(UserError, match=r"sequence\.weight is \(3, 8\) .*\(3, 10\)"):
        load_routers(path, NAMES, 2, 5)
    with pytest.raises(UserError, match=r"lacks the token gates of layers \[2\]"):
        load_routers(path, NAMES, 3, 4)
    with pytest.raises(UserError, match="reads layer 1 but the base has 1 layers"):
        load_routers(path, NAMES, 1, 4)
    _without(path, "token.1.weight")
    with pytest.raises(UserError, match=r"lacks the token gates of layers \[1\]"):
        load_routers(path, NAMES, 2, 4)
    _without(path, "sequence.weight")
    with pytest.raises(UserError, match=r"lacks the tensor sequence\.weight"):
        load_routers(path, NAMES, 2, 4)
    save_routers(path, NAMES, None, _gates("sigmoid"))
    _without(path, "token.0.balance_bias")
    with pytest.raises(UserError, match="balance_bias"):
        load_routers(path, NAMES, 2, 4)
    save_file(load_file(path), path)
    with pytest.raises(UserError, match="does not say what its tensors are"):
        load_routers(path, NAMES, 2, 4)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(UserError, match="cannot read the router"):
        load_routers(path, NAMES, 2, 4)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"token": {}}, "token.router"),
        ({"sequence": {}}, "sequence.layer"),
        ({"sequence": {"layer": -1}}, "sequence.layer"),
        ({"token": {"router": {"kind": "top-1", "x": 1}, "layers": [0], "shared": False}}, "x"),
        ({"token": {"router": {"kind": "top-1"}, "layers": [], "shared": False}}, "token.layers"),
        ({"experts": "abc"}, "experts"),
    ],
)
def test_damaged_metadata_is_named(tmp_path: Path, change: dict, part: str) -> None:
    path = tmp_path / "r.safetensors"
    save_routers(path, NAMES, _sequence(), _gates())
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["routers"])
    save_file(load_file(path), path, {"routers": json.dumps(about | change)})
    with pytest.raises(UserError, match=f"does not say what its tensors are .*{part}"):
        load_routers(path, NAMES, 2, 4)


def test_numbers_that_are_none(tmp_path: Path) -> None:
    gates = _gates()
    with torch.no_grad():
        gates[1].weight[0, 0] = float("nan")
    save_routers(tmp_path / "r.safetensors", NAMES, None, gates)
    with pytest.raises(UserError, match=r"token\.1\.weight holds values that are no numbers"):
        load_routers(tmp_path / "r.safetensors", NAMES, 2, 4)
