"""THE table of decoders: where each keeps its layers, its MLP and its attention projections."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from codemoe.errors import UserError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """One row. `layers` is a dotted path from the causal LM; the rest are names within a layer."""

    layers: str
    mlp: str
    mlp_projections: tuple[str, ...]
    attention: str
    attention_projections: tuple[str, ...]


_GATED = ("gate_proj", "up_proj", "down_proj")
_QKVO = ("q_proj", "k_proj", "v_proj", "o_proj")
_LLAMA_LIKE = Architecture("model.layers", "mlp", _GATED, "self_attn", _QKVO)

ARCHITECTURES: dict[str, Architecture] = {
    "mistral": _LLAMA_LIKE,
    "llama": _LLAMA_LIKE,
    "qwen2": _LLAMA_LIKE,
    "qwen3": _LLAMA_LIKE,
    "gemma2": _LLAMA_LIKE,
    "phi": Architecture(
        "model.layers", "mlp", ("fc1", "fc2"), "self_attn", ("q_proj", "k_proj", "v_proj", "dense")
    ),
    "starcoder2": Architecture("model.layers", "mlp", ("c_fc", "c_proj"), "self_attn", _QKVO),
    "gpt_neox": Architecture(
        "gpt_neox.layers",
        "mlp",
        ("dense_h_to_4h", "dense_4h_to_h"),
        "attention",
        ("query_key_value", "dense"),
    ),
    "gpt_neo": Architecture(
        "transformer.h",
        "mlp",
        ("c_fc", "c_proj"),
        "attn.attention",
        ("q_proj", "k_proj", "v_proj", "out_proj"),
    ),
}


def architecture_of(model_type: str) -> Architecture:
    """The row of a `config.model_type`; a UserError that lists the known ones otherwise."""
    row = ARCHITECTURES.get(model_type)
    if row is None:
        raise UserError(
            f"codemoe does not know where a {model_type!r} model keeps its MLPs; "
            f"known: {', '.join(sorted(ARCHITECTURES))}",
            "use a base of one of these types, or add a row to codemoe/models/architectures.py",
        )
    return row


def target_modules(model_type: str, target: str) -> tuple[str, ...]:
    """Projection names that experts adapt, as PEFT's `target_modules` has them.

    Names are prefixed by their parent, because "c_proj" may live in the MLP and the attention.
    """
    row = architecture_of(model_type)
    mlp = tuple(f"{row.mlp}.{name}" for name in row.mlp_projections)
    attention = tuple(f"{row.attention}.{name}" for name in row.attention_projections)
    return {"mlp": mlp, "attention": attention, "both": mlp + attention}[target]


def layers_of(model: "nn.Module") -> "nn.ModuleList":
    """The decoder layers of a causal LM, in order."""
    from torch import nn

    layers = model.get_submodule(architecture_of(model.config.model_type).layers)  # type: ignore[union-attr, arg-type]
    assert isinstance(layers, nn.ModuleList)
    return layers
