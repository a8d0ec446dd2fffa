"""The lossless chain: expert alone (PEFT) == adapter MoE routed to it, on every architecture.

Run with: pytest tests/models/test_lossless.py
"""

import json
from dataclasses import dataclass
from pathlib import Path

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError
from codemoe.models.adapter_moe import StackedLora, one_hot_gates
from codemoe.models.adapters import load_adapter
from codemoe.models.architectures import ARCHITECTURES
from codemoe.models.generate import Route, generate_batch
from codemoe.models.load import (
    MOE_FILE,
    CodeModel,
    attach_experts,
    load_base,
    load_model,
)
from codemoe.models.reference import BaseReference
from codemoe.models.routers_file import ROUTER_FILE, SequenceRouter, save_routers
from codemoe.routing.routers import LinearRouter
from tests.models.tiny import CONFIGS, peft_model, random_adapter, save_checkpoint, tiny_model

# float32 rounding of two orders of summation; the logits are of order 1.
TOLERANCE = 1e-5
# Different targets and ranks: nothing may depend on the experts being alike.
EXPERTS = {"one": ("mlp", 3), "two": ("attention", 5), "three": ("both", 2)}
TEXTS = ["add two numbers", "the sum of the squares of all the even numbers in a long list"]


@dataclass(frozen=True)
class Setting:
    base: Path
    adapters: dict[str, Path]
    ids_BT: torch.Tensor
    bare: torch.Tensor  # the base's logits
    alone: dict[str, torch.Tensor]  # each expert's, as PEFT computes them
    moe: CodeModel


def _logits(model: torch.nn.Module, ids_BT: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids_BT).logits


@pytest.fixture(scope="module", params=sorted(ARCHITECTURES))
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp(request.param)
    base = save_checkpoint(tiny_model(request.param), folder / "base")
    ids_BT = torch.randint(3, 400, (3, 17), generator=torch.Generator().manual_seed(0))
    reference = peft_model(base, EXPERTS)
    reference.save_pretrained(str(folder))
    alone = {}
    for name in EXPERTS:
        reference.set_adapter(name)
        alone[name] = _logits(reference, ids_BT)
    with reference.disable_adapter():
        bare = _logits(reference, ids_BT)
    adapters = {name: folder / name for name in EXPERTS}
    moe = attach_experts(load_base(BaseReference(str(base))), adapters, "completion")
    return Setting(base, adapters, ids_BT, bare, alone, moe)


def test_every_architecture_has_a_tiny_config() -> None:
    assert set(CONFIGS) == set(ARCHITECTURES)


def test_mixture_routed_to_an_expert_is_that_expert(setting: Setting) -> None:
    moe, ids_BT = setting.moe, setting.ids_BT
    assert moe.mixture is not None
    assert (_logits(moe.model, ids_BT) - setting.bare).abs().max() <= TOLERANCE  # no gates: base
    for index, alone in enumerate(setting.alone.values()):
        assert (alone - setting.bare).abs().max() > 0.01, "the adapter must matter for this test to"
        with moe.mixture.layers.use(one_hot_gates(torch.full((3,), index), 3)):
            assert (_logits(moe.model, ids_BT) - alone).abs().max() <= TOLERANCE
        wrong = one_hot_gates(torch.full((3,), (index + 1) % 3), 3)
        with moe.mixture.layers.use(wrong):  # the wrong twin
            assert (_logits(moe.model, ids_BT) - alone).abs().max() > 0.01


def test_rows_of_different_experts_share_a_batch(setting: Setting) -> None:
    assert setting.moe.mixture is not None
    with setting.moe.mixture.layers.use(one_hot_gates(torch.tensor([2, 0, 1]), 3)):
        mixed = _logits(setting.moe.model, setting.ids_BT)
    for row, name in enumerate(["three", "one", "two"]):
        assert (mixed[row] - setting.alone[name][row]).abs().max() <= TOLERANCE


