"""GGUF: the mixture as one file of llama.cpp's, architecture `llama` with experts."""

# E experts, H heads, R half of a head's size, O output features, D input features

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from codemoe.errors import UserError
from codemoe.models.adapter_moe import LoraFactors
from codemoe.models.export.checkpoint import Checkpoint, Planned, shard_limit
from codemoe.models.export.families import family_of
from codemoe.models.export.gguf_check import check_gguf
from codemoe.models.export.gguf_vocabulary import Vocabulary, vocabulary_of
from codemoe.models.export.plan import Plan
from codemoe.models.export.reference import merged_weight
from codemoe.models.export.source import Source
from codemoe.models.export.sparse import expert_dtype, refuse_other_functions, work_bytes
from codemoe.models.load import BaseReference, load_tokenizer

MODEL_FILE = "model.gguf"
_OUTSIDE = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
_IN_LAYER = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
}
_EXPERTS = {
    "mlp.gate_proj": "ffn_gate_exps.weight",
    "mlp.down_proj": "ffn_down_exps.weight",
    "mlp.up_proj": "ffn_up_exps.weight",
}


def plan_gguf(source: Source, max_memory: int) -> Plan:
    """One file in the base's precision (F32, F16 or BF16)."""
    _need_packages()
    family = family_of("gguf", source.config.to_dict())
    refuse_other_functions(source, "gguf")
    factors_R = _rope_factors(source.config)
    if source.config.hidden_act != "silu":
        raise UserError(
            f"the base's MLPs use {source.config.hidden_act}; llama.cpp's have silu",
            "--to mixtral",
        )
    base = Checkpoint(source.base_dir)
    dtype = expert_dtype(source, base, family)
    tokenizer = load_tokenizer(BaseReference(str(source.base_dir)))
    vocabulary = vocabulary_of(tokenizer, source.config.vocab_size)
    tensors = list(gguf_tensors(source, base, dtype, factors_R))
    shard_limit(tensors, work_bytes(source, base, family), max_memory)

    def write(folder: Path, advance: Callable[[int, str], None]) -> None:
        _write(folder / MODEL_FILE, source, tensors, vocabulary, dtype, advance)

    return Plan(
        num_bytes=sum(tensor.num_bytes for tensor in tensors),
        scratch_bytes=0,
        steps=len(tensors),
        write=write,
        check=lambda folder, scratch: check_gguf(
            source, folder / MODEL_FILE, tokenizer, dtype, max_memory, scratch
        ),
    )


def _need_packages() -> None:
    try:
        import gguf  # noqa: F401
        import xllamacpp  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"a GGUF export needs {error.name}, which is not installed",
            "pip install 'codemoe[gguf]'",
        ) from None


def context_length(config: PreTrainedConfig) -> int:
    """llama.cpp's `llama` attends to everything: up to the sliding window that is the same."""
    window = getattr(config, "sliding_window", None)
    longest: int = config.max_position_embeddings
    return longest if window is None else min(longest, window)


def _head_size(config: PreTrainedConfig) -> int:
    size: int | None = getattr(config, "head_dim", None)
    return size or config.hidden_size // config.num_attention_heads


def _rope_factors(config: PreTrainedConfig) -> torch.Tensor | None:
    """What to divide each rotary frequency by, (R,); None when they are the default ones."""
    rope = config.rope_parameters
    kind = rope["rope_type"]
    if kind == "default":
        return None
    if kind not in ("linear", "llama3"):
        raise UserError(
            f"the base has {kind} rotary embeddings, which change with the length of the text in "
            "ways that transformers and llama.cpp compute differently",
            "--to mixtral",
        )
    frequencies_R, _ = ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"))
    size = _head_size(config)
    default_R = rope["rope_theta"] ** (-torch.arange(0, size, 2, dtype=torch.float32) / size)
    return default_R / frequencies_R


