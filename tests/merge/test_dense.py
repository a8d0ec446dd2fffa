"""Dense merges of adapters: exact task vectors, not merged low-rank factors."""

from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from codemoe.errors import UserError
from codemoe.merge.dense import merge_into
from codemoe.merge.methods import average
from codemoe.models.load import load_base
from codemoe.models.reference import BaseReference
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model


@pytest.mark.parametrize(("model_type", "target"), [("llama", "mlp"), ("gpt2", "both")])
def test_merging_one_expert_is_that_expert(tmp_path: Path, model_type: str, target: str) -> None:
    """Also where the weights are stored the other way round, and some of them are square."""
    base = save_checkpoint(tiny_model(model_type), tmp_path / "base")
    adapter = random_adapter(base, tmp_path / "one", target, 3, 1)
    merge_into(load_base(BaseReference(str(base))), [adapter], average, tmp_path / "out", "one")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    alone = peft.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter)
    )
    ids_BT = torch.randint(3, 400, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        difference = merged(input_ids=ids_BT).logits - alone(input_ids=ids_BT).logits
    assert difference.abs().max() <= 1e-5


def test_the_average_of_two_is_half_the_sum_of_their_updates(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    adapters = [random_adapter(base, tmp_path / n, "mlp", 3, i) for i, n in enumerate("ab")]
    merge_into(load_base(BaseReference(str(base))), adapters, average, tmp_path / "out", "ab")
    path = "model.layers.1.mlp.down_proj"
    expected = AutoModelForCausalLM.from_pretrained(base).get_submodule(path).weight.clone()
    for adapter in adapters:
        model = peft.PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base), str(adapter)
        )
        layer = model.base_model.model.get_submodule(path)
        expected += layer.get_delta_weight("default") / 2
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out").get_submodule(path).weight
    assert torch.allclose(found, expected, atol=1e-6)


def test_an_adapter_for_another_base_is_refused_before_any_weight_changes(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    other = save_checkpoint(tiny_model("gpt2"), tmp_path / "other")
    adapters = [
        random_adapter(base, tmp_path / "own", "mlp", 3, 1),
        random_adapter(other, tmp_path / "foreign", "mlp", 3, 2),
    ]
    model = load_base(BaseReference(str(base)))
    before = {name: p.clone() for name, p in model.model.state_dict().items()}
    with pytest.raises(UserError, match="foreign"):
        merge_into(model, adapters, average, tmp_path / "out", "both")
    assert all(torch.equal(p, before[name]) for name, p in model.model.state_dict().items())
    assert not (tmp_path / "out").exists()
