"""LoRA packs: plain PEFT computes what the mixture computes, and the pack alone says how to route.

Run with: pytest tests/models/export/test_lora_pack.py
"""

import json
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from codemoe.data.prompt import EncodedPrompt, encode_prompt
from codemoe.errors import UserError, WorkError
from codemoe.models.adapter_moe import one_hot_gates
from codemoe.models.export import lora_pack
from codemoe.models.export.command import export_model
from codemoe.models.generate import route_prompts
from codemoe.models.load import load_model
from tests.models.export.mixtures import EXPERTS, logits, write_mixture

TOLERANCE = 1e-5
TEXTS = ("add two numbers", "the longest word of a text", "reverse", "is n prime?")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixture(tmp_path_factory.mktemp("pack") / "run", "mistral")


def _prompt_with_answer(tokenizer: Any) -> tuple[torch.Tensor, int]:
    prompt = encode_prompt(tokenizer, TEXTS[0], "java")
    answer = tokenizer("def add(a, b):\n", add_special_tokens=False)["input_ids"]
    return torch.tensor([[*prompt.input_ids, *answer]]), prompt.marker_start


@pytest.mark.parametrize("activation", ["all", "completion"])
def test_plain_peft_is_the_mixture(run: Path, tmp_path: Path, activation: str) -> None:
    out = tmp_path / "out"
    result = export_model(str(run), out, "lora-pack", activation=activation)
    assert result["max_abs_logit_difference"] <= TOLERANCE
    assert result["checked_by"].startswith("peft ")
    moe = load_model(str(run))
    assert moe.mixture is not None
    ids_BT, marker_start = _prompt_with_answer(moe.tokenizer)
    active_BT1 = torch.ones(1, ids_BT.shape[1], 1)
    if activation == "completion":
        active_BT1[:, :marker_start] = 0
    found = {}
    for index, name in enumerate(EXPERTS):
        base = AutoModelForCausalLM.from_pretrained(run / "base", dtype=torch.float32)
        stock = peft.PeftModel.from_pretrained(base, str(out), subfolder=name).eval()
        found[name] = logits(stock, ids_BT)
        with moe.mixture.layers.use(one_hot_gates(torch.tensor([index]), 3) * active_BT1):
            expected = logits(moe.model, ids_BT)
        assert (found[name] - expected).abs().max() <= TOLERANCE
        other = torch.ones_like(active_BT1) if activation == "completion" else 1 - active_BT1
        with moe.mixture.layers.use(one_hot_gates(torch.tensor([index]), 3) * other):
            assert (found[name] - logits(moe.model, ids_BT)).abs().max() > 0.01  # the wrong twin
    assert (found["one"] - found["two"]).abs().max() > 0.01


def test_adapters_name_the_base_and_where_they_begin(run: Path, tmp_path: Path) -> None:
    plain, activated = tmp_path / "plain", tmp_path / "activated"
    export_model(str(run), plain, "lora-pack", activation="all")
    export_model(str(run), activated, "lora-pack")  # the mixture's own: completion
    tokenizer = AutoTokenizer.from_pretrained(run / "base")
    prompt = encode_prompt(tokenizer, "any text at all", "cpp")
    configs = [
        json.loads((f / "two" / "adapter_config.json").read_text()) for f in (plain, activated)
    ]
    assert configs[0]["alora_invocation_tokens"] is None
    assert configs[1]["alora_invocation_tokens"] == list(prompt.input_ids[prompt.marker_start :])
    assert Path(configs[0]["base_model_name_or_path"]) == run / "base"
    original = run / "moe" / "experts" / "two" / "adapter_model.safetensors"
    assert (plain / "two" / "adapter_model.safetensors").read_bytes() == original.read_bytes()


def test_the_pack_alone_says_how_to_route(run: Path, tmp_path: Path) -> None:
    """Follow codemoe.json with the stock base and nothing of codemoe's models."""
    out = tmp_path / "out"
    export_model(str(run), out, "lora-pack")
    pack = json.loads((out / "codemoe.json").read_text())
    router = load_file(out / pack["router"]["file"])
    base = AutoModelForCausalLM.from_pretrained(pack["base"]["model"], dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(pack["base"]["model"])
    seen: list[torch.Tensor] = []
    base.get_submodule(pack["router"]["module"]).register_forward_pre_hook(
        lambda module, args: seen.append(args[0][0])
    )
    chosen = []
    for text in TEXTS:
        prompt = pack["prompt"]["no_language"].format(text=text)
        instruction = prompt.removesuffix(pack["prompt"]["marker"])
        ids = tokenizer(instruction)["input_ids"]
        logits(base, torch.tensor([ids]))
        features = torch.cat([seen[-1].mean(0), seen[-1][-1]])
        scores = router[pack["router"]["weight"]] @ features + router[pack["router"]["bias"]]
        chosen.append(pack["experts"][int(scores.argmax())]["name"])
    moe = load_model(str(run))
    prompts = [encode_prompt(moe.tokenizer, text) for text in TEXTS]
    assert chosen == [choice.expert for choice in route_prompts(moe, prompts)]
    assert len(set(chosen)) > 1, "more than one expert must be chosen for this test to matter"
    assert pack["prompt"]["language"]["cpp"].format(text="x") == (
        "### Task: x\n### Language: C++\n### Code:\n"
    )


@pytest.mark.parametrize("model_type", ["qwen2", "gpt_neo"])
def test_experts_in_attention_layers_of_any_base(tmp_path: Path, model_type: str) -> None:
    run = write_mixture(tmp_path / "run", model_type, target="both", token_gates=False)
    result = export_model(str(run), tmp_path / "out", "lora-pack", activation="all")
    assert result["max_abs_logit_difference"] <= TOLERANCE


def test_a_marker_that_changes_its_tokens_is_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def merges_the_newline(tokenizer: Any, text: str, language: str | None) -> EncodedPrompt:
        prompt = encode_prompt(tokenizer, text, language)
        return EncodedPrompt(prompt.input_ids, prompt.marker_start + text.endswith("."))

    monkeypatch.setattr(lora_pack, "encode_prompt", merges_the_newline)
    with pytest.raises(
        UserError, match=r"splits the end-of-instruction marker.*\n.*--activation all"
    ):
        export_model(str(run), tmp_path / "out", "lora-pack", activation="completion")
    export_model(str(run), tmp_path / "out", "lora-pack", activation="all")


def test_a_wrong_pack_is_found(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Invocation tokens that never occur leave the base alone: the check must see it."""
    monkeypatch.setattr(lora_pack, "marker_token_ids", lambda tokenizer: (399, 398))
    with pytest.raises(WorkError, match="the export is not the mixture"):
        export_model(str(run), tmp_path / "out", "lora-pack", activation="completion")
    assert list(tmp_path.iterdir()) == []


def test_too_little_memory_to_check(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a pack is checked on its base"):
        export_model(str(run), tmp_path / "out", "lora-pack", max_memory="50KB")