def test_generation_is_the_full_forward(setting: Setting) -> None:
    """Greedy tokens, in a left-padded batch with the cache = argmax of one forward without."""
    moe, experts = setting.moe, ("three", "two")
    assert moe.mixture is not None
    prompts = [encode_prompt(moe.tokenizer, text, "python") for text in TEXTS]
    answers = generate_batch(moe, prompts, Route("named", experts), max_new_tokens=6)
    for prompt, answer, name in zip(prompts, answers, experts, strict=True):
        ids = list(prompt.input_ids) + list(answer.token_ids)
        gates_BTE = torch.zeros(1, len(ids), 3)
        gates_BTE[:, prompt.marker_start :, list(EXPERTS).index(name)] = 1
        with moe.mixture.layers.use(gates_BTE):
            logits_TV = _logits(moe.model, torch.tensor([ids]))[0]
        first = len(prompt.input_ids) - 1
        expected = logits_TV[first : first + len(answer.token_ids)].argmax(-1).tolist()
        assert list(answer.token_ids) == expected


def test_save_load_save(setting: Setting, tmp_path: Path) -> None:
    """A mixture directory, opened, holds what was put in: routers, experts and base."""
    folder = tmp_path / "moe"
    folder.mkdir()
    description = {
        "base": {"model": str(setting.base), "revision": None, "quantization": "none"},
        "experts": [{"name": name, "path": str(path)} for name, path in setting.adapters.items()],
        "expert_of_language": {"python": "two"},
        "activation": "all",
    }
    (folder / MOE_FILE).write_text(json.dumps(description))
    generator = torch.Generator().manual_seed(0)
    sequence = LinearRouter(torch.randn(3, 64, generator=generator), torch.ones(3))
    gates = [LinearRouter(torch.randn(3, 32, generator=generator)) for _ in range(2)]
    save_routers(folder / ROUTER_FILE, list(EXPERTS), SequenceRouter(1, sequence), gates)

    model = load_model(str(folder))
    mixture = model.mixture
    assert mixture is not None
    assert mixture.experts == tuple(EXPERTS)
    assert (mixture.expert_of_language, mixture.activation) == ({"python": "two"}, "all")
    save_routers(tmp_path / "again", list(EXPERTS), mixture.sequence_router, mixture.token_routers)
    assert (tmp_path / "again").read_bytes() == (folder / ROUTER_FILE).read_bytes()

    for index, path in enumerate(setting.adapters.values()):
        for projection, factors in load_adapter(path).items():
            stacked = model.model.get_submodule(projection)
            own = stacked.rows[index]
            assert torch.equal(stacked.a_RD[own], factors.a_RD)
            assert torch.equal(stacked.b_RO[own].T, factors.b_OR)

    for path, module in list(model.model.named_modules()):
        if isinstance(module, StackedLora):
            model.model.set_submodule(path, module.base)
    model.model.save_pretrained(tmp_path / "base")
    for name in ("model.safetensors", "config.json"):
        assert (tmp_path / "base" / name).read_bytes() == (setting.base / name).read_bytes()


@pytest.mark.parametrize(
    ("model_type", "width"), [("mistral", "intermediate_size"), ("gpt2", "n_inner")]
)
def test_an_adapter_for_another_base_is_refused(
    tmp_path: Path, model_type: str, width: str
) -> None:
    base = save_checkpoint(tiny_model(model_type), tmp_path / "base")
    adapter = random_adapter(base, tmp_path / "one", "mlp", 2, 0)
    wider = save_checkpoint(tiny_model(model_type, **{width: 64}), tmp_path / "wider")
    with pytest.raises(UserError, match=r"48.* in the adapter but .*64"):
        attach_experts(load_base(BaseReference(str(wider))), {"one": adapter}, "all")


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


def test_token_gates_that_always_choose_one_expert_are_that_expert(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    adapters = {n: random_adapter(base, tmp_path / n, "mlp", 3, i) for i, n in enumerate("ab")}
    ids_BT = torch.randint(3, 400, (2, 9), generator=torch.Generator().manual_seed(0))
    bare = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    plain = _logits(bare, ids_BT)
    alone = _logits(peft.PeftModel.from_pretrained(bare, str(adapters["b"])).eval(), ids_BT)
    moe = attach_experts(load_base(BaseReference(str(base))), adapters, "all")
    assert moe.mixture is not None
    always_b = [LinearRouter(torch.zeros(2, 32), torch.tensor([0.0, 9.0])) for _ in range(2)]
    with moe.mixture.layers.use_tokens(always_b) as records:
        found = _logits(moe.model, ids_BT)
    assert (found - alone).abs().max() <= TOLERANCE
    assert list(records) == [0, 1]
    assert records[0].weights_NK.shape == (18, 1)
    # Leaving the scope leaves the bare base.
    assert (_logits(moe.model, ids_BT) - plain).abs().max() <= TOLERANCE
