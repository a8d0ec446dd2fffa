"""Experts on an NF4 base: what is trained, in which precision, and where it is put in the end."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from codemoe.merge.dense import merge_adapters, method_recipe
from codemoe.models.adapters import load_adapter
from codemoe.models.load import load_base
from codemoe.models.reference import BaseReference
from codemoe.train import sft
from codemoe.train.dpo import trainable_adapter
from tests.models.tiny import random_adapter, save_checkpoint, tiny_model
from tests.train.test_resume import Killed, at, die
from tests.train.training import state_of, train_expert, weights_of

pytest.importorskip("bitsandbytes", reason="4-bit bases need the qlora extra")

OPTIONS: dict[str, Any] = {
    "steps": 20,
    "checkpoint_steps": 5,
    "quantization": "4bit",
    "packing": True,
    "gradient_checkpointing": True,
    "lora": {"use_rslora": True},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tiny_model("mistral", hidden_size=64, intermediate_size=128)
    return save_checkpoint(model, tmp_path_factory.mktemp("qlora") / "base")


def test_an_expert_on_a_4_bit_base(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    real = sft.run

    def look(expert: Any, out: Path) -> None:
        layer = expert.model.get_submodule("base_model.model.model.layers.0.mlp.up_proj")
        before = layer.base_layer.weight.data.clone()
        real(expert, out)
        state = layer.base_layer.weight.quant_state
        seen.update(
            quant_type=state.quant_type,
            double=state.nested,
            unchanged=torch.equal(layer.base_layer.weight.data, before),
            trained={p.dtype for p in expert.model.parameters() if p.requires_grad},
        )

    with monkeypatch.context() as patch:
        patch.setattr(sft, "run", look)
        straight = state_of(train_expert(base, tmp_path / "straight", **OPTIONS), 20)
    # TRL would train bfloat16 factors here, in which small steps are lost.
    expected = {"quant_type": "nf4", "double": True, "unchanged": True, "trained": {torch.float32}}
    assert seen == expected
    losses = [json.loads(row)["loss"] for row in straight["metrics"].splitlines()]
    assert sum(losses[-5:]) < sum(losses[:5])
    with monkeypatch.context() as patch:
        at(patch, "on_step_end", 13, die)
        with pytest.raises(Killed):
            train_expert(base, tmp_path / "cut", **OPTIONS)
    assert state_of(train_expert(base, tmp_path / "cut", **OPTIONS), 20) == straight


def test_it_is_materialised_on_the_full_precision_base(base: Path, tmp_path: Path) -> None:
    expert = train_expert(base, tmp_path / "expert", **OPTIONS)

    (tmp_path / "merged").mkdir()
    alone = method_recipe("average", 1, density=1.0, weight=1.0)
    merge_adapters(base, [expert], alone, tmp_path / "merged", "alone")
    before, after = (
        load_file(folder / "model.safetensors") for folder in (base, tmp_path / "merged")
    )
    factors = load_adapter(expert)
    assert factors
    for path, update in factors.items():
        weight = before[f"{path}.weight"]
        expected = weight + update.b_OR @ update.a_RD
        assert torch.allclose(after[f"{path}.weight"], expected, atol=1e-6)
    raw = load_file(expert / "adapter_model.safetensors")
    name = next(name for name in raw if "lora_B" in name)
    path = name.removeprefix("base_model.model.").removesuffix(".lora_B.weight")
    # rsLoRA: alpha / sqrt(rank), 8 / sqrt(4), and not 8 / 4.
    assert torch.equal(factors[path].b_OR, raw[name] * 4.0)


def test_validation_leaves_training_as_it_is(base: Path, tmp_path: Path) -> None:
    """On processors where bitsandbytes packs weights in evaluation mode, through which no gradient
    passes any more."""
    options = OPTIONS | {"steps": 4}
    plain = train_expert(base, tmp_path / "plain", **options)
    validated = train_expert(base, tmp_path / "validated", **options, eval_steps=1)
    assert weights_of(validated).read_bytes() == weights_of(plain).read_bytes()


def test_alignment_has_gradients_after_its_reference(base: Path, tmp_path: Path) -> None:
    start = random_adapter(base, tmp_path / "start", "mlp", 4, 0)
    ids_BT = torch.arange(20, 28)[None]

    def gradients(evaluate: bool) -> list[torch.Tensor]:
        model = trainable_adapter(load_base(BaseReference(str(base), None, "4bit")), start)
        if evaluate:
            with torch.no_grad():
                model.eval()(input_ids=ids_BT)
        model.train()(input_ids=ids_BT, labels=ids_BT).loss.backward()
        return [p.grad for p in model.parameters() if p.requires_grad]

    found = zip(gradients(True), gradients(False), strict=True)
    assert all(torch.equal(one, other) for one, other in found)
