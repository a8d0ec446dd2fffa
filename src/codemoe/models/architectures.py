"""THE table of decoders: where each keeps its layers, its MLP and its attention projections."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from codemoe.errors import UserError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Architecture:
    """One row. `layers` is a dotted path from the causal LM; the rest are names within a layer.

    An MLP of two projections is down(act(up x)), one of three is down(act(gate x) * up x); with
    `fused_gate` the first of two holds the rows of gate, then those of up.
    """

    layers: str
    mlp: str
    mlp_projections: tuple[str, ...]
    activation: str
    attention: str
    attention_projections: tuple[str, ...]
    fused_gate: bool = False


HEAD = "lm_head"  # in all of them
_QKVO = ("q_proj", "k_proj", "v_proj", "o_proj")
_LLAMA_LIKE = Architecture(
    "model.layers", "mlp", ("gate_proj", "up_proj", "down_proj"), "act_fn", "self_attn", _QKVO
)
_GPT2_LIKE = Architecture(
    "transformer.h", "mlp", ("c_fc", "c_proj"), "act", "attn", ("c_attn", "c_proj")
)

ARCHITECTURES: dict[str, Architecture] = {
    "mistral": _LLAMA_LIKE,
    "llama": _LLAMA_LIKE,
    "qwen2": _LLAMA_LIKE,
    "qwen3": _LLAMA_LIKE,
    "gemma": _LLAMA_LIKE,
    "gemma2": _LLAMA_LIKE,
    "gemma3_text": _LLAMA_LIKE,
    "phi": Architecture(
        "model.layers",
        "mlp",
        ("fc1", "fc2"),
        "activation_fn",
        "self_attn",
        ("q_proj", "k_proj", "v_proj", "dense"),
    ),
    "phi3": Architecture(
        "model.layers",
        "mlp",
        ("gate_up_proj", "down_proj"),
        "activation_fn",
        "self_attn",
        ("qkv_proj", "o_proj"),
        fused_gate=True,
    ),
    "starcoder2": Architecture(
        "model.layers", "mlp", ("c_fc", "c_proj"), "act", "self_attn", _QKVO
    ),
    "gpt2": _GPT2_LIKE,
    "gpt_bigcode": _GPT2_LIKE,
    "gpt_neo": replace(
        _GPT2_LIKE,
        attention="attn.attention",
        attention_projections=("q_proj", "k_proj", "v_proj", "out_proj"),
    ),
    "gpt_neox": Architecture(
        "gpt_neox.layers",
        "mlp",
        ("dense_h_to_4h", "dense_4h_to_h"),
        "act",
        "attention",
        ("query_key_value", "dense"),
    ),
    "gptj": replace(
        _GPT2_LIKE,
        mlp_projections=("fc_in", "fc_out"),
        attention_projections=("q_proj", "k_proj", "v_proj", "out_proj"),
    ),
    "codegen": replace(
        _GPT2_LIKE,
        mlp_projections=("fc_in", "fc_out"),
        attention_projections=("qkv_proj", "out_proj"),
    ),
}


def architecture_of(model_type: str, model: "nn.Module | None" = None) -> Architecture:
    """The row of a `config.model_type`; a UserError that lists the known ones otherwise.

    With the model at hand, the error also says what its row could be written from.
    """
    row = ARCHITECTURES.get(model_type)
    if row is None:
        found = "" if model is None else f"; {_anatomy(model)}"
        raise UserError(
            f"codemoe does not know where a {model_type!r} model keeps its MLPs; "
            f"known: {', '.join(sorted(ARCHITECTURES))}{found}",
            "use a base of one of these types, or add a row to codemoe/models/architectures.py",
        )
    return row


def target_modules(
    model_type: str, target: str, model: "nn.Module | None" = None
) -> tuple[str, ...]:
    """Projection names that experts adapt, as PEFT's `target_modules` has them.

    Names are prefixed by their parent, because "c_proj" may live in the MLP and the attention.
    """
    row = architecture_of(model_type, model)
    mlp = tuple(f"{row.mlp}.{name}" for name in row.mlp_projections)
    attention = tuple(f"{row.attention}.{name}" for name in row.attention_projections)
    both = mlp + attention
    return {"mlp": mlp, "attention": attention, "both": both, "all": (*both, HEAD)}[target]


def layers_of(model: "nn.Module") -> "nn.ModuleList":
    """The decoder layers of a causal LM, in order."""
    from torch import nn

    row = architecture_of(model.config.model_type, model)  # type: ignore[union-attr, arg-type]
    layers = model.get_submodule(row.layers)
    assert isinstance(layers, nn.ModuleList)
    return layers


def is_transposed(projection: "nn.Module") -> bool:
    """Whether its weight is (inputs, outputs), as in GPT-2's Conv1D; nn.Linear's is the other."""
    from transformers.pytorch_utils import Conv1D

    return isinstance(projection, Conv1D)


def projection_shape(projection: "nn.Module") -> tuple[int, int] | None:
    """(inputs, outputs) of a linear map, quantised or not; None for any other module."""
    from torch import nn

    if is_transposed(projection):
        return int(projection.nx), int(projection.nf)  # type: ignore[arg-type]
    if isinstance(projection, nn.Linear):
        return projection.in_features, projection.out_features
    return None


def _anatomy(model: "nn.Module") -> str:
    """Where an unknown decoder seems to keep its layers, and the projections of one, by parent."""
    from torch import nn

    lists = [(path, m) for path, m in model.named_modules() if isinstance(m, nn.ModuleList) and m]
    if not lists:
        return "this one has no list of layers"
    # The most parameters, not the most entries: a layer may hold a longer list of its own.
    path, layers = max(lists, key=lambda entry: sum(p.numel() for p in entry[1].parameters()))
    found: dict[str, list[str]] = {}
    for name, module in layers[0].named_modules():
        shape = projection_shape(module)
        if shape is not None:
            parent, _, child = name.rpartition(".")
            found.setdefault(parent, []).append(f"{child} {shape[0]} -> {shape[1]}")
    parts = [f"{parent or 'itself'} ({', '.join(names)})" for parent, names in found.items()]
    return f"in this one each of {path!r} holds the projections {'; '.join(parts) or 'none'}"
