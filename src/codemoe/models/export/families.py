"""THE table of sparse checkpoints: which base becomes which model type, and what its tensors are
called on disk. Of configs as they are stored, so that nobody has to import a library for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from codemoe.errors import UserError

# Of the base's config; what one of them lacks is left out.
_CARRIED = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "initializer_range",
    "rms_norm_eps",
    "attention_bias",
    "attention_dropout",
    "rope_parameters",
    "rope_theta",  # these two in configs of before 2026
    "rope_scaling",
    "tie_word_embeddings",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
# Qwen2-MoE always adds a shared expert. Ours is zero, and so is its output, exactly. It has eight
# rows, not one, because tensor-parallel servers divide them among their devices.
SHARED_EXPERT_SIZE = 8


@dataclass(frozen=True)
class Family:
    """One row. Names are within a layer, `{}` standing for the expert's number.

    `settings` are the fields of the new config that the base's config does not have.
    """

    model_type: str
    architecture: str
    gate: str
    experts: Mapping[str, str]  # the base's projection -> its name for expert {}
    settings: Callable[[Mapping[str, Any], int], dict[str, Any]]
    zeros: Callable[[Mapping[str, Any]], dict[str, tuple[int, ...]]] = lambda config: {}


def _mixtral(config: Mapping[str, Any], num_experts: int) -> dict[str, Any]:
    # MixtralTopKRouter divides the chosen weights by their sum, as ours does; of one, that is 1.
    return {
        "num_local_experts": num_experts,
        "sliding_window": config.get("sliding_window"),
    }


def _qwen(config: Mapping[str, Any], num_experts: int) -> dict[str, Any]:
    return {
        "num_experts": num_experts,
        "norm_topk_prob": True,  # the chosen weights sum to 1
        "moe_intermediate_size": config["intermediate_size"],
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "use_sliding_window": False,
    }


def _qwen2(config: Mapping[str, Any], num_experts: int) -> dict[str, Any]:
    shared = {"shared_expert_intermediate_size": SHARED_EXPERT_SIZE, "qkv_bias": True}
    return _qwen(config, num_experts) | shared


def _shared_expert(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {
        "mlp.shared_expert.gate_proj.weight": (SHARED_EXPERT_SIZE, config["hidden_size"]),
        "mlp.shared_expert.up_proj.weight": (SHARED_EXPERT_SIZE, config["hidden_size"]),
        "mlp.shared_expert.down_proj.weight": (config["hidden_size"], SHARED_EXPERT_SIZE),
        "mlp.shared_expert_gate.weight": (1, config["hidden_size"]),
    }


_MIXTRAL = Family(
    model_type="mixtral",
    architecture="MixtralForCausalLM",
    gate="block_sparse_moe.gate.weight",
    experts={
        "mlp.gate_proj": "block_sparse_moe.experts.{}.w1.weight",
        "mlp.down_proj": "block_sparse_moe.experts.{}.w2.weight",
        "mlp.up_proj": "block_sparse_moe.experts.{}.w3.weight",
    },
    settings=_mixtral,
)
_QWEN_EXPERTS = {
    f"mlp.{name}": f"mlp.experts.{{}}.{name}.weight"
    for name in ("gate_proj", "up_proj", "down_proj")
}

# format -> the base's model type -> the row
FAMILIES: dict[str, dict[str, Family]] = {
    "mixtral": {"mistral": _MIXTRAL, "llama": _MIXTRAL},
    "gguf": {"mistral": _MIXTRAL, "llama": _MIXTRAL},  # the same function, stored otherwise
    "qwen-moe": {
        "qwen2": Family(
            "qwen2_moe",
            "Qwen2MoeForCausalLM",
            "mlp.gate.weight",
            _QWEN_EXPERTS,
            _qwen2,
            _shared_expert,
        ),
        "qwen3": Family(
            "qwen3_moe", "Qwen3MoeForCausalLM", "mlp.gate.weight", _QWEN_EXPERTS, _qwen
        ),
    },
}


def family_of(to: str, config: Mapping[str, Any]) -> Family:
    """The row for a base; a UserError that says why when this base cannot take this form."""
    model_type = config.get("model_type", "")
    family = FAMILIES[to].get(model_type)
    if family is None:
        fitting = [name for name, bases in FAMILIES.items() if model_type in bases]
        raise UserError(
            f"a {model_type} base cannot become {to}, which holds the attention of "
            f"{' or '.join(FAMILIES[to])} only",
            f"--to {fitting[0]}" if fitting else "--to lora-pack",
        )
    reason = _unlike(family, config)
    if reason:
        raise UserError(
            f"the base has {reason}, so the export would be another function", "--to lora-pack"
        )
    return family


def _unlike(family: Family, config: Mapping[str, Any]) -> str | None:
    """What the base computes and the sparse model cannot; None when there is no such thing."""
    if config.get("quantization_config"):
        return "quantized weights (quantization_config)"
    if family.model_type == "mixtral":
        for key in ("mlp_bias", "attention_bias"):
            if config.get(key):
                return f"{key}=true, and Mixtral has no such biases"
    if config.get("use_sliding_window"):
        # Qwen2 and Qwen3 slide in some layers, the sparse models in others or in all.
        return "use_sliding_window=true, and the sparse model slides in other layers"
    return None


# What a base's config may leave out, and what the sparse model would take for granted otherwise.
_UNSAID: dict[str, dict[str, Any]] = {
    "mistral": {"rms_norm_eps": 1e-6, "num_key_value_heads": 8, "sliding_window": 4096},
    "llama": {"rms_norm_eps": 1e-6, "max_position_embeddings": 2048},
    "qwen2": {"num_key_value_heads": 32},
    "qwen3": {"num_key_value_heads": 32, "head_dim": 128},
}


def sparse_config(
    family: Family, config: Mapping[str, Any], num_experts: int, dtype: str, top_k: int = 1
) -> dict[str, Any]:
    """The config of the export, from the base's, as config.json holds them."""
    whole = _UNSAID.get(config["model_type"], {}) | dict(config)
    if not whole.get("rope_parameters"):
        whole.setdefault("rope_theta", 10000.0)
    whole.setdefault("num_key_value_heads", whole["num_attention_heads"])
    carried = {name: whole[name] for name in _CARRIED if name in whole}
    if family.model_type != "qwen3_moe":
        carried.pop("attention_bias", None)
    named = {"model_type": family.model_type, "architectures": [family.architecture]}
    settings = family.settings(whole, num_experts) | {"num_experts_per_tok": top_k}
    return named | carried | settings | {"dtype": dtype}
