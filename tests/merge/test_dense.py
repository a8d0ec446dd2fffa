"""Dense merges of adapters: exact task vectors, not merged low-rank factors."""

from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from codemoe.errors import UserError
from codemoe.merge.dense import merge_adapters, method_recipe
from codemoe.models.adapters import load_adapter
from codemoe.models.storage.layout import read_layout
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model


def average(count: int) -> dict[str, object]:
    return method_recipe("average", count, density=1.0, weight=1.0)


@pytest.mark.parametrize(("model_type", "target"), [("llama", "mlp"), ("gpt2", "both")])
def test_merging_one_expert_is_that_expert(tmp_path: Path, model_type: str, target: str) -> None:
    """Also where the weights are stored the other way round, and some of them are square."""
    base = save_checkpoint(tiny_model(model_type), tmp_path / "base")
    adapter = random_adapter(base, tmp_path / "one", target, 3, 1)
    (tmp_path / "out").mkdir()
    merge_adapters(base, [adapter], average(1), tmp_path / "out", "one")
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
    (tmp_path / "out").mkdir()
    merge_adapters(base, adapters, average(2), tmp_path / "out", "ab")
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


def test_ties_of_two_is_the_method_on_their_exact_updates(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    adapters = [random_adapter(base, tmp_path / n, "mlp", 3, i) for i, n in enumerate("ab")]
    (tmp_path / "out").mkdir()
    merge_adapters(base, adapters, method_recipe("ties", 2, 0.3, 0.8), tmp_path / "out", "ties")
    path = "model.layers.0.mlp.up_proj"
    deltas = [load_adapter(a)[path].b_OR @ load_adapter(a)[path].a_RD for a in adapters]
    expected = peft.utils.merge_utils.ties(deltas, torch.ones(2), 0.3) * 0.8
    before = AutoModelForCausalLM.from_pretrained(base).get_submodule(path).weight
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "out").get_submodule(path).weight
    assert torch.allclose(found, before + expected, atol=1e-6)


def test_the_result_is_written_in_float32_and_the_rest_is_copied(tmp_path: Path) -> None:
    """float16 would round updates away; bfloat16 stays, for a GPU computes in it anyway."""
    for dtype, expected in ((torch.float16, "F32"), (torch.bfloat16, "BF16")):
        base = save_checkpoint(tiny_model("llama").to(dtype), tmp_path / f"base-{expected}")
        adapter = random_adapter(base, tmp_path / f"one-{expected}", "mlp", 3, 1)
        out = tmp_path / f"out-{expected}"
        out.mkdir()
        merge_adapters(base, [adapter], average(1), out, "one")
        assert {stored.dtype for stored in read_layout(out).values()} == {expected}


def test_an_adapter_for_another_base_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    other = save_checkpoint(tiny_model("gpt2"), tmp_path / "other")
    adapters = [
        random_adapter(base, tmp_path / "own", "mlp", 3, 1),
        random_adapter(other, tmp_path / "foreign", "mlp", 3, 2),
    ]
    (tmp_path / "out").mkdir()
    with pytest.raises(UserError, match="foreign"):
        merge_adapters(base, adapters, average(2), tmp_path / "out", "both")
    assert not any((tmp_path / "out").iterdir())
