"""Families of published models: what sets their architecture apart, for bases that are not here.

Only what survives shrinking: the type, how queries share keys, odd head sizes, tied embeddings,
layer patterns. Sizes are those of a small member; `plan/published.py` has whole configs.
"""

import re
from typing import Any

_GROUPED = {"num_attention_heads": 8, "num_key_value_heads": 2}
_EVERY_HEAD = {"num_attention_heads": 8, "num_key_value_heads": 8}
_ONE_KEY = {"multi_query": True, "n_positions": 2048}
_HEAD_SIZE = {"head_dim": 128, "hidden_size": 512}  # not hidden_size / num_attention_heads
_TIED, _UNTIED = {"tie_word_embeddings": True}, {"tie_word_embeddings": False}

# (name on the hub, model_type, what differs from transformers' defaults). The first match counts.
FAMILIES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (r"mistralai/(Mistral-7B|Ministral|Codestral|Mathstral).*", "mistral", _GROUPED | _UNTIED),
    (r"codellama/CodeLlama-(7|13)b.*", "llama", _EVERY_HEAD | _UNTIED),
    (r"codellama/.*", "llama", _GROUPED | _UNTIED),
    (r"meta-llama/Llama-2-(7|13)b.*", "llama", _EVERY_HEAD | _UNTIED),
    (r"meta-llama/(Llama-3\.2-[13]B).*", "llama", _GROUPED | _TIED),
    (r"meta-llama/(Meta-)?Llama-[23].*", "llama", _GROUPED | _UNTIED),
    (r"deepseek-ai/deepseek-coder-(1\.3b|6\.7b).*", "llama", _EVERY_HEAD | _UNTIED),
    (r"deepseek-ai/deepseek-coder-33b.*", "llama", _GROUPED | _UNTIED),
    (r"(TinyLlama|HuggingFaceTB)/(TinyLlama|SmolLM)(?!3).*", "llama", _GROUPED),
    (r"Qwen/Qwen(1\.5|2|2\.5)(-Coder)?-(0\.5|1\.5|1\.8|3)B.*", "qwen2", _GROUPED | _TIED),
    (r"Qwen/(Code)?Qwen(1\.5|2|2\.5)(-Coder)?-(7|14|32|72)B.*", "qwen2", _GROUPED | _UNTIED),
    (r"Qwen/Qwen3-(0\.6|1\.7|4)B.*", "qwen3", _GROUPED | _HEAD_SIZE | _TIED),
    (r"Qwen/Qwen3-(8|14|32)B.*", "qwen3", _GROUPED | _UNTIED),
    (r"bigcode/starcoder2-.*", "starcoder2", _GROUPED | _TIED),
    (r"bigcode/(starcoder|santacoder|gpt_bigcode|tiny_starcoder).*", "gpt_bigcode", _ONE_KEY),
    (r"microsoft/phi-(1|1_5|2)$", "phi", {"partial_rotary_factor": 0.4}),
    (r"microsoft/Phi-3(\.5)?-(mini|medium)-.*", "phi3", _EVERY_HEAD),
    (r"google/(gemma|codegemma)-2b.*", "gemma", {"num_key_value_heads": 1} | _HEAD_SIZE),
    (r"google/(gemma|codegemma)-(1\.1-)?7b.*", "gemma", _EVERY_HEAD | _HEAD_SIZE),
    (r"google/gemma-2-.*", "gemma2", _GROUPED | _HEAD_SIZE),
    (r"google/gemma-3-(270m|1b).*", "gemma3_text", {"num_key_value_heads": 1} | _HEAD_SIZE),
    (r"EleutherAI/gpt-neo-.*", "gpt_neo", {}),
    (r"EleutherAI/gpt-j-.*", "gptj", {}),
    (r"EleutherAI/(pythia|gpt-neox|polyglot)-.*", "gpt_neox", {}),
    (r"Salesforce/codegen-.*", "codegen", {}),
    (r"(openai-community/)?gpt2(-medium|-large|-xl)?", "gpt2", {}),
)


def family_of(model: str) -> tuple[str, dict[str, Any]] | None:
    """`model_type` and the keys of its config that are known, by a model's name on the hub."""
    for pattern, model_type, keys in FAMILIES:
        if re.fullmatch(pattern, model, re.IGNORECASE):
            return model_type, dict(keys)
    return None
