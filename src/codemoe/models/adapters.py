"""Experts' folders, PEFT LoRA or full MLPs: read one, and see that it belongs to a base."""

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from codemoe.errors import UserError
from codemoe.models.adapter_moe import LoraFactors, MixtureLayers, attach
from codemoe.models.architectures import projection_shape
from codemoe.models.full_mlps import Expert, FullMlps, attach_full, load_full
from codemoe.models.reference import BaseReference, content_sha256, resolve
from codemoe.models.storage.adapter import read_factors
from codemoe.models.storage.full_expert import expert_base, is_full


def load_adapter(folder: Path) -> dict[str, LoraFactors]:
    """A PEFT LoRA directory as factors by projection path ("model.layers.0.mlp.up_proj")."""
    return {
        path: LoraFactors(torch.from_numpy(found.a_RD), torch.from_numpy(found.b_OR))
        for path, found in read_factors(folder).items()
    }


def load_expert(folder: Path) -> Expert:
    """Either kind; full weights stay on disk until they are used."""
    return load_full(folder) if is_full(folder) else load_adapter(folder)


def attach_experts_to(model: PreTrainedModel, experts: Sequence[Expert]) -> MixtureLayers:
    """In place: stacked low-rank updates, or whole MLPs where one expert is full."""
    adapters = [one for one in experts if not isinstance(one, FullMlps)]
    if len(adapters) == len(experts):
        return attach(model, adapters)
    return attach_full(model, experts)


def check_fits(model: PreTrainedModel, expert: Expert, what: str) -> None:
    """Raise when an expert has projections that the model has not, or of another shape."""
    if isinstance(expert, FullMlps):
        _check_parameters(model, expert, what)
        return
    for path, factors in expert.items():
        try:
            module = model.get_submodule(path)
        except AttributeError:
            raise UserError(
                f"{what} adapts {path}, which the base ({model.config.model_type}) does not have",
                "use the base that this adapter was trained on",
            ) from None
        found = (factors.a_RD.shape[1], factors.b_OR.shape[0])
        expected = projection_shape(module)
        if found != expected:
            in_base = f"{expected[0]} -> {expected[1]}" if expected else type(module).__name__
            raise UserError(
                f"{what}: {path} is {found[0]} -> {found[1]} in the adapter but {in_base} in the "
                "base",
                "use the base that this adapter was trained on",
            )


def _check_parameters(model: PreTrainedModel, expert: FullMlps, what: str) -> None:
    shapes = {name: tuple(value.shape) for name, value in model.named_parameters()}
    for name, value in expert.parameters.items():
        if shapes.get(name) == tuple(value.shape):
            continue
        in_base = f"has {shapes[name]} there" if name in shapes else "does not have"
        raise UserError(
            f"{what}: {name} has shape {tuple(value.shape)}, which the base "
            f"({model.config.model_type}) {in_base}",
            "use the base that this expert was trained on",
        )


def check_adapter(
    folder: Path, reference: BaseReference, config: PreTrainedConfig, what: str
) -> None:
    """Raise when an expert does not belong to a base. Loads no weights of the base."""
    expert = load_expert(folder)
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config)
    check_fits(skeleton, expert, what)
    # Bases of one architecture have one shape; where both are at hand, their content tells.
    trained_on = expert_base(folder)
    if trained_on is None:
        return
    names = [name for name in (trained_on, reference.model) if _is_hub_id(name)]
    if len(set(names)) == 2:
        raise UserError(
            f"{what} was trained on {trained_on}; the base here is {reference.model}",
            "train the adapter on the base here, or take its own base",
        )
    theirs = content_sha256(trained_on)
    ours = reference.sha256 or content_sha256(reference.model)
    if theirs is not None and ours is not None and theirs != ours:
        raise UserError(
            f"{what} was trained on {trained_on}, whose files hash to {theirs[:12]}; "
            f"the base here is {reference.model}, {ours[:12]}",
            "train the adapter on the base here",
        )


def _is_hub_id(model: str) -> bool:
    """`owner/name` that is no folder here."""
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", model)) and not Path(resolve(model)).is_dir()
