"""Mixtral and Qwen-MoE checkpoints: every expert becomes a full MLP, made one by one."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from codemoe.errors import UserError
from codemoe.models.adapter_moe import LoraFactors
from codemoe.models.export.check import (
    Check,
    compare,
    logits_of,
    make_probe,
    open_stock,
    transformers_reader,
)
from codemoe.models.export.checkpoint import (
    Checkpoint,
    Planned,
    shard_limit,
    shards_of,
    write_shards,
)
from codemoe.models.export.families import Family, family_of, sparse_config
from codemoe.models.export.plan import Plan
from codemoe.models.export.reference import merged_weight, token_reference
from codemoe.models.export.source import Source, copy_tokenizer
from codemoe.models.load import BaseReference, load_tokenizer
from codemoe.routing.routers import describe_router


def plan_sparse(source: Source, to: str, max_memory: int) -> Plan:
    """A checkpoint of `to` (a key of FAMILIES) that routes by the mixture's token gates."""
    family = family_of(to, source.config.to_dict())
    refuse_other_functions(source, to)
    base = Checkpoint(source.base_dir)
    dtype = expert_dtype(source, base, family)
    tensors = list(sparse_tensors(source, base, family, dtype))
    shards = shards_of(tensors, shard_limit(tensors, work_bytes(source, base, family), max_memory))
    float32_bytes = 4 * sum(tensor.num_elements for tensor in tensors)

    def write(folder: Path, advance: Callable[[int, str], None]) -> None:
        write_shards(shards, folder, advance)
        name = str(dtype).removeprefix("torch.")
        config = sparse_config(
            family, source.config.to_dict(), len(source.experts), name, source.top_k
        )
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        copy_tokenizer(source.base_dir, folder)

    return Plan(
        num_bytes=sum(tensor.num_bytes for tensor in tensors),
        scratch_bytes=float32_bytes if float32_bytes > max_memory else 0,
        steps=len(tensors),
        write=write,
        check=lambda folder, scratch: _check(source, folder, dtype, max_memory, scratch),
    )


def refuse_other_functions(source: Source, to: str) -> None:
    """A UserError when the mixture is a function that a sparse checkpoint cannot be."""
    elsewhere = source.outside_mlp()
    if elsewhere:
        raise UserError(
            f"the experts adapt {elsewhere[0]}{' and more' if elsewhere[1:] else ''}; {to} has "
            "experts in its MLPs only, so they would be left behind",
            "--to lora-pack, or train experts with experts.lora.target=mlp",
        )
    if not source.token_routers:
        raise UserError(
            f"the mixture has no token gates, and {to} routes every token in every layer",
            "--to lora-pack keeps the sequence router; codemoe router RECIPE fits token gates",
        )
    if not source.fitted:
        raise UserError(
            "nothing has fitted the mixture's token gates yet: they are random directions, and "
            f"{to} would route by them",
            "codemoe router RECIPE, then export the run",
        )
    silent = [i for i, gate in enumerate(source.token_routers) if gate is None]
    if silent:
        raise UserError(
            f"layers {silent} have no gate and run as the base; {to} routes every token in every "
            "layer",
            "--to lora-pack, or make the router again with router.from_layer=0",
        )
    about = describe_router(source.gates[0])
    chosen = int(about.get("top_k", 1))
    if about["kind"] not in ("top-1", "top-k", "noisy-top-k"):
        raise UserError(
            f"the token gates are of kind {about['kind']}, which weighs experts otherwise than {to}"
            ", so the export would be another function",
            "--to lora-pack, or make the router again with router.kind=top-k",
        )
    if chosen > 1 and not source.full:
        raise UserError(
            f"the mixture routes each token to {chosen} experts and adds their low-rank updates up "
            f"inside one MLP; {to} adds the outputs of whole MLPs, which is another function",
            "--to lora-pack, or make the router again with router.num_experts_per_tok=1",
        )