def gguf_tensors(
    source: Source, base: Checkpoint, dtype: torch.dtype, factors_R: torch.Tensor | None
) -> Iterator[Planned]:
    """All tensors in the file's order. Vectors and gates are float32, as llama.cpp wants them."""
    config = source.config
    for name, new_name in _OUTSIDE.items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue  # llama.cpp takes the embeddings then
        yield _copied(base, name, new_name)
    if factors_R is not None:
        shape = tuple(factors_R.shape)
        yield Planned("rope_freqs.weight", shape, torch.float32, lambda: factors_R)
    heads = {
        "attn_q.weight": config.num_attention_heads,
        "attn_k.weight": config.num_key_value_heads,
    }
    for layer, router in enumerate(source.gates):
        at, new_at = f"model.layers.{layer}.", f"blk.{layer}."
        for name, new_name in _IN_LAYER.items():
            yield _copied(base, at + name, new_at + new_name, heads.get(new_name))
        gate_ED = router.weight.detach().to(dtype)
        yield Planned(
            f"{new_at}ffn_gate_inp.weight", tuple(gate_ED.shape), torch.float32, gate_ED.float
        )
        for projection, new_name in _EXPERTS.items():
            path = at + projection
            shape = (len(source.experts), *base.tensors[f"{path}.weight"].shape)
            factors = [expert.get(path) for expert in source.factors]
            yield Planned(
                new_at + new_name, shape, dtype, partial(_stacked, base, path, factors, dtype)
            )


def _copied(base: Checkpoint, name: str, new_name: str, heads: int | None = None) -> Planned:
    stored = base.tensors.get(name)
    if stored is None:
        raise UserError(
            f"the base {base.folder} has no tensor {name}",
            "use a checkpoint whose tensors are named as transformers names them",
        )
    dtype = torch.float32 if len(stored.shape) == 1 else stored.dtype
    return Planned(new_name, stored.shape, dtype, partial(_read, base, name, heads))


def _read(base: Checkpoint, name: str, heads: int | None) -> torch.Tensor:
    tensor = base.read(name)
    return tensor if heads is None else interleaved(tensor, heads)


def interleaved(weight_OD: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of a query or key projection in llama.cpp's order.

    transformers rotates a head's first half against its second, llama.cpp neighbours.
    """
    size = len(weight_OD) // heads
    halves = weight_OD.view(heads, 2, size // 2, -1)  # (H, 2, R, D)
    return halves.transpose(1, 2).reshape(weight_OD.shape)


def _stacked(
    base: Checkpoint,
    path: str,
    factors: Sequence[LoraFactors | torch.Tensor | None],
    dtype: torch.dtype,
) -> torch.Tensor:
    """(E, O, D): one projection of all experts."""
    shape = base.tensors[f"{path}.weight"].shape
    stacked_EOD = torch.empty(len(factors), *shape, dtype=dtype)
    for expert, one in enumerate(factors):
        stacked_EOD[expert] = merged_weight(base, path, one)
    return stacked_EOD


def _write(
    path: Path,
    source: Source,
    tensors: Sequence[Planned],
    vocabulary: Vocabulary,
    dtype: torch.dtype,
    advance: Callable[[int, str], None],
) -> None:
    """Stream the file: one tensor in memory at a time."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    config, kinds = source.config, gguf.LlamaFileType
    files = {
        torch.float32: kinds.ALL_F32,
        torch.float16: kinds.MOSTLY_F16,
        torch.bfloat16: kinds.MOSTLY_BF16,
    }
    types = {
        torch.float32: gguf.GGMLQuantizationType.F32,
        torch.float16: gguf.GGMLQuantizationType.F16,
        torch.bfloat16: gguf.GGMLQuantizationType.BF16,
    }
    writer.add_file_type(files[dtype])
    writer.add_context_length(context_length(config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    for add in (writer.add_key_length, writer.add_value_length, writer.add_rope_dimension_count):
        add(_head_size(config))
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_expert_count(len(source.experts))
    writer.add_expert_used_count(source.top_k)
    vocabulary.add_to(writer)
    try:
        for planned in tensors:
            writer.add_tensor_info(
                planned.name,
                planned.shape,
                _array(torch.empty(0, dtype=planned.dtype)).dtype,
                planned.num_bytes,
                types[planned.dtype],
            )
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for planned in tensors:
            writer.write_tensor_data(_array(planned.make().to(planned.dtype).contiguous()))
            advance(1, "")
    finally:
        writer.close()


def _array(tensor: torch.Tensor) -> Any:
    """As numpy, which has no bfloat16: its bits."""
    return (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
