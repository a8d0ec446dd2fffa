"""What a mixture keeps of an expert: its MLPs' part is that part and nothing else."""

from pathlib import Path

import pytest
import torch

from codemoe.errors import UserError
from codemoe.models.adapters import load_adapter
from codemoe.models.kept_parts import copy_expert, outside_mlps
from tests.models.tiny import peft_model, random_adapter, save_checkpoint, tiny_model


@pytest.mark.parametrize("model_type", ["mistral", "gpt2", "gpt_neox"])
def test_the_mlps_part_is_kept_and_the_rest_is_told(model_type: str, tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model(model_type), tmp_path / "base")
    whole = tmp_path / "whole"
    # PEFT would write the whole head beside its update.
    model = peft_model(base, {"default": ("all", 3)})
    model.save_pretrained(str(whole), save_embedding_layers=False)
    left = copy_expert(whole, tmp_path / "part", "mlp", model_type)
    found, kept = load_adapter(whole), load_adapter(tmp_path / "part")
    assert left is not None
    assert outside_mlps(kept, model_type) == []
    assert set(left.projections) == set(outside_mlps(found, model_type))
    assert all(torch.equal(found[p].b_OR, kept[p].b_OR) for p in kept)
    norms = {p: float(((f.b_OR @ f.a_RD).double() ** 2).sum()) for p, f in found.items()}
    assert left.share == pytest.approx(1 - sum(norms[p] for p in kept) / sum(norms.values()))
    assert "lm_head" in found


def test_all_of_it_or_nothing_to_leave_out(tmp_path: Path) -> None:
    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    both = random_adapter(base, tmp_path / "both", "both", 3, 0)
    assert copy_expert(both, tmp_path / "copy", "all", "mistral") is None
    assert load_adapter(both).keys() == load_adapter(tmp_path / "copy").keys()
    mlp = random_adapter(base, tmp_path / "mlp", "mlp", 3, 0)
    assert copy_expert(mlp, tmp_path / "same", "mlp", "mistral") is None
    attention = random_adapter(base, tmp_path / "attention", "attention", 3, 0)
    with pytest.raises(UserError, match="changes nothing in MLPs"):
        copy_expert(attention, tmp_path / "none", "mlp", "mistral")
