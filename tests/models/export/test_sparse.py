"""Mixtral and Qwen-MoE exports: the stock library computes what the adapter mixture computes.

Run with: pytest tests/models/export/test_sparse.py
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from codemoe.data.prompt import encode_prompt
from codemoe.errors import UserError, WorkError
from codemoe.models.export import checkpoint, families
from codemoe.models.export.checkpoint import Checkpoint, Planned, shards_of
from codemoe.models.export.command import export_model
from codemoe.models.generate import Route, generate_batch
from codemoe.models.load import load_model
from codemoe.models.routers_file import save_routers
from codemoe.models.storage.write import Shard
from codemoe.routing.routers import TopKRouter
from tests.models.export.mixtures import EXPERTS, logits, some_tokens, write_mixture

TOLERANCE = 1e-5
LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# (base, its config, format, the class that loads it). The configs are those that could be lost.
CASES = {
    "mistral": ("mistral", {}, "mixtral", "MixtralForCausalLM"),
    "mistral, sliding and tied": (
        "mistral",
        {"sliding_window": 5, "tie_word_embeddings": True, "rms_norm_eps": 1e-2},
        "mixtral",
        "MixtralForCausalLM",
    ),
    "llama": ("llama", {}, "mixtral", "MixtralForCausalLM"),
    "llama 3": (
        "llama",
        {"rope_parameters": LLAMA3_ROPE, "head_dim": 12, "hidden_act": "gelu"},
        "mixtral",
        "MixtralForCausalLM",
    ),
    "qwen2": ("qwen2", {}, "qwen-moe", "Qwen2MoeForCausalLM"),
    "qwen2, tied": (
        "qwen2",
        {
            "tie_word_embeddings": True,
            "rope_parameters": {"rope_theta": 99.0, "rope_type": "default"},
        },
        "qwen-moe",
        "Qwen2MoeForCausalLM",
    ),
    "qwen3": ("qwen3", {}, "qwen-moe", "Qwen3MoeForCausalLM"),
    "qwen3, biased, wide heads": (
        "qwen3",
        {"attention_bias": True, "head_dim": 12},
        "qwen-moe",
        "Qwen3MoeForCausalLM",
    ),
}


def token_logits(run: Path, ids_BT: torch.Tensor) -> torch.Tensor:
    """The adapter mixture, routed by its token gates, experts on all tokens."""
    moe = load_model(str(run))
    assert moe.mixture is not None
    with moe.mixture.layers.use_tokens(moe.mixture.token_routers) as records:
        found = logits(moe.model, ids_BT)
    used = [routing.experts_NK.unique().numel() for routing in records.values()]
    assert min(used) == len(EXPERTS), "every expert must act for this test to matter"
    return found


@pytest.fixture(scope="module", params=CASES)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, str, dict[str, Any]]:
    model_type, config, to, class_name = CASES[request.param]
    folder = tmp_path_factory.mktemp("export")
    run = write_mixture(folder / "run", model_type, **config)
    result = export_model(str(run), folder / "out", to)
    return run, folder / "out", class_name, result


def test_the_export_is_the_mixture(exported: tuple[Path, Path, str, dict[str, Any]]) -> None:
    run, out, class_name, result = exported
    ids_BT = some_tokens()
    expected = token_logits(run, ids_BT)
    bare = AutoModelForCausalLM.from_pretrained(run / "base", dtype=torch.float32)
    assert (expected - logits(bare, ids_BT)).abs().max() > 0.01
    stock, info = AutoModelForCausalLM.from_pretrained(
        out, dtype=torch.float32, output_loading_info=True
    )
    assert not any(info.values()), info  # nothing missing and nothing left over
    assert type(stock).__name__ == class_name
    assert (logits(stock, ids_BT) - expected).abs().max() <= TOLERANCE
    assert result["max_abs_logit_difference"] <= TOLERANCE
    gate = stock.model.layers[0].mlp.gate.weight
    with torch.no_grad():  # the wrong twin: the first layer's experts in another order
        gate.copy_(gate.roll(1, 0))
    assert (logits(stock, ids_BT) - expected).abs().max() > 0.01


def test_what_lies_in_the_folder(exported: tuple[Path, Path, str, dict[str, Any]]) -> None:
    run, out, class_name, result = exported
    assert {path.name for path in out.iterdir()} == {
        "README.md",
        "codemoe.json",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert [path.name for path in out.parent.iterdir() if path.name.startswith(".")] == []
    assert result["bytes"] == sum(path.stat().st_size for path in out.iterdir())
    with safe_open(out / "model.safetensors", "pt") as file:
        names = set(file.keys())
        down = file.get_tensor(
            "model.layers.1.block_sparse_moe.experts.2.w2.weight"
            if class_name.startswith("Mixtral")
            else "model.layers.1.mlp.experts.2.down_proj.weight"
        )
    assert down.shape == (32, 48)
    assert not any(".mlp.gate_proj" in name or ".mlp.up_proj" in name for name in names)
    ours, theirs = (AutoTokenizer.from_pretrained(folder) for folder in (out, run / "base"))
    assert ours("def f(x):")["input_ids"] == theirs("def f(x):")["input_ids"]
    config = json.loads((out / "config.json").read_text())
    assert config["num_experts_per_tok"] == 1
    assert config["dtype"] == "float32"
    assert (config["bos_token_id"], config["eos_token_id"], config["pad_token_id"]) == (0, 1, 2)


def test_the_stock_library_generates_what_codemoe_generates(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    export_model(str(run), tmp_path / "out", "mixtral")
    moe = load_model(str(run))
    prompt = encode_prompt(moe.tokenizer, "add two numbers", "python")
    route = Route("token", activation="all")
    ours = generate_batch(moe, [prompt], route, max_new_tokens=12)[0].token_ids
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    ids_BT = torch.tensor([prompt.input_ids])
    made = stock.generate(ids_BT, max_new_tokens=12, do_sample=False, eos_token_id=1)
    assert tuple(made[0, ids_BT.shape[1] :].tolist())[: len(ours)] == ours
    assert len(ours) > 3


def test_a_stage_is_exported_too(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    export_model(str(run / "router"), tmp_path / "out", "mixtral")
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    expected = token_logits(run / "router", some_tokens())
    assert (logits(stock, some_tokens()) - expected).abs().max() <= TOLERANCE


@pytest.mark.parametrize("to", ["mixtral", "gguf"])
def test_gates_that_nothing_has_fitted_are_refused(tmp_path: Path, to: str) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    with pytest.raises(UserError, match="nothing has fitted the mixture's token gates"):
        export_model(str(run / "moe"), tmp_path / "out", to)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_exact_but_for_rounding(tmp_path: Path, dtype: torch.dtype) -> None:
    """The check separates the two: the file holds the rounded experts exactly, and the card says
    what rounding them costs."""
    run = write_mixture(tmp_path / "run", "mistral", dtype=dtype)
    result = export_model(str(run), tmp_path / "out", "mixtral")
    assert result["max_abs_logit_difference"] <= TOLERANCE
    assert 0 < result["rounding"]["mean_abs"] < 0.05
    assert result["rounding"]["mean_abs"] <= result["rounding"]["max_abs"]
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert stock.dtype == dtype
    assert "precision that is stored" in (tmp_path / "out" / "README.md").read_text()


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No shard is larger than --max-memory leaves; a larger model is checked from disk."""
    run = write_mixture(tmp_path / "run", "mistral")
    sizes = []
    write = checkpoint.storage.write_shards

    def spy(shards: list[Shard], *args: Any, **options: Any) -> None:
        sizes.extend(shard.num_bytes for shard in shards)
        write(shards, *args, **options)

    monkeypatch.setattr(checkpoint.storage, "write_shards", spy)
    result = export_model(str(run), tmp_path / "out", "mixtral", max_memory="120KB")
    assert max(sizes) < 100_000  # what is left beside the work on one expert
    assert len(sizes) > 2
    assert result["max_abs_logit_difference"] <= TOLERANCE
    index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(sizes)
    assert len(set(index["weight_map"].values())) == len(sizes)
    stock = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert (
        logits(stock, some_tokens()) - token_logits(run, some_tokens())
    ).abs().max() <= TOLERANCE
    with pytest.raises(
        UserError, match=r"0\.1 MB .* lm_head\.weight alone needs 0\.1 MB[\s\S]*--max-memory"
    ):
        export_model(str(run), tmp_path / "small", "mixtral", max_memory="60KB")
    assert not (tmp_path / "small").exists()


