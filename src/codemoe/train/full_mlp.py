"""Train complete copies of a frozen model's MLPs, as an expert that acts on some tokens or all."""

# B batch, T tokens, D model

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from codemoe.errors import UserError
from codemoe.models.architectures import architecture_of, layers_of
from codemoe.models.storage.full_expert import WEIGHTS, write_config
from codemoe.train.activation import Masked
from codemoe.train.sharding import put

_EXPERT = "expert"  # the copy's name within the module


class FullMlp(Masked):
    """In an MLP's place: that MLP, frozen, and a float32 copy of it that is trained."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base
        self.expert = deepcopy(base).float().requires_grad_(True)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        places = self.places()
        if places is None:
            y_BTD: torch.Tensor = self.expert(x_BTD.float()).to(x_BTD.dtype)
            return y_BTD
        # Each token runs one of the two.
        x_ND, (active, rest) = x_BTD.flatten(0, 1), places
        expert_ND = self.expert(x_ND[active][None].float())[0].to(x_ND.dtype)
        base_ND = self.base(x_ND[rest][None])[0]
        y_ND = torch.empty_like(x_ND).index_copy(0, rest, base_ND.to(x_ND.dtype))
        return y_ND.index_copy(0, active, expert_ND).view_as(x_BTD)


def wrap(model: Any) -> Any:
    """The model with trainable MLPs, in place; everything else is frozen."""
    if getattr(model, "is_quantized", False):
        raise UserError(
            "full-MLP experts are copies of the base's MLPs, which quantised weights are not",
            "base.quantization=none, or experts.method=lora",
        )
    model.requires_grad_(False)
    row = architecture_of(model.config.model_type, model)
    for layer in layers_of(model):
        layer.set_submodule(row.mlp, FullMlp(layer.get_submodule(row.mlp)))
    return model


def own_names(model: nn.Module) -> dict[str, str]:
    """The trained parameters' names in this model, and in the base."""
    return {
        name: name.replace(f".{_EXPERT}.", ".", 1)
        for name, value in model.named_parameters()
        if value.requires_grad
    }


def save(
    model: Any, trained: Mapping[str, torch.Tensor], folder: Path, dtype: torch.dtype | None = None
) -> None:
    """Write an expert's folder from its trained weights, by their names in the model; in `dtype`,
    or as they are trained."""
    names = own_names(model)
    write_expert(folder, model, {names[name]: value for name, value in trained.items()}, dtype)


def write_expert(
    folder: Path, model: Any, weights: Mapping[str, torch.Tensor], dtype: torch.dtype | None = None
) -> None:
    """Write an expert's folder from its weights by their names in the base."""
    from safetensors.torch import save_file

    tensors = {
        name: value.detach().to("cpu", dtype or value.dtype).contiguous()
        for name, value in weights.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    write_config(folder, model.config.model_type, model.config._name_or_path)


def restore(model: nn.Module, folder: Path) -> None:
    """The inverse of `save`, for the same base."""
    from safetensors.torch import load_file

    found, own = load_file(folder / WEIGHTS), dict(model.named_parameters())
    names = own_names(model)
    assert found.keys() == set(names.values()), "the checkpoint is of another base"
    for name, in_base in names.items():
        put(own[name], found[in_base])


def base_dtype(model: nn.Module) -> torch.dtype:
    """That of the MLPs which the experts are copies of."""
    first = next(m for m in model.modules() if isinstance(m, FullMlp))
    return next(first.base.parameters()).dtype
