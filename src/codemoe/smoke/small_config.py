"""A model's config with every size shrunk and everything else kept: the same architecture.

Kept are the relations that code depends on: whether queries share keys, whether a head is as wide
as its share of the hidden size, tied embeddings, the pattern of layer kinds, windows and biases.
"""

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

_HEADS, _HEAD_DIM, _LAYERS = 4, 16, 2
_HIDDEN = _HEADS * _HEAD_DIM
_INTERMEDIATE = 96
# What a config says of the checkpoint it came with, and not of the architecture.
_OF_THE_CHECKPOINT = ("quantization_config", "_name_or_path", "dtype", "torch_dtype", "auto_map")


def small_config(config: PreTrainedConfig, vocab_size: int, special: dict[str, int | None]) -> Any:
    """`special` are the token ids that the small model's tokenizer has for bos, eos and pad."""
    keys = {k: v for k, v in config.to_dict().items() if k not in _OF_THE_CHECKPOINT}
    names: dict[str, str] = getattr(config, "attribute_map", {})

    def put(name: str, value: Any) -> None:
        """Under the name this architecture has for it; what it has not is not invented."""
        own = names.get(name, name)
        if keys.get(own) is not None:
            keys[own] = value

    heads, hidden = config.num_attention_heads, config.hidden_size
    put("hidden_size", _HIDDEN)
    put("num_attention_heads", _HEADS)
    put("num_key_value_heads", _keys_shared(heads, getattr(config, "num_key_value_heads", None)))
    put("intermediate_size", _INTERMEDIATE)
    put("n_inner", _INTERMEDIATE)
    put("vocab_size", vocab_size)
    own_width = getattr(config, "head_dim", None)
    small_width = _HEAD_DIM if own_width in (None, hidden // heads) else 2 * _HEAD_DIM
    put("head_dim", small_width)
    rotary = keys.get("rotary_dim")
    if rotary:
        keys["rotary_dim"] = max(2, round(_HEAD_DIM * rotary / (hidden // heads) / 2) * 2)
    _shrink_long_rope(keys, small_width)
    put("num_hidden_layers", _shrink_layers(keys))
    keys |= {f"{name}_token_id": value for name, value in special.items()}
    return AutoConfig.for_model(keys.pop("model_type"), **keys)


def _keys_shared(heads: int, key_value_heads: int | None) -> int:
    """Keys and values of each head's own, of all heads, or of groups, as it was."""
    if key_value_heads is None or key_value_heads == heads:
        return _HEADS
    return 1 if key_value_heads == 1 else _HEADS // 2


def _shrink_layers(keys: dict[str, Any]) -> int:
    """Trim what is listed by layer to one of each kind; returns how many layers there are."""
    if keys.get("attention_types"):  # GPT-Neo: [[kinds, times], ...]
        kinds = list(keys["attention_types"][0][0])
        keys["attention_types"] = [[kinds, 1]]
        keys.pop("attention_layers", None)
        return len(kinds)
    if keys.get("layer_types"):
        kinds = list(dict.fromkeys(keys["layer_types"]))
        while len(kinds) < _LAYERS:
            kinds.append(kinds[-1])
        keys["layer_types"] = kinds
        return len(kinds)
    return _LAYERS


def _shrink_long_rope(keys: dict[str, Any], head_dim: int) -> None:
    """Phi-3's long contexts have a factor for each pair of a head's rotated features."""
    for name in ("rope_parameters", "rope_scaling"):
        rope = keys.get(name)
        if not isinstance(rope, dict):
            continue
        pairs = int(head_dim * (rope.get("partial_rotary_factor") or 1)) // 2
        keys[name] = {
            key: value[:pairs] if isinstance(value, list) else value for key, value in rope.items()
        }
