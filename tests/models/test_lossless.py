"""The lossless chain: expert alone (PEFT) == adapter MoE routed to it, on every architecture.

Run with: pytest tests/models/test_lossless.py
"""

from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.architectures import ARCHITECTURES
from codemoe.models.load import attach_experts, load_base
from codemoe.models.reference import BaseReference
from tests.models.tiny import CONFIGS, random_adapter, save_checkpoint, tiny_model

# float32 rounding of two orders of summation; the logits are of order 1.
TOLERANCE = 1e-5


def _logits(model: torch.nn.Module, ids_BT: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids_BT).logits


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def setting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Path], torch.Tensor]:
    folder = tmp_path_factory.mktemp(request.param)
    base = save_checkpoint(tiny_model(request.param), folder / "base")
    # Different ranks: nothing may depend on the experts being of one size.
    adapters = {
        name: random_adapter(base, folder / name, "mlp", rank, seed)
        for seed, (name, rank) in enumerate({"one": 3, "two": 5, "three": 2}.items(), start=1)
    }
    ids_BT = torch.randint(3, 400, (3, 17), generator=torch.Generator().manual_seed(0))
    return base, adapters, ids_BT


def _peft_logits(base: Path, adapter: Path, ids_BT: torch.Tensor) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    return _logits(peft.PeftModel.from_pretrained(model, str(adapter)).eval(), ids_BT)


def test_every_architecture_has_a_tiny_config() -> None:
    assert set(CONFIGS) == set(ARCHITECTURES)


def test_mixture_routed_to_an_expert_is_that_expert(setting) -> None:  # type: ignore[no-untyped-def]
    base, adapters, ids_BT = setting
    moe = attach_experts(load_base(BaseReference(str(base))), adapters, "all")
    assert moe.mixture is not None
    bare = _logits(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), ids_BT)
    assert (_logits(moe.model, ids_BT) - bare).abs().max() <= TOLERANCE  # no gates: the base
    for index, adapter in enumerate(adapters.values()):
        alone = _peft_logits(base, adapter, ids_BT)
        assert (alone - bare).abs().max() > 0.01, "the adapter must matter for this test to"
        gates = one_hot_gates(torch.full((3,), index), 3)
        with moe.mixture.layers.use(gates):
            assert (_logits(moe.model, ids_BT) - alone).abs().max() <= TOLERANCE
        wrong = one_hot_gates(torch.full((3,), (index + 1) % 3), 3)
        with moe.mixture.layers.use(wrong):  # the wrong twin
            assert (_logits(moe.model, ids_BT) - alone).abs().max() > 0.01


def test_rows_of_different_experts_share_a_batch(setting) -> None:  # type: ignore[no-untyped-def]
    base, adapters, ids_BT = setting
    moe = attach_experts(load_base(BaseReference(str(base))), adapters, "all")
    assert moe.mixture is not None
    with moe.mixture.layers.use(one_hot_gates(torch.tensor([2, 0, 1]), 3)):
        mixed = _logits(moe.model, ids_BT)
    for row, name in enumerate(["three", "one", "two"]):
        alone = _peft_logits(base, adapters[name], ids_BT)[row]
        assert (mixed[row] - alone).abs().max() <= TOLERANCE


def test_masked_activation_is_peft_activated_lora(tmp_path: Path) -> None:
    """From the marker on only: the same logits as PEFT's own aLoRA with those offsets."""
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    adapter = random_adapter(base, tmp_path / "one", "mlp", 4, 1)
    ids_BT = torch.randint(3, 400, (2, 12), generator=torch.Generator().manual_seed(0))
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig.from_pretrained(str(adapter))
    config.alora_invocation_tokens = [5]
    activated = peft.PeftModel.from_pretrained(model, str(adapter), config=config).eval()
    offsets = [4, 7]  # tokens at the end on which the adapter acts
    with torch.no_grad():
        expected = activated(input_ids=ids_BT, alora_offsets=offsets).logits
    moe = attach_experts(load_base(BaseReference(str(base))), {"one": adapter}, "completion")
    assert moe.mixture is not None
    active_BT1 = torch.zeros(2, 12, 1)
    for row, offset in enumerate(offsets):
        active_BT1[row, -offset:] = 1
    with moe.mixture.layers.use(active_BT1):
        found = _logits(moe.model, ids_BT)
    assert (found - expected).abs().max() <= TOLERANCE


@pytest.mark.parametrize("target", ["attention", "both"])
def test_experts_in_attention_layers(tmp_path: Path, target: str) -> None:
    base = save_checkpoint(tiny_model("qwen2"), tmp_path / "base")
    adapters = {n: random_adapter(base, tmp_path / n, target, 3, i) for i, n in enumerate("ab")}
    ids_BT = torch.randint(3, 400, (2, 9), generator=torch.Generator().manual_seed(0))
    moe = attach_experts(load_base(BaseReference(str(base))), adapters, "all")
    assert moe.mixture is not None
    with moe.mixture.layers.use(one_hot_gates(torch.tensor([1, 1]), 2)):
        found = _logits(moe.model, ids_BT)
    assert (found - _peft_logits(base, adapters["b"], ids_BT)).abs().max() <= TOLERANCE


def test_token_gates_that_always_choose_one_expert_are_that_expert(tmp_path: Path) -> None:
    from codemoe.routing.routers import LinearRouter

    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    adapters = {n: random_adapter(base, tmp_path / n, "mlp", 3, i) for i, n in enumerate("ab")}
    ids_BT = torch.randint(3, 400, (2, 9), generator=torch.Generator().manual_seed(0))
    moe = attach_experts(load_base(BaseReference(str(base))), adapters, "all")
    assert moe.mixture is not None
    always_b = [LinearRouter(torch.zeros(2, 32), torch.tensor([0.0, 9.0])) for _ in range(2)]
    with moe.mixture.layers.use_tokens(always_b) as records:
        found = _logits(moe.model, ids_BT)
    assert (found - _peft_logits(base, adapters["b"], ids_BT)).abs().max() <= TOLERANCE
    assert len(records) == 2
    assert records[0].weights_NK.shape == (18, 1)
    with torch.no_grad():  # leaving the scope leaves the bare base
        plain = moe.model(input_ids=ids_BT).logits
    bare = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert (plain - _logits(bare, ids_BT)).abs().max() <= TOLERANCE
