"""Experts that exist already: adapters as they are, the MLPs of fine-tunes, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codemoe.errors import UserError
from codemoe.models.load import attach_experts, load_base
from codemoe.models.reference import BaseReference
from codemoe.models.storage.full_expert import WEIGHTS
from codemoe.recipe_file import make_recipe
from codemoe.train.existing import adopt
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model


def _adopted(tmp_path: Path, checkpoint: Path, **experts: Any) -> Path:
    out = tmp_path / "adopted"
    out.mkdir(exist_ok=True)
    about = {"languages": ["python"], "checkpoint": str(checkpoint)}
    moe = experts.pop("moe", {})
    recipe = make_recipe(
        {
            "name": "x",
            "languages": ["python"],
            "base": {"model": str(tmp_path / "base")},
            "experts": {"define": {"python": about}} | experts,
            "moe": moe,
        }
    )
    reference = BaseReference(str(tmp_path / "base"))
    adopt(recipe, "python", recipe.experts.define["python"], reference, out)
    return out


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save_checkpoint(tiny_model("mistral"), tmp_path / "base")


def test_adapters(base: Path, tmp_path: Path) -> None:
    adapter = random_adapter(base, tmp_path / "adapter", "mlp", 2, 0)
    out = _adopted(tmp_path, adapter)
    name = "adapter_model.safetensors"
    assert (out / name).read_bytes() == (adapter / name).read_bytes()
    assert json.loads((out / "training.json").read_text())["languages"] == ["python"]
    with pytest.raises(UserError, match="is a LoRA adapter, and"):
        _adopted(tmp_path, adapter, method="full")
    both = random_adapter(base, tmp_path / "both", "both", 2, 0)
    with pytest.raises(UserError, match="also adapts"):
        _adopted(tmp_path, both)
    _adopted(tmp_path, both, lora={"target": "both"})
    _adopted(tmp_path, both, moe={"parts": "mlp"})


def test_the_mlps_of_a_fine_tune_are_that_expert(base: Path, tmp_path: Path) -> None:
    tuned = tiny_model("mistral", seed=1)
    whole = tiny_model("mistral")
    rest = {k: v for k, v in whole.state_dict().items() if ".mlp." not in k}
    tuned.load_state_dict(rest, strict=False)
    save_checkpoint(tuned, tmp_path / "tuned")
    out = _adopted(tmp_path, tmp_path / "tuned", method="full")
    assert json.loads((out / "left_out.json").read_text())["left_out"] == []
    model = attach_experts(load_base(BaseReference(str(base))), {"python": out}, "all")
    ids = torch.tensor([[5, 6, 7, 8]])
    assert model.mixture is not None
    with model.mixture.layers.use(torch.ones(1, 1, 1)), torch.no_grad():
        assert torch.allclose(model.model(ids).logits, tuned(ids).logits, atol=1e-5)


def test_what_a_fine_tune_changed_elsewhere_is_told(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tiny_model("mistral", seed=1), tmp_path / "tuned")
    out = _adopted(tmp_path, tmp_path / "tuned", method="full")
    left = json.loads((out / "left_out.json").read_text())["left_out"]
    assert any("q_proj" in name for name in left)
    assert "outside of MLPs" in capsys.readouterr().err
    assert all(".mlp." in name for name in load_file(out / WEIGHTS))


def test_what_is_no_fine_tune_of_the_base(base: Path, tmp_path: Path) -> None:
    save_checkpoint(tiny_model("mistral", intermediate_size=64), tmp_path / "wider")
    with pytest.raises(UserError, match="as the base"):
        _adopted(tmp_path, tmp_path / "wider", method="full")
    with pytest.raises(UserError, match="holds no adapter"):
        _adopted(tmp_path, tmp_path / "wider")
    with pytest.raises(UserError, match="neither as a folder here nor on the hub"):
        _adopted(tmp_path, tmp_path / "nowhere")
