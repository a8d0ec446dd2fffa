"""Adapters merged into one adapter of a given rank: exact task vectors, then the nearest of that
rank, and how much of them that keeps."""

# O outputs, D inputs, R rank

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from codemoe.errors import UserError
from codemoe.merge import output
from codemoe.merge.methods.inputs import Arrays
from codemoe.merge.methods.table import Method, Settings
from codemoe.merge.model import Model
from codemoe.merge.plan import check_inputs, slices_of
from codemoe.merge.recipe import MergeRecipe
from codemoe.merge.recipe import Source as Entry
from codemoe.merge.settings import settings_for
from codemoe.models.storage.adapter import CONFIG, WEIGHTS, Factors, adapter_config
from codemoe.models.storage.write import Shard, Tensor
from codemoe.progress import progress

_OVERSAMPLED, _POWERS = 16, 6
_UNFIT = ("slerp", "passthrough")  # these merge whole models, not task vectors


@dataclass(frozen=True)
class Merged:
    """The adapter's factors by projection, and the share of the merged updates' squared norm that
    its rank leaves out."""

    factors: dict[str, Factors]
    lost: float


def merge_to_rank(
    recipe: MergeRecipe, method: Method, models: Mapping[str, Model], rank: int, seed: int
) -> Merged:
    """Merge the adapters' updates B A by the method, and bring each back to `rank`.

    Weighted sums of adapters whose ranks sum to at most `rank` are exact. Otherwise the result is
    the truncated singular value decomposition (Eckart and Young), by randomised subspace iteration
    (arXiv:0909.4061). One projection at a time is held in full.
    """
    entries = _entries(recipe, method, models)
    names = sorted({name for entry in entries for name in models[entry.model].factors})
    piece = slices_of(recipe, dict(models))[0]
    found, lost, total = dict[str, Factors](), 0.0, 0.0
    with progress(f"merge {recipe.merge_method} to rank {rank}", len(names), "tensors") as advance:
        for name in names:
            model = next(models[e.model] for e in entries if name in models[e.model].factors)
            layer, (_, count) = model.layer_of(name), model.layers
            depth = 0.0 if layer is None else layer / (count - 1) if count > 1 else 1.0
            inputs = [(entry, name) for entry in entries]
            settings = settings_for(recipe, method, piece, inputs, name, depth)
            method.check(settings)
            parts = [models[entry.model].factors.get(name) for entry in entries]
            one, error, norm = _merged(name, method, settings, parts, rank, seed)
            found[name], lost, total = one, lost + error, total + norm
            advance(1, "")
    return Merged(found, lost / total if total else 0.0)


def _entries(recipe: MergeRecipe, method: Method, models: Mapping[str, Model]) -> list[Entry]:
    name = recipe.merge_method
    if name in _UNFIT or not recipe.models:
        raise UserError(
            f"--rank merges adapters' updates, which {name if recipe.models else 'slices'} cannot",
            "use models: and a method of task vectors, such as linear or ties",
        )
    check_inputs(recipe, method, slices_of(recipe, dict(models)))
    entries = [entry for entry in recipe.models if entry.model != recipe.base_model]
    whole = [entry.model for entry in entries if not models[entry.model].factors]
    if whole:
        raise UserError(
            f"--rank merges adapters, and {whole[0]} is a whole model",
            "name adapter folders under models, or leave out --rank",
        )
    return entries


