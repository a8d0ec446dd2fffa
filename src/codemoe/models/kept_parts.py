"""What a mixture keeps of an expert: all of it, or, as Mixtral's form can hold, its MLPs alone."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codemoe.errors import UserError
from codemoe.models.architectures import architecture_of
from codemoe.models.storage.adapter import CONFIG, WEIGHTS, Factors, adapter_config, read_factors
from codemoe.models.storage.full_expert import expert_files, is_full


@dataclass(frozen=True)
class LeftOut:
    """Of one expert: the kinds of projections that the mixture has not, and their share of the
    squared norm of all that the expert changes."""

    projections: tuple[str, ...]
    share: float


def copy_expert(source: Path, folder: Path, parts: str, model_type: str) -> LeftOut | None:
    """Copy an expert's two files, or its MLPs' part of them; what was left out, if anything.

    Raises UserError for an expert of which nothing would be left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if parts == "all" or is_full(source):
        for file in expert_files(source):
            shutil.copyfile(source / file, folder / file)
        return None
    row = architecture_of(model_type)
    found = read_factors(source)
    kept = {path for path in found if _in_mlp(path, row.layers, row.mlp)}
    if not kept:
        raise UserError(
            f"moe.parts is mlp, but the expert {source} changes nothing in MLPs",
            "moe.parts=all, or experts.lora.target=mlp",
        )
    _write_part(source, folder, kept, row.mlp)
    rest = [path for path in found if path not in kept]
    if not rest:
        return None
    norms = {path: _squared_norm(factors) for path, factors in found.items()}
    total = sum(norms.values())
    share = sum(norms[path] for path in rest) / total if total else 0.0
    return LeftOut(tuple(dict.fromkeys(path.rpartition(".")[2] for path in rest)), share)


def outside_mlps(paths: Iterable[str], model_type: str) -> list[str]:
    """Of these projections, the kinds that no MLP holds."""
    row = architecture_of(model_type)
    rest = [path for path in paths if not _in_mlp(path, row.layers, row.mlp)]
    return list(dict.fromkeys(path.rpartition(".")[2] for path in rest))


def _in_mlp(path: str, layers: str, mlp: str) -> bool:
    """`model.layers.3.mlp.up_proj`: within a layer, what stands behind its number."""
    inner = path.removeprefix(f"{layers}.").partition(".")[2]
    return path.startswith(f"{layers}.") and inner.startswith(f"{mlp}.")


def _squared_norm(factors: Factors) -> float:
    """Of B A, without making it: tr(A A^T B^T B)."""
    a_RD, b_OR = factors.a_RD.astype(np.float64), factors.b_OR.astype(np.float64)
    return float(((a_RD @ a_RD.T) * (b_OR.T @ b_OR)).sum())


def _write_part(source: Path, folder: Path, kept: set[str], mlp: str) -> None:
    from safetensors.torch import load_file, save_file

    tensors = {
        key: value
        for key, value in load_file(source / WEIGHTS).items()
        if key.removeprefix("base_model.model.").rpartition(".lora_")[0] in kept
    }
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    names = sorted({f"{mlp}.{path.rpartition('.')[2]}" for path in kept})
    config = adapter_config(source) | {"target_modules": names}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
