"""Configs of the recipes' hub bases, so that a plan needs neither network nor download.

As published in the `config.json` of each repository; only the keys that shapes come from. A config
in the hub's local cache or in a checkpoint folder comes first.
"""

from typing import Any

PUBLISHED: dict[str, dict[str, Any]] = {
    # https://huggingface.co/mistralai/Mistral-7B-v0.1 (arXiv:2310.06825, table 1)
    "mistralai/Mistral-7B-v0.1": {
        "model_type": "mistral",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 32768,
        "sliding_window": 4096,
        "tie_word_embeddings": False,
    },
    # https://huggingface.co/Qwen/Qwen2.5-Coder-0.5B (arXiv:2409.12186, table 1)
    "Qwen/Qwen2.5-Coder-0.5B": {
        "model_type": "qwen2",
        "vocab_size": 151936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
    },
}