def expert_dtype(source: Source, base: Checkpoint, family: Family) -> torch.dtype:
    """The dtype of the base's MLPs, which must all be there and fit the experts."""
    dtypes = set()
    for layer in range(source.num_layers):
        for projection in family.experts:
            path = f"model.layers.{layer}.{projection}"
            stored = base.tensors.get(f"{path}.weight")
            if stored is None:
                raise UserError(
                    f"the base {base.folder} has no tensor {path}.weight",
                    "use a checkpoint whose tensors are named as transformers names them",
                )
            dtypes.add(stored.dtype)
            for name, expert in zip(source.experts, source.factors, strict=True):
                if path in expert and not _fits(expert[path], stored.shape):
                    in_, out = _size(expert[path])
                    kind = "expert" if name in source.full else "adapter"
                    raise UserError(
                        f"expert {name!r}: {path} is {in_} -> {out} in the {kind} but "
                        f"{stored.shape[1]} -> {stored.shape[0]} in the base",
                        "use the base that this adapter was trained on",
                    )
    if len(dtypes) > 1:
        raise UserError(f"the MLPs of the base {base.folder} are stored in mixed dtypes: {dtypes}")
    return dtypes.pop()


def _fits(factors: LoraFactors | torch.Tensor, shape: tuple[int, ...]) -> bool:
    if isinstance(factors, torch.Tensor):
        return tuple(factors.shape) == shape
    return (len(factors.b_OR), factors.a_RD.shape[1]) == shape


def _size(factors: LoraFactors | torch.Tensor) -> tuple[int, int]:
    """(inputs, outputs)."""
    if isinstance(factors, torch.Tensor):
        return factors.shape[1], factors.shape[0]
    return factors.a_RD.shape[1], len(factors.b_OR)


def work_bytes(source: Source, base: Checkpoint, family: Family) -> int:
    """Memory for making one expert's projection, besides the result: W in its own dtype and in
    float32, the sum in float32, and all experts' factors."""
    projections = [base.tensors[f"model.layers.0.{name}.weight"] for name in family.experts]
    largest = max(torch.Size(p.shape).numel() * (p.dtype.itemsize + 8) for p in projections)
    # Whole weights stay on disk until one is copied.
    values = [value for expert in source.factors for value in expert.values()]
    factors = [value for value in values if isinstance(value, LoraFactors)]
    return largest + sum(f.a_RD.nbytes + f.b_OR.nbytes for f in factors)


def sparse_tensors(
    source: Source, base: Checkpoint, family: Family, dtype: torch.dtype
) -> Iterator[Planned]:
    """All tensors of the export: the base's but for its MLPs, then gate and experts of each layer.

    `dtype` is that of the gates and experts; copies keep theirs.
    """
    for name in base.tensors:
        in_layer = name.partition(".layers.")[2].partition(".")[2]
        replaced = any(in_layer.startswith(f"{projection}.") for projection in family.experts)
        tied = name == "lm_head.weight" and source.config.tie_word_embeddings
        # Old Llama checkpoints store what is computed from the config.
        if not (replaced or tied or name.endswith("rotary_emb.inv_freq")):
            yield base.copy_of(name)
    for layer, router in enumerate(source.gates):
        at = f"model.layers.{layer}."
        gate_ED = router.weight.detach()
        yield Planned(at + family.gate, tuple(gate_ED.shape), dtype, partial(_same, gate_ED))
        for name, shape in family.zeros(source.config.to_dict()).items():
            yield Planned(at + name, shape, dtype, partial(torch.zeros, shape))
        for expert, factors in enumerate(source.factors):
            for projection, new_name in family.experts.items():
                path = at + projection
                yield Planned(
                    at + new_name.format(expert),
                    base.tensors[f"{path}.weight"].shape,
                    dtype,
                    partial(merged_weight, base, path, factors.get(path)),
                )


def _same(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _check(
    source: Source, folder: Path, dtype: torch.dtype, max_memory: int, scratch: Path
) -> Check:
    probe = make_probe(load_tokenizer(BaseReference(str(source.base_dir))))
    reference = token_reference(source, probe.ids_BT, dtype, max_memory, scratch)
    model = open_stock(folder, max_memory, scratch)
    return compare(
        transformers_reader(model),
        logits_of(model, probe.ids_BT),
        reference.logits_BTV,
        where_BT=reference.settled_BT,
        rounding=reference.rounding,
    )
