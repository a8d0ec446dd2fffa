"""Random full-MLP experts on disk, as training leaves them."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from codemoe.models.architectures import architecture_of
from codemoe.models.storage.full_expert import WEIGHTS, write_config


def changed_mlps(base: Path, seed: int) -> dict[str, torch.Tensor]:
    """Every MLP parameter of a base, moved: by full name."""
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    row = architecture_of(model.config.model_type)
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (value + 0.1 * torch.randn(value.shape, generator=generator)).detach()
        for name, value in model.named_parameters()
        if f".{row.mlp}." in name
    }


def random_full(base: Path, out: Path, seed: int) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    save_file(changed_mlps(base, seed), out / WEIGHTS)
    config = AutoModelForCausalLM.from_pretrained(base).config
    write_config(out, config.model_type, str(base))
    return out


def dense_of(base: Path, expert: Path) -> Any:
    """The expert alone, as a plain model: its weights put into the base's places."""
    from safetensors.torch import load_file

    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in load_file(expert / WEIGHTS).items():
            own[name].copy_(value)
    return model.eval()
