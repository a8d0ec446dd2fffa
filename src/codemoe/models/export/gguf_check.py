"""Reload a GGUF file in a real llama.cpp and compare its log-probabilities with the mixture's."""

# B sequences, T tokens, V vocabulary, K likeliest tokens

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from codemoe.data.prompt import format_prompt
from codemoe.errors import WorkError
from codemoe.models.export.check import PROBES, Check, judge, make_probe
from codemoe.models.export.reference import token_reference
from codemoe.models.export.source import Source

_LIKELIEST = 20  # tokens compared at a position
_EVERY = 4  # positions: llama.cpp answers a request for each
_LEAST = 3  # positions that must be compared
# llama.cpp rounds activations to the precision of the weights that it multiplies them with.
_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


def check_gguf(
    source: Source,
    file: Path,
    tokenizer: PreTrainedTokenizerBase,
    dtype: torch.dtype,
    max_memory: int,
    scratch: Path,
) -> Check:
    """Prompts as text, so that the tokenizer is checked too, and as tokens at several lengths.

    In half precision that rounding may turn a gate that is near to a tie, so there the median
    position decides.
    """
    probe = make_probe(tokenizer)
    reference = token_reference(source, probe.ids_BT, dtype, max_memory, scratch)
    logprobs_BTV = reference.logits_BTV.log_softmax(-1)
    exact = dtype == torch.float32
    server = _serve(file)
    differences = []
    for row, (language, text, _) in enumerate(PROBES):
        ids, num_prompt = probe.ids_BT[row].tolist(), probe.num_prompt[row]
        asked: list[tuple[Any, int]] = [(format_prompt(text, language), num_prompt)]
        asked += [(ids[:n], n) for n in range(1, probe.num_tokens[row] + 1, _EVERY)]
        for what, num_tokens in asked:
            ids_K, found_K, num_read = _next_token(server, what)
            if num_read != num_tokens:
                raise WorkError(
                    f"llama.cpp reads {num_read} tokens where the base's tokenizer reads "
                    f"{num_tokens}: {what!r}",
                    "--to mixtral",
                )
            if len(ids_K) and (reference.settled_BT[row, num_tokens - 1] or not exact):
                expected_K = logprobs_BTV[row, num_tokens - 1, ids_K]
                differences.append(float((found_K - expected_K).abs().max()))
    if len(differences) < _LEAST:
        raise WorkError(
            f"llama.cpp told probabilities at {len(differences)} positions only: too few",
            "--to mixtral",
        )
    scale = float(reference.logits_BTV.abs().max())
    return judge(
        f"llama.cpp (xllamacpp {version('xllamacpp')})",
        torch.tensor(differences),
        _TOLERANCE[dtype] * max(1.0, scale),
        reference.rounding,
        by_median=not exact,
    )


def _serve(file: Path) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx = 256
    params.n_gpu_layers = 0
    params.warmup = False
    params.verbosity = -1
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise WorkError(f"llama.cpp does not load {file}: {error}", "--to mixtral") from None


def _next_token(server: Any, prompt: str | list[int]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """The likeliest next tokens (K,), their log-probabilities (K,), and the prompt's length."""
    answer = server.handle_completions(
        {
            "prompt": prompt,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": _LIKELIEST,
            "cache_prompt": False,
            "ignore_eos": True,  # an answer that ends at once would come without probabilities
        }
    )
    told = answer["choices"][0]["logprobs"]
    # None where the likeliest token ends within a character: the server then holds it back.
    likeliest = told["content"][0]["top_logprobs"] if told else []
    return (
        torch.tensor([token["id"] for token in likeliest], dtype=torch.long),
        torch.tensor([token["logprob"] for token in likeliest]),
        answer["usage"]["prompt_tokens"],
    )
