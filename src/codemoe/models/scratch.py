"""The config of a base that a run makes itself: a tiny Mistral, or a tiny GPT-Neo."""

from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from codemoe.recipe import ScratchConfig


def scratch_model_config(config: ScratchConfig, **tokens: Any) -> PreTrainedConfig:
    """`tokens` are the tokenizer's: its vocab_size and special token ids."""
    common: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_position_embeddings,
        "initializer_range": config.initializer_range,
        "tie_word_embeddings": True,
    } | tokens
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    if config.model_type == "gpt_neo":
        # As published: layers that see everything and layers that see a window, in turns.
        kinds = [[["global", "local"], layers // 2]] + [[["global"], 1]] * (layers % 2)
        kinds = [kind for kind in kinds if kind[1]]
        own: dict[str, Any] = {"num_layers": layers, "num_heads": heads, "attention_types": kinds}
    else:
        own = {
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": config.num_key_value_heads,
            "sliding_window": None,
        }
    return AutoConfig.for_model(config.model_type, **common, **own)