def test_shards_keep_order_and_limit() -> None:
    plan = [Planned(str(n), (n,), torch.float16, lambda: torch.zeros(1)) for n in (3, 2, 9, 1, 1)]
    groups = [[int(tensor.name) for tensor in shard] for shard in shards_of(plan, 10)]
    assert groups == [[3, 2], [9], [1, 1]]


def test_a_wrong_export_is_found_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check itself can fail: gate and up projection exchanged load without any complaint."""
    run = write_mixture(tmp_path / "run", "mistral")
    right = families.FAMILIES["mixtral"]["mistral"]
    names = dict(right.experts)
    names["mlp.gate_proj"], names["mlp.up_proj"] = names["mlp.up_proj"], names["mlp.gate_proj"]
    monkeypatch.setitem(families.FAMILIES["mixtral"], "mistral", replace(right, experts=names))
    with pytest.raises(WorkError, match="the export is not the mixture"):
        export_model(str(run), tmp_path / "out", "mixtral")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_tensor_that_is_not_there_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    right = families.FAMILIES["mixtral"]["mistral"]
    wrong = replace(right, gate="block_sparse_moe.router.weight")
    monkeypatch.setitem(families.FAMILIES["mixtral"], "mistral", wrong)
    with pytest.raises(WorkError, match=r"transformers does not find .*gate"):
        export_model(str(run), tmp_path / "out", "mixtral")
    assert not (tmp_path / "out").exists()


# -- what is refused, before anything is written ---------------------------------------------


@pytest.mark.parametrize(
    ("base", "options", "to", "parts"),
    [
        ("qwen2", {}, "mixtral", ("a qwen2 base cannot become mixtral", "--to qwen-moe")),
        ("llama", {}, "qwen-moe", ("a llama base cannot become qwen-moe", "--to mixtral")),
        ("gpt_neo", {}, "mixtral", ("gpt_neo", "--to lora-pack")),
        (
            "mistral",
            {"target": "both", "token_gates": False},
            "mixtral",
            ("self_attn.", "MLPs only"),
        ),
        ("mistral", {"token_gates": False}, "mixtral", ("no token gates", "--to lora-pack")),
        ("llama", {"mlp_bias": True}, "mixtral", ("mlp_bias=true",)),
        ("llama", {"attention_bias": True}, "mixtral", ("attention_bias=true",)),
        ("qwen2", {"use_sliding_window": True}, "qwen-moe", ("use_sliding_window=true",)),
    ],
)
def test_other_functions_are_refused(
    tmp_path: Path, base: str, options: dict[str, Any], to: str, parts: tuple[str, ...]
) -> None:
    run = write_mixture(tmp_path / "run", base, **options)
    with pytest.raises(UserError) as error:
        export_model(str(run), tmp_path / "out", to)
    for part in parts:
        assert part in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_two_experts_a_token_are_refused(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    gates = [TopKRouter(torch.randn(3, 32), top_k=2) for _ in range(2)]
    save_routers(run / "router" / "router.safetensors", list(EXPERTS), None, gates)
    with pytest.raises(UserError, match="another function"):
        export_model(str(run), tmp_path / "out", "mixtral")


def test_an_adapter_for_another_base_is_refused(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    other = write_mixture(tmp_path / "other", "mistral", intermediate_size=40)
    (run / "base").rename(tmp_path / "kept")
    (other / "base").rename(run / "base")
    with pytest.raises(UserError, match=r"'one'.*32 -> 48 in the adapter but 32 -> 40 in the base"):
        export_model(str(run), tmp_path / "out", "mixtral")


def test_a_base_without_usable_weights_is_refused(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral")
    weights = run / "base" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:999])
    with pytest.raises(UserError, match="cannot read the weights"):
        export_model(str(run), tmp_path / "out", "mixtral")
    weights.unlink()
    with pytest.raises(UserError, match=r"holds no model\.safetensors"):
        export_model(str(run), tmp_path / "out", "mixtral")


def test_reading_a_checkpoint_changes_nothing(tmp_path: Path) -> None:
    """The merge must not write through the memory map into the base."""
    run = write_mixture(tmp_path / "run", "mistral")
    before = (run / "base" / "model.safetensors").read_bytes()
    export_model(str(run), tmp_path / "out", "mixtral")
    assert (run / "base" / "model.safetensors").read_bytes() == before
    name = "model.layers.0.self_attn.q_proj.weight"
    ours, theirs = (Checkpoint(folder).read(name) for folder in (tmp_path / "out", run / "base"))
    assert torch.equal(ours, theirs)
