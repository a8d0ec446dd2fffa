"""Tiny checkpoint folders with any config, tokens and weights; nothing that has to be loaded."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

WIDTH, INNER, LAYERS, VOCABULARY = 16, 24, 3, 40
CONFIG: dict[str, Any] = {
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000.0,
    "max_position_embeddings": 64,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "vocab_size": VOCABULARY,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}


def weights(seed: int, vocabulary: int = VOCABULARY, layers: int = LAYERS) -> dict[str, Any]:
    random = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, WIDTH)}
    for i in range(layers):
        at = f"model.layers.{i}."
        shapes |= {
            f"{at}self_attn.q_proj.weight": (WIDTH, WIDTH),
            f"{at}self_attn.k_proj.weight": (WIDTH // 2, WIDTH),
            f"{at}self_attn.v_proj.weight": (WIDTH // 2, WIDTH),
            f"{at}self_attn.o_proj.weight": (WIDTH, WIDTH),
            f"{at}mlp.gate_proj.weight": (INNER, WIDTH),
            f"{at}mlp.up_proj.weight": (INNER, WIDTH),
            f"{at}mlp.down_proj.weight": (WIDTH, INNER),
            f"{at}input_layernorm.weight": (WIDTH,),
            f"{at}post_attention_layernorm.weight": (WIDTH,),
        }
    shapes |= {"model.norm.weight": (WIDTH,), "lm_head.weight": (vocabulary, WIDTH)}
    return {name: torch.randn(shape, generator=random) * 0.1 for name, shape in shapes.items()}


def tokens(*extra: str, count: int = VOCABULARY) -> list[str]:
    return ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(count - 3 - len(extra))), *extra]


def checkpoint(
    folder: Path,
    seed: int = 0,
    *,
    tensors: dict[str, torch.Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
    vocabulary: list[str] | None = None,
    template: str | None = None,
    special: dict[str, str] | None = None,
    shards: int = 1,
    **config: Any,
) -> Path:
    """A checkpoint folder; keyword arguments change its config (None removes a key)."""
    folder.mkdir(parents=True)
    listed = tokens() if vocabulary is None else vocabulary
    tensors = weights(seed, len(listed)) if tensors is None else tensors
    tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
    names = list(tensors)
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    else:
        index = {}
        for i in range(shards):
            file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
            part = {name: tensors[name] for name in names[i::shards]}
            save_file(part, folder / file, metadata={"format": "pt"})
            index |= dict.fromkeys(part, file)
        text = json.dumps({"metadata": {}, "weight_map": index})
        (folder / "model.safetensors.index.json").write_text(text)
    whole = CONFIG | {"vocab_size": len(listed)} | config
    whole = {key: value for key, value in whole.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(whole))
    tree = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Whitespace"},
        "model": {
            "type": "WordLevel",
            "vocab": {token: i for i, token in enumerate(listed)},
            "unk_token": "<unk>",
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(tree))
    roles = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | (special or {})
    settings: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", **roles}
    if template is not None:
        settings["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def load(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        found |= load_file(file)
    return found


def recipe(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
