"""Configs of the recipes' hub bases, so that a plan needs neither network nor download.

As published in the `config.json` of each repository; only the keys that shapes come from, and the
type of the weights where it is known. A config in the hub's local cache or in a checkpoint folder
comes first.
"""

from typing import Any

PUBLISHED: dict[str, dict[str, Any]] = {
    # https://huggingface.co/mistralai/Mistral-7B-v0.1 (arXiv:2310.06825, table 1)
    "mistralai/Mistral-7B-v0.1": {
        "model_type": "mistral",
        "dtype": "bfloat16",
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
        "dtype": "bfloat16",
        "vocab_size": 151936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
    },
    # https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B (arXiv:2409.12186, table 1)
    "Qwen/Qwen2.5-Coder-1.5B": {
        "model_type": "qwen2",
        "dtype": "bfloat16",
        "vocab_size": 151936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
    },
    # https://huggingface.co/bigcode/gpt_bigcode-santacoder (arXiv:2301.03988)
    "bigcode/gpt_bigcode-santacoder": {
        "model_type": "gpt_bigcode",
        "vocab_size": 49280,
        "n_embd": 2048,
        "n_inner": 8192,
        "n_layer": 24,
        "n_head": 16,
        "n_positions": 2048,
        "multi_query": True,
    },
    # https://huggingface.co/bigcode/starcoder2-3b (arXiv:2402.19173, table 6)
    "bigcode/starcoder2-3b": {
        "model_type": "starcoder2",
        "vocab_size": 49152,
        "hidden_size": 3072,
        "intermediate_size": 12288,
        "num_hidden_layers": 30,
        "num_attention_heads": 24,
        "num_key_value_heads": 2,
        "max_position_embeddings": 16384,
        "sliding_window": 4096,
        "use_bias": True,
        "tie_word_embeddings": True,
    },
    # https://huggingface.co/microsoft/phi-2
    "microsoft/phi-2": {
        "model_type": "phi",
        "dtype": "float16",
        "vocab_size": 51200,
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "partial_rotary_factor": 0.4,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": False,
    },
    # https://huggingface.co/EleutherAI/gpt-neo-125m
    "EleutherAI/gpt-neo-125m": {
        "model_type": "gpt_neo",
        "vocab_size": 50257,
        "hidden_size": 768,
        "num_layers": 12,
        "num_heads": 12,
        "attention_types": [[["global", "local"], 6]],
        "window_size": 256,
        "max_position_embeddings": 2048,
    },
}
