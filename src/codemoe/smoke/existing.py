"""Experts that exist already, in small: random ones of the same kind, for the small base."""

from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.models.reference import BaseReference, resolve
from codemoe.recipe import LoraConfig, Recipe


def small_experts(recipe: Recipe, base: Path, folder: Path) -> tuple[dict[str, str], list[str]]:
    """Checkpoints by expert, in `folder`, and what people should know.

    A folder that is there is read as the real run reads it, and raises what that would.
    """
    made: dict[str, str] = {}
    notes = []
    for name, about in recipe.experts.define.items():
        if about.checkpoint is None:
            continue
        outside = _outside(Path(resolve(about.checkpoint)), name, about.checkpoint)
        target = recipe.experts.lora.target
        if recipe.experts.method == "lora" and outside and target == "mlp":
            target = "both"
        _write(recipe, target, base, folder / name, len(made))
        made[name] = str((folder / name).resolve())
        notes.append(f"random weights of its kind stand in for the expert {about.checkpoint}")
    return made, notes


def _outside(folder: Path, name: str, told: str) -> bool:
    """Whether an adapter that is here adapts more than MLPs. A hub id is not looked at."""
    from codemoe.models.architectures import ARCHITECTURES
    from codemoe.models.storage.adapter import CONFIG, read_factors
    from codemoe.models.storage.layout import read_layout

    if not folder.is_dir():
        if told.count("/") != 1 or told.startswith((".", "/")):
            raise UserError(
                f"cannot find the checkpoint of expert {name!r}: {told} is no folder here",
                f"experts.define.{name}.checkpoint=FOLDER, or a hub id",
            )
        return False
    if not (folder / CONFIG).is_file():
        read_layout(folder)
        return False
    mlps = {row.mlp for row in ARCHITECTURES.values()}
    return any(mlps.isdisjoint(path.split(".")) for path in read_factors(folder))


def _write(recipe: Recipe, target: Any, base: Path, folder: Path, number: int) -> None:
    import peft
    import torch

    from codemoe.models.load import load_base
    from codemoe.train import full_mlp
    from codemoe.train.sft import lora_config

    torch.manual_seed(recipe.seed + number)
    model: Any = load_base(BaseReference(str(base.resolve()))).model
    if recipe.experts.method == "full":
        model = full_mlp.wrap(model)
    else:
        model = peft.get_peft_model(model, lora_config(model, LoraConfig(rank=4, target=target)))
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for parameter in trained.values():
            parameter.add_(0.05 * torch.randn_like(parameter))
    if recipe.experts.method == "full":
        full_mlp.save(model, trained, folder)
    else:
        model.save_pretrained(str(folder))