def _merged(
    name: str,
    method: Method,
    settings: Settings,
    parts: Sequence[Factors | None],
    rank: int,
    seed: int,
) -> tuple[Factors, float, float]:
    """The factors of one projection, the squared norm that is lost, and the whole squared norm."""
    shape = next((len(p.b_OR), p.a_RD.shape[1]) for p in parts if p is not None)
    transposed = any(p.transposed for p in parts if p is not None)
    known = method.known(settings)
    ranks = sum(len(p.a_RD) for p in parts if p is not None)
    if known is not None and ranks <= rank:
        _, weights = known
        used = [(p, w) for p, w in zip(parts, weights, strict=True) if p is not None]
        a_RD = np.concatenate([p.a_RD for p, _ in used])
        b_OR = np.concatenate([p.b_OR * np.float32(w) for p, w in used], axis=1)
        norm = float(np.sum((b_OR.T @ b_OR) * (a_RD @ a_RD.T)))
        return _padded(a_RD, b_OR, rank, transposed), 0.0, norm
    updates = [np.zeros(shape, np.float32) if p is None else p.b_OR @ p.a_RD for p in parts]
    base = None if method.base == "unused" else np.zeros(shape, np.float32)
    inputs = Arrays(updates, base, name=name, seed=seed)
    merged_OD = np.concatenate([np.array(b) for b in method.run(inputs, settings)]).reshape(shape)
    a_RD, b_OR = truncated(merged_OD, rank, seed)
    error = float(np.square(merged_OD - b_OR @ a_RD).sum(dtype=np.float64))
    norm = float(np.square(merged_OD).sum(dtype=np.float64))
    return _padded(a_RD, b_OR, rank, transposed), error, norm


def truncated(matrix_OD: np.ndarray, rank: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(A, B) with B A the nearest of a rank in the least-squares sense; both share the singular
    values evenly. Exact for small matrices."""
    outputs, inputs = matrix_OD.shape
    width = min(rank + _OVERSAMPLED, outputs, inputs)
    if min(outputs, inputs) <= 4 * width:
        left_OW, values_W, right_WD = np.linalg.svd(matrix_OD, full_matrices=False)
    else:
        random = np.random.default_rng(seed)
        basis_OW = matrix_OD @ random.standard_normal((inputs, width), np.float32)
        for _ in range(_POWERS):
            basis_OW, _ = np.linalg.qr(basis_OW)
            basis_DW, _ = np.linalg.qr(matrix_OD.T @ basis_OW)
            basis_OW = matrix_OD @ basis_DW
        basis_OW, _ = np.linalg.qr(basis_OW)
        small_WW, values_W, right_WD = np.linalg.svd(basis_OW.T @ matrix_OD, full_matrices=False)
        left_OW = basis_OW @ small_WW
    root_R = np.sqrt(values_W[:rank])
    return (
        (root_R[:, None] * right_WD[:rank]).astype(np.float32),
        (left_OW[:, :rank] * root_R).astype(np.float32),
    )


def _padded(a_RD: np.ndarray, b_OR: np.ndarray, rank: int, transposed: bool) -> Factors:
    """PEFT wants one rank everywhere: rows of zeros do nothing."""
    missing = rank - len(a_RD)
    return Factors(
        np.pad(a_RD, ((0, missing), (0, 0))), np.pad(b_OR, ((0, 0), (0, missing))), transposed
    )


def _bytes(values: np.ndarray) -> Iterator[np.ndarray]:
    yield np.ascontiguousarray(values).reshape(-1).view(np.uint8)


def write_adapter(
    merged: Merged,
    models: Sequence[Model],
    folder: Path,
    config: Mapping[str, Any],
    rank: int,
) -> dict[str, str]:
    """A PEFT LoRA folder: its config after the first adapter's, weights in float32."""
    tensors = []
    for name, factors in merged.factors.items():
        path = f"base_model.model.{name.removesuffix('.weight')}"
        for label, values in (("lora_A", factors.a_RD), ("lora_B", factors.b_OR)):
            name = f"{path}.{label}.weight"
            tensors.append(Tensor(name, "F32", values.shape, partial(_bytes, values)))
    shards = [Shard(WEIGHTS, tuple(tensors))]
    hashes = output.write_weights(shards, folder, config, "write the adapter", 1)
    first = models[0].lora
    assert first is not None
    told = adapter_config(first)
    targets: set[str] = set()
    for model in models:
        assert model.lora is not None
        own = adapter_config(model.lora).get("target_modules") or []
        # A text is a pattern there, which no list can hold: name what it found.
        pattern = isinstance(own, str)
        targets |= {n.removesuffix(".weight") for n in model.factors} if pattern else set(own)
    told |= {
        "r": rank,
        "lora_alpha": rank,
        "use_rslora": False,
        "target_modules": sorted(targets),
        "base_model_name_or_path": str(models[0].folder),
        "init_lora_weights": True,
        "inference_mode": True,
    }
    (folder / CONFIG).write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return hashes
