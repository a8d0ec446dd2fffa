"""Tiny random-weight checkpoints of every architecture of the table, adapters and routers."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from codemoe.routing.record import Routing
from codemoe.routing.routers import route_top1
from codemoe.train.tokenizer import train_tokenizer

_COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
_NO_GROUPED_QUERIES = {k: v for k, v in _COMMON.items() if k != "num_key_value_heads"}
_GPT2_LIKE: dict[str, Any] = {
    "n_embd": 32,
    "n_inner": 48,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 256,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "mistral": _COMMON | {"sliding_window": None},
    "llama": _COMMON,
    "qwen2": _COMMON,
    "qwen3": _COMMON | {"head_dim": 8},
    "gemma": _COMMON | {"head_dim": 8},
    "gemma2": _COMMON | {"head_dim": 8},
    "gemma3_text": _COMMON
    | {
        "head_dim": 8,
        "query_pre_attn_scalar": 8,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 32,
    },
    "phi": _NO_GROUPED_QUERIES,
    "phi3": _COMMON,
    "starcoder2": _COMMON,
    "gpt2": _GPT2_LIKE,
    "gpt_bigcode": _GPT2_LIKE,
    "gptj": _GPT2_LIKE | {"rotary_dim": 4},
    "codegen": _GPT2_LIKE | {"rotary_dim": 4},
    "gpt_neox": _NO_GROUPED_QUERIES,
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


def tiny_model(model_type: str, seed: int = 0, **changes: Any) -> Any:
    """A random model whose weights are large enough for differences to show."""
    torch.manual_seed(seed)
    options = CONFIGS[model_type] | changes
    config = AutoConfig.for_model(model_type, vocab_size=400, pad_token_id=2, **options)
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


def peft_model(base: Path, adapters: dict[str, tuple[str, int]], seed: int = 0) -> Any:
    """PEFT's own model of a base with random (not zero) adapters, each a (target, rank)."""
    import peft

    from codemoe.recipe import LoraConfig
    from codemoe.train.sft import lora_config

    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    configs = {
        name: lora_config(model, LoraConfig(rank=rank, alpha=rank * 2, target=target))  # type: ignore[arg-type]
        for name, (target, rank) in adapters.items()
    }
    first, *others = configs
    wrapped = peft.get_peft_model(model, configs[first], adapter_name=first)
    for name in others:
        wrapped.add_adapter(name, configs[name])
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1)
    return wrapped.eval()


def random_adapter(base: Path, out: Path, target: str, rank: int, seed: int) -> Path:
    """A PEFT LoRA directory, written by PEFT itself."""
    peft_model(base, {"default": (target, rank)}, seed).save_pretrained(str(out))
    return out


class Always(nn.Module):
    """A router that sends every token to one expert."""

    def __init__(self, expert: int, num_experts: int) -> None:
        super().__init__()
        self.expert, self.num_experts = expert, num_experts

    def forward(self, x_ND: torch.Tensor) -> Routing:
        logits_NE = torch.zeros(len(x_ND), self.num_experts)
        logits_NE[:, self.expert] = 100.0
        return route_top1(logits_NE)


class TopK(nn.Module):
    """Mixtral's router: the weights of the k likeliest experts, scaled to a sum (of 1 there)."""

    def __init__(self, weight_ED: torch.Tensor, k: int, total: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight_ED)
        self.k, self.total = k, total

    def forward(self, x_ND: torch.Tensor) -> Routing:
        logits_NE = nn.functional.linear(x_ND, self.weight).float()
        probs_NE = logits_NE.softmax(-1)
        top_NK, experts_NK = probs_NE.topk(self.k)
        weights_NK = self.total * top_NK / top_NK.sum(-1, keepdim=True)
        return Routing(weights_NK, experts_NK, probs_NE, logits_NE)
