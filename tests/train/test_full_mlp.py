"""Full-MLP experts are trained where they act, and only they; recipes that cannot are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codemoe.artifacts import CHECKPOINTS
from codemoe.errors import UserError
from codemoe.models.architectures import ARCHITECTURES
from codemoe.models.load import load_base, load_model
from codemoe.models.reference import BaseReference
from codemoe.models.storage.full_expert import WEIGHTS
from codemoe.recipe_file import make_recipe
from codemoe.train.activation import ActivationMask
from codemoe.train.full_mlp import own_names, restore, save, wrap
from codemoe.train.sharding import trained
from tests.models.full import changed_mlps, dense_of, random_full
from tests.models.tiny import save_checkpoint, tiny_model
from tests.train.training import train_expert


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(tiny_model("mistral"), tmp_path_factory.mktemp("full") / "base")


def test_what_is_trained_is_the_mlps_and_the_base_stays(base: Path, tmp_path: Path) -> None:
    before = (base / "model.safetensors").read_bytes()
    out = train_expert(base, tmp_path / "out", full=True, learning_rate=1e-3)
    assert (base / "model.safetensors").read_bytes() == before
    found = load_file(out / WEIGHTS)
    own = {n: v for n, v in load_file(base / "model.safetensors").items() if ".mlp." in n}
    assert found.keys() == own.keys()
    assert all(not torch.equal(value, own[name]) for name, value in found.items())
    told = json.loads((out / "training.json").read_text())
    assert told["trainable_parameters"] == sum(v.numel() for v in own.values())
    losses = [json.loads(row)["loss"] for row in (out / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    # A checkpoint holds the expert, not the base again.
    checkpoint = next((out / CHECKPOINTS).iterdir())
    names = {path.name for path in checkpoint.glob("*.safetensors")}
    assert names == {WEIGHTS}
    assert load_model(str(out)).mixture is not None


@pytest.mark.parametrize("model_type", sorted(ARCHITECTURES))
def test_it_acts_where_the_mask_says(model_type: str, tmp_path: Path) -> None:
    """The expert, alone, behind the marker; before it the base: by hand, layer by layer."""
    folder = save_checkpoint(tiny_model(model_type), tmp_path / "base")
    expert = random_full(folder, tmp_path / "one", 0)
    model = wrap(load_base(BaseReference(str(folder))).model)
    mask = ActivationMask(model)
    ids_BT = torch.randint(3, 400, (2, 11), generator=torch.Generator().manual_seed(0))
    bare = load_base(BaseReference(str(folder))).model
    with torch.no_grad():
        assert (model(ids_BT).logits - bare(ids_BT).logits).abs().max() <= 1e-5
        restore(model, expert)
        alone = dense_of(folder, expert)(ids_BT).logits
        assert (model(ids_BT).logits - alone).abs().max() <= 1e-5
        active_BT1 = torch.zeros(2, 11, 1)
        with mask.on(active_BT1):
            assert (model(ids_BT).logits - bare(ids_BT).logits).abs().max() <= 1e-5
        active_BT1[0, 4:] = active_BT1[1, 7:] = 1
        with mask.on(active_BT1):
            found = model(ids_BT).logits
        from codemoe.models.load import attach_experts

        moe = attach_experts(load_base(BaseReference(str(folder))), {"one": expert}, "all")
        assert moe.mixture is not None
        with moe.mixture.layers.use(active_BT1):
            assert (moe.model(ids_BT).logits - found).abs().max() <= 1e-5


def _trained(model: Any) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if p.requires_grad]


def test_only_active_tokens_teach_the_expert(base: Path) -> None:
    model = wrap(load_base(BaseReference(str(base))).model)
    mask = ActivationMask(model)
    ids_BT = torch.arange(3, 23).view(2, 10)
    with mask.on(torch.zeros(2, 10, 1)):
        model(ids_BT).logits.sum().backward()
    # No token: a gradient, of zero, so that processes which train together do not wait.
    assert all(p.grad is not None and not p.grad.any() for p in _trained(model))
    with mask.on(torch.ones(2, 10, 1)):
        model(ids_BT).logits.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in _trained(model))
    assert all(p.grad is None for n, p in model.named_parameters() if ".expert." not in n)


def test_saved_and_restored(base: Path, tmp_path: Path) -> None:
    random_full(base, tmp_path / "one", 3)
    model = wrap(load_base(BaseReference(str(base))).model)
    restore(model, tmp_path / "one")
    assert set(own_names(model).values()) == changed_mlps(base, 3).keys()
    save(model, trained(model), tmp_path / "two")
    assert (tmp_path / "two" / "mlp_expert.json").read_text() == (
        tmp_path / "one" / "mlp_expert.json"
    ).read_text()
    one, two = (load_file(tmp_path / name / WEIGHTS) for name in ("one", "two"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    save(model, trained(model), tmp_path / "half", torch.bfloat16)
    assert {v.dtype for v in load_file(tmp_path / "half" / WEIGHTS).values()} == {torch.bfloat16}


def _recipe(**changes: Any) -> Any:
    return make_recipe({"name": "x", "base": {"model": "builtin"}} | changes)


def test_recipes() -> None:
    full = _recipe(experts={"method": "full"})
    assert full.experts.in_mlps
    with pytest.raises(UserError, match="full, which has no low-rank factors"):
        _recipe(experts={"method": "full", "lora": {"rank": 8}})
    with pytest.raises(UserError, match="4-bit weights are not"):
        _recipe(experts={"method": "full"}, base={"model": "builtin", "quantization": "4bit"})
    assert not _recipe(experts={"lora": {"target": "both"}}).experts.in_mlps
