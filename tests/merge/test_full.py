"""Full-MLP experts merged: the methods see whole weights, and what no expert has is the base's."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from codemoe.errors import UserError
from codemoe.merge.dense import merge_adapters, method_recipe
from codemoe.models.load import load_base
from codemoe.models.reference import BaseReference
from codemoe.models.storage.full_expert import WEIGHTS
from tests.models.full import random_full
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model


@pytest.mark.parametrize("model_type", ["mistral", "gpt_neo"])
def test_the_average_is_the_mean_of_the_experts(model_type: str, tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model(model_type), tmp_path / "base")
    folders = [random_full(base, tmp_path / f"e{i}", i) for i in range(3)]
    (tmp_path / "out").mkdir()
    merge_adapters(
        base, folders, method_recipe("average", 3, 0.5, 1.0), tmp_path / "out", "average"
    )
    merged = load_base(BaseReference(str(tmp_path / "out"))).model.state_dict()
    own = load_base(BaseReference(str(base))).model.state_dict()
    experts = [load_file(folder / WEIGHTS) for folder in folders]
    for name, value in merged.items():
        if name in experts[0]:
            mean = sum(one[name] for one in experts) / 3
            assert (value - mean).abs().max() <= 1e-6, name
            assert not torch.equal(value, own[name])
        else:
            assert torch.equal(value, own[name]), name


def test_ties_of_one_whole_expert_at_density_one_is_that_expert(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    expert = random_full(base, tmp_path / "e", 0)
    (tmp_path / "out").mkdir()
    merge_adapters(base, [expert], method_recipe("ties", 1, 1.0, 1.0), tmp_path / "out", "ties")
    merged = load_file(tmp_path / "out" / "model.safetensors")
    for name, value in load_file(expert / WEIGHTS).items():
        assert (merged[name] - value).abs().max() <= 1e-6


def test_with_an_adapter_and_with_what_does_not_fit(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    folders = [random_full(base, tmp_path / "full", 0)]
    folders.append(random_adapter(base, tmp_path / "lora", "both", 2, 1))
    (tmp_path / "out").mkdir()
    merge_adapters(
        base, folders, method_recipe("average", 2, 0.5, 1.0), tmp_path / "out", "average"
    )
    assert (tmp_path / "out" / "model.safetensors").is_file()
    wider = save_checkpoint(tiny_model("mistral", intermediate_size=64), tmp_path / "wider")
    with pytest.raises(UserError, match="does not have in this shape"):
        merge_adapters(
            wider, folders[:1], method_recipe("average", 1, 0.5, 1.0), tmp_path / "x", "average"
        )
