"""A base's shape: its config, from where it was found, and exact parameter counts of a skeleton."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import AutoConfig, PreTrainedConfig

from codemoe.errors import UserError
from codemoe.models.architectures import (
    architecture_of,
    layers_of,
    projection_shape,
    target_modules,
)
from codemoe.models.load import BROKEN, new_model, told
from codemoe.models.reference import resolve
from codemoe.models.scratch import scratch_model_config
from codemoe.plan.published import PUBLISHED
from codemoe.recipe import BaseConfig, ExpertsConfig, LoraConfig, ScratchConfig


@dataclass(frozen=True)
class Shape:
    """Counts of a causal LM; `linear` are the weights of the layers' projections, which 4-bit
    quantisation takes, `multiplied` those that each token is multiplied with."""

    config: PreTrainedConfig
    found: str  # where the config is from, for people
    total: int
    linear: int
    multiplied: int
    largest_projection: int
    num_layers: int
    hidden_size: int

    def bytes(self, dtype_bytes: float, quantization: str = "none") -> float:
        """Of the weights, as they are held for inference.

        4-bit: NF4 in blocks of 64 with double quantisation, 0.5 B a weight, 1 B a block and 4 B for
        256 blocks (arXiv:2305.14314, section 3); the embeddings and the head stay as they are.
        """
        if quantization == "none":
            return self.total * dtype_bytes
        return self.linear * NF4_BYTES + (self.total - self.linear) * dtype_bytes

    @property
    def unread_bytes(self) -> float:
        """Of a float32 checkpoint on a CPU, which maps its files into memory: input embeddings that
        are no head too, as few of their rows are ever read."""
        is_mapped = getattr(self.config, "dtype", None) is torch.float32
        return 4.0 * (self.total - self.multiplied) * is_mapped

    @property
    def stored_bytes(self) -> float:
        """Of the checkpoint's files: in the type that its config names; where it names none, four
        bytes a number, which is the most."""
        dtype = getattr(self.config, "dtype", None)
        return float(self.total * (dtype.itemsize if isinstance(dtype, torch.dtype) else 4))


NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)


def find_config(base: BaseConfig) -> tuple[PreTrainedConfig, str]:
    """The config of a recipe's base and where it was found. Loads no weights, downloads nothing."""
    if base.from_scratch is not None:
        return _scratch(base.from_scratch), "base.from_scratch"
    assert base.model is not None
    name = resolve(base.model)
    try:
        config = AutoConfig.from_pretrained(name, revision=base.revision, local_files_only=True)
    except BROKEN as error:
        if base.model in PUBLISHED:
            keys = dict(PUBLISHED[base.model])
            config = AutoConfig.for_model(keys.pop("model_type"), **keys)
            return config, "codemoe's table of published configs (no copy in the hub's cache)"
        if Path(name).is_dir():
            raise UserError(
                f"cannot read the config of {name}: {told(error)}",
                "point base.model at a Hugging Face checkpoint folder",
            ) from None
        if base.model.startswith(("/", ".", "~")):
            raise UserError(
                f"base.model: there is no folder {base.model}",
                "check the path; it is looked up from the folder you type the command in",
            ) from None
        raise UserError(
            f"the config of {base.model!r} is neither in a folder here nor in the hub's cache; "
            f"known without one: {', '.join(PUBLISHED)}",
            f"hf download {base.model} config.json, and plan again; it is a few hundred bytes",
        ) from None
    return config, name if Path(name).is_dir() else "the hub's cache"


def _scratch(config: ScratchConfig) -> PreTrainedConfig:
    """As `train.pretrain` makes it."""
    return scratch_model_config(config)


def skeleton(config: PreTrainedConfig, dtype: torch.dtype = torch.float32) -> Any:
    """The model without memory: every tensor is on the meta device."""
    with torch.device("meta"):
        return new_model(deepcopy(config), dtype)


def shape_of(config: PreTrainedConfig, found: str) -> Shape:
    model = skeleton(config)
    total = sum(p.numel() for p in model.parameters())
    embeddings = model.get_input_embeddings().weight.numel()
    head = model.get_output_embeddings()
    projections = [
        m.weight.numel()
        for m in model.modules()
        if projection_shape(m) is not None and m is not head
    ]
    tied = head is not None and head.weight is model.get_input_embeddings().weight
    return Shape(
        config,
        found,
        total,
        sum(projections),
        total - (0 if tied else embeddings),
        max(projections),
        config.num_hidden_layers,
        config.hidden_size,
    )


Trained = LoraConfig | Literal["mlps"]  # an expert: low-rank updates, or copies of the MLPs


def trained_of(experts: ExpertsConfig) -> Trained:
    return experts.lora if experts.method == "lora" else "mlps"


def adapter_parameters(config: PreTrainedConfig, lora: Trained) -> int:
    """Trainable parameters of one expert: rank * (inputs + outputs) for each projection it adapts,
    and a magnitude for each output under DoRA; or all of the MLPs."""
    model = skeleton(config)
    if not isinstance(lora, LoraConfig):
        row = architecture_of(config.model_type)
        mlps = [layer.get_submodule(row.mlp) for layer in layers_of(model)]
        return sum(p.numel() for mlp in mlps for p in mlp.parameters())
    names = target_modules(config.model_type, lora.target, model)
    return sum(
        lora.rank * (inputs + outputs) + (outputs if lora.use_dora else 0)
        for inputs, outputs in adapted(model, names).values()
    )


def adapted(model: nn.Module, names: Sequence[str]) -> dict[str, tuple[int, int]]:
    """(inputs, outputs) of each projection that these names adapt, by its path."""
    return {
        path: size
        for path, module in model.named_modules()
        if (size := projection_shape(module)) is not None
        and any(f".{path}".endswith(f".{name}") for name in names)
    }
