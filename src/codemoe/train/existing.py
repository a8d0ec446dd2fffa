"""Experts that exist already: a PEFT LoRA, or a fine-tune of the base whose MLPs are taken."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from codemoe.errors import UserError
from codemoe.models.architectures import architecture_of
from codemoe.models.kept_parts import outside_mlps
from codemoe.models.load import read_config
from codemoe.models.reference import BaseReference, resolve
from codemoe.models.storage.adapter import CONFIG as ADAPTER
from codemoe.models.storage.adapter import read_factors
from codemoe.models.storage.full_expert import WEIGHTS, expert_files, is_full, write_config
from codemoe.models.storage.hub import snapshot
from codemoe.models.storage.layout import Stored, read_layout
from codemoe.models.storage.read import Files
from codemoe.progress import progress, say
from codemoe.recipe import ExpertFilter, Recipe


def adopt(
    recipe: Recipe, name: str, about: ExpertFilter, reference: BaseReference, out: Path
) -> None:
    """Write the expert's folder from its checkpoint; nothing is trained.

    Raises UserError for what is neither an adapter nor a fine-tune of this base, and for a kind
    that the recipe does not say (`experts.method`, `experts.lora.target`).
    """
    assert about.checkpoint is not None
    folder = find_checkpoint(about, name)
    model_type = str(read_config(reference).model_type)
    if (folder / ADAPTER).is_file() or is_full(folder):
        _adopt_files(recipe, name, folder, model_type, out)
    else:
        _adopt_fine_tune(recipe, name, folder, reference, model_type, out)
    about_it = {"name": name, "checkpoint": about.checkpoint, "languages": list(about.languages)}
    (out / "training.json").write_text(json.dumps(about_it, indent=2) + "\n")


def find_checkpoint(about: ExpertFilter, name: str) -> Path:
    """Its folder: here, or the hub's snapshot."""
    assert about.checkpoint is not None
    folder = Path(resolve(about.checkpoint))
    what = f"the checkpoint of expert {name!r}"
    return folder if folder.is_dir() else snapshot(about.checkpoint, about.revision, what)


def _adopt_files(recipe: Recipe, name: str, folder: Path, model_type: str, out: Path) -> None:
    found = "full" if is_full(folder) else "lora"
    if recipe.experts.method != found:
        kind = "whole MLPs" if found == "full" else "a LoRA adapter"
        raise UserError(
            f"expert {name!r}: {folder} is {kind}, and experts.method is {recipe.experts.method}",
            f"experts.method={found}",
        )
    if found == "lora":
        outside = outside_mlps(read_factors(folder), model_type)
        if outside and not _expects_more_than_mlps(recipe):
            raise UserError(
                f"expert {name!r}: the adapter {folder} also adapts {', '.join(outside)}, and the "
                "recipe says that experts are in MLPs",
                "experts.lora.target=both keeps them (no token gates then); moe.parts=mlp leaves "
                "them out of the mixture, as mergekit does",
            )
    for file in expert_files(folder):
        shutil.copyfile(folder / file, out / file)


def _expects_more_than_mlps(recipe: Recipe) -> bool:
    return recipe.experts.lora.target != "mlp" or recipe.moe.parts == "mlp"


def _adopt_fine_tune(
    recipe: Recipe, name: str, folder: Path, reference: BaseReference, model_type: str, out: Path
) -> None:
    if recipe.experts.method != "full":
        raise UserError(
            f"expert {name!r}: {folder} holds no adapter; a whole fine-tune becomes a full-MLP "
            f"expert, and experts.method is {recipe.experts.method}",
            "experts.method=full, or extract an adapter of it first",
        )
    found, base = read_layout(folder), read_layout(_base_folder(reference))
    row = architecture_of(model_type)
    ours = {key: stored for key, stored in found.items() if f".{row.mlp}." in key}
    wrong = [key for key, stored in ours.items() if _shape(base.get(key)) != stored.shape]
    if not ours or wrong:
        place = wrong[0] if wrong else f"any {row.mlp}"
        raise UserError(
            f"expert {name!r}: {folder} does not have {place} as the base {reference.model} has it",
            "a fine-tune has its base's shapes; take the base that it was made from",
        )
    from safetensors import safe_open
    from safetensors.torch import save_file

    tensors = {}
    for key, stored in ours.items():
        with safe_open(stored.file, framework="pt") as file:
            tensors[key] = file.get_tensor(key)
    save_file(tensors, out / WEIGHTS, {"format": "pt"})
    write_config(out, model_type, reference.model)
    rest = {key: stored for key, stored in found.items() if key not in ours and key in base}
    changed = _changed(rest, base, name)
    if changed:
        say(
            f"expert {name}: {folder} also changed {len(changed)} tensors outside of MLPs (the "
            f"first is {changed[0]}); a mixture of MLPs leaves them out, so this expert is not all "
            "of the fine-tune"
        )
    left = {"left_out": changed, "compared": len(rest)}
    (out / "left_out.json").write_text(json.dumps(left, indent=2) + "\n")


def _base_folder(reference: BaseReference) -> Path:
    folder = Path(resolve(reference.model))
    return folder if folder.is_dir() else snapshot(reference.model, reference.revision, "the base")


def _shape(stored: Stored | None) -> tuple[int, ...] | None:
    return None if stored is None else stored.shape


def _changed(rest: Mapping[str, Stored], base: Mapping[str, Stored], name: str) -> list[str]:
    """Tensors that are not the base's, byte for byte where both are stored alike."""
    files = Files()
    changed = []
    try:
        with progress(f"expert {name}: compare with the base", len(rest), "tensors") as advance:
            for key, stored in rest.items():
                if not _same(stored, base[key], files):
                    changed.append(key)
                advance(1, "")
    finally:
        files.close()
    return changed


def _same(one: Stored, other: Stored, files: Files) -> bool:
    if one.shape != other.shape:
        return False
    values = []
    for stored in (one, other):
        value = np.empty(stored.num_elements, np.float32)
        files.read_float32(stored, 0, np.empty(stored.num_bytes, np.uint8), value)
        values.append(value)
    return bool(np.array_equal(values[0], values[1]))
