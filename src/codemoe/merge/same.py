"""Recipes that cannot mean what they say: the same model twice, one forgotten, nothing to add."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from codemoe.artifacts import is_finished, read_manifest
from codemoe.errors import UserError
from codemoe.merge.model import Model
from codemoe.models.storage.adapter import CONFIG
from codemoe.models.storage.dtypes import ITEM_BYTES
from codemoe.models.storage.full_expert import CONFIG as FULL_CONFIG
from codemoe.models.storage.full_expert import expert_base
from codemoe.models.storage.layout import Stored, read_layout
from codemoe.models.storage.read import Files

_SAMPLE_BYTES = 1 << 12
_MERGEKIT = "mergekit_config.yml"  # in each folder that mergekit makes


def check_distinct(
    experts: Sequence[Model], base: Model | None, files: Files, allow: bool
) -> list[str]:
    """Notes on experts that add nothing. Raises UserError for two that are one.

    Two names of one folder, and two folders of one content: the first 4 KiB of every tensor are
    compared, and all bytes where those are the same.
    """
    for model in experts:
        check_own_base(model, files)
    notes: list[str] = []
    forgotten = left_out([*experts, *([base] if base else [])])
    hint = f"; {forgotten[0]}, which lies beside them, is not in the recipe" if forgotten else ""
    places: dict[tuple[Path, Path | None], Model] = {}
    contents: dict[str, Model] = {}
    for model in experts:
        place = (model.folder.resolve(), model.lora.resolve() if model.lora else None)
        first = places.setdefault(place, model)
        content = contents.setdefault(_sample(model, files), model)
        if first is not model:
            problem = f"{first.text} and {model.text} are the same folder{hint}"
        elif content is not model and _alike(content, model, files):
            problem = f"{content.text} and {model.text} hold the same weights{hint}"
        else:
            continue
        if not allow:
            raise UserError(problem, "name another model, or, if you mean it: --allow-identical")
        notes.append(problem)
    if base is not None:
        sample = _sample(base, files)
        notes += [
            f"{model.text} holds the weights of the base: it adds nothing"
            for model in experts
            if model is not base and _sample(model, files) == sample
        ]
    notes += [f"{folder} lies beside the others and is not in the recipe" for folder in forgotten]
    return notes


def check_own_base(model: Model, files: Files) -> None:
    """Raise when a model's adapter was trained on another base than the one it stands on here.

    Bases of one architecture have one shape, so that only their weights tell; where the one that
    the adapter names is not at hand, nothing does.
    """
    if model.lora is None:
        return
    named = expert_base(model.lora)
    if named is None or not (Path(named) / "config.json").is_file():
        return
    theirs = Path(named).resolve()
    if theirs == model.folder.resolve():
        return
    if _sample_of(read_layout(theirs), files) != _sample_of(read_layout(model.folder), files):
        raise UserError(
            f"the adapter {model.lora} was trained on {theirs}, whose weights are not those of "
            f"{model.folder}",
            f"put it on its own base: {theirs}+{model.lora}",
        )


def _sample_of(tensors: Mapping[str, Stored], files: Files) -> str:
    """One hash of the beginning of every tensor."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        stored = tensors[name]
        width = ITEM_BYTES[stored.dtype]
        raw = np.empty(min(stored.num_bytes, _SAMPLE_BYTES) // width * width, np.uint8)
        files.read(stored, 0, raw)
        found.update(f"{name} {stored.dtype} {stored.shape}".encode())
        found.update(raw.data)
    return found.hexdigest()


def _sample(model: Model, files: Files) -> str:
    found = hashlib.sha256(_sample_of(model.tensors, files).encode())
    for name in sorted(model.factors):
        found.update(name.encode())
        found.update(np.ascontiguousarray(model.factors[name].a_RD).data)
        found.update(np.ascontiguousarray(model.factors[name].b_OR).data)
    return found.hexdigest()


def _alike(one: Model, other: Model, files: Files) -> bool:
    """Whether all bytes are the same; the samples are already."""
    step = 1 << 20
    for name, stored in one.tensors.items():
        theirs = other.tensors[name]
        width = ITEM_BYTES[stored.dtype]
        for first in range(0, stored.num_elements, step):
            count = min(step, stored.num_elements - first) * width
            pair = np.empty((2, count), np.uint8)
            files.read(stored, first, pair[0])
            files.read(theirs, first, pair[1])
            if not np.array_equal(pair[0], pair[1]):
                return False
    return True


def left_out(models: Sequence[Model]) -> list[Path]:
    """Folders beside the models, of the same kind, that no model is: perhaps forgotten.

    Only where all models of the recipe but the base lie in one folder.
    """
    places = [(m.lora or m.folder).resolve() for m in models]
    named = set(places) | {m.folder.resolve() for m in models}
    by_parent: Mapping[Path, list[Path]] = {
        parent: [p for p in places if p.parent == parent] for parent in {p.parent for p in places}
    }
    parent, own = max(by_parent.items(), key=lambda entry: len(entry[1]))
    if len(own) < 2:
        return []
    kinds = (CONFIG, FULL_CONFIG)
    marker = next((name for name in kinds if (own[0] / name).is_file()), "config.json")
    shapes = {_shapes(folder) for folder in own}
    return sorted(
        folder
        for folder in parent.iterdir()
        if (folder / marker).is_file()
        and folder.resolve() not in named
        and not folder.name.startswith(".")
        and not _is_merge(folder)
        and _shapes(folder) in shapes
    )


def _is_merge(folder: Path) -> bool:
    """Whether a model is itself what such a recipe made: an earlier result is not forgotten."""
    return (folder / _MERGEKIT).is_file() or (
        is_finished(folder) and read_manifest(folder)["kind"] == "merged"
    )


def _shapes(folder: Path) -> tuple[tuple[str, int], ...]:
    """The weight files of a folder with their sizes: models of one family have the same."""
    files = sorted(folder.glob("*.safetensors"))
    return tuple((file.name, file.stat().st_size) for file in files)
