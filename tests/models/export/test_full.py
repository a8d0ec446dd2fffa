"""Full-MLP experts exported: the checkpoint is the mixture, with one expert a token or several."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from codemoe.errors import UserError
from codemoe.models.export.command import export_model
from codemoe.models.load import load_model
from codemoe.models.storage.full_expert import WEIGHTS
from tests.models.export.mixtures import logits, some_tokens, write_mixture


@pytest.mark.parametrize("top_k", [1, 2])
@pytest.mark.parametrize(
    ("model_type", "to"),
    [("mistral", "mixtral"), ("llama", "mixtral"), ("qwen2", "qwen-moe"), ("qwen3", "qwen-moe")],
)
def test_sparse(model_type: str, to: str, top_k: int, tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", model_type, full=True, top_k=top_k)
    done = export_model(str(run), tmp_path / "out", to)
    assert done["max_abs_logit_difference"] <= 1e-5
    exported = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32).eval()
    assert exported.config.num_experts_per_tok == top_k
    model = load_model(str(run))
    assert model.mixture is not None
    ids_BT = some_tokens()
    with model.mixture.layers.use_tokens(model.mixture.token_routers):
        ours = logits(model.model, ids_BT)
    assert (logits(exported, ids_BT) - ours).abs().max() <= 1e-5


def test_weights_are_the_experts_own_bytes(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral", full=True)
    export_model(str(run), tmp_path / "out", "mixtral")
    out = load_file(tmp_path / "out" / "model.safetensors")
    two = load_file(run / "moe" / "experts" / "two" / WEIGHTS)
    name = "model.layers.1.block_sparse_moe.experts.1.w1.weight"
    assert torch.equal(out[name], two["model.layers.1.mlp.gate_proj.weight"])


def test_rounded_to_the_base_s_dtype(tmp_path: Path) -> None:
    """A float32 expert on a bfloat16 base: the check is of the rounded mixture, and says so."""
    run = write_mixture(tmp_path / "run", "mistral", full=True, dtype=torch.bfloat16)
    done = export_model(str(run), tmp_path / "out", "mixtral")
    assert done["rounding"]["max_abs"] > 0


@pytest.mark.parametrize("top_k", [1, 2])
def test_gguf(top_k: int, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    pytest.importorskip("xllamacpp")
    run = write_mixture(tmp_path / "run", "llama", full=True, top_k=top_k)
    assert export_model(str(run), tmp_path / "out", "gguf")["max_abs_logit_difference"] <= 1e-4


def test_no_pack_of_adapters(tmp_path: Path) -> None:
    run = write_mixture(tmp_path / "run", "mistral", full=True)
    with pytest.raises(UserError, match="full-MLP experts are no adapters"):
        export_model(str(run), tmp_path / "out", "lora-pack")
    assert not (tmp_path / "out").exists()
