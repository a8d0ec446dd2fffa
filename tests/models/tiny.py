"""Tiny random-weight checkpoints of every architecture of the table, and random adapters."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from codemoe.train.tokenizer import train_tokenizer

_COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "mistral": _COMMON | {"sliding_window": None},
    "llama": _COMMON,
    "qwen2": _COMMON,
    "qwen3": _COMMON | {"head_dim": 8},
    "gemma2": _COMMON | {"head_dim": 8},
    "phi": {k: v for k, v in _COMMON.items() if k != "num_key_value_heads"},
    "starcoder2": _COMMON,
    "gpt_neox": {k: v for k, v in _COMMON.items() if k != "num_key_value_heads"},
    "gpt_neo": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global", "local"], 1]],
        "max_position_embeddings": 256,
    },
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    texts = ["### Task: add two numbers\n### Language: Python\n### Code:\ndef add(a, b):\n"] * 3
    return train_tokenizer(texts, 400)


def tiny_model(model_type: str, seed: int = 0) -> Any:
    """A random model whose weights are large enough for differences to show."""
    torch.manual_seed(seed)
    config = AutoConfig.for_model(model_type, vocab_size=400, pad_token_id=2, **CONFIGS[model_type])
    config.bos_token_id, config.eos_token_id = 0, 1
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.1)
    return model.eval()


def save_checkpoint(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def random_adapter(base: Path, out: Path, target: str, rank: int, seed: int) -> Path:
    """A PEFT LoRA directory with random (not zero) factors, written by PEFT itself."""
    import peft

    from codemoe.recipe import LoraConfig
    from codemoe.train.sft import lora_config

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base)
    wrapped = peft.get_peft_model(
        model,
        lora_config(model, LoraConfig(rank=rank, alpha=rank * 2, target=target)),  # type: ignore[arg-type]
    )
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1)
    wrapped.save_pretrained(str(out))
    return out
