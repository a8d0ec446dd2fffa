"""PEFT LoRA folders: read one as factors, and see that it belongs to a base."""

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, PreTrainedConfig, PreTrainedModel

from codemoe.errors import UserError
from codemoe.models.adapter_moe import LoraFactors
from codemoe.models.architectures import projection_shape
from codemoe.models.reference import BaseReference, content_sha256, resolve


def adapter_config(folder: Path) -> dict[str, Any]:
    """What PEFT says of an adapter."""
    file = folder / "adapter_config.json"
    try:
        config = json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} holds no adapter (no adapter_config.json)") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{file} holds no JSON object")
    return config


def load_adapter(folder: Path) -> dict[str, LoraFactors]:
    """A PEFT LoRA directory as factors by projection path ("model.layers.0.mlp.up_proj")."""
    config = adapter_config(folder)
    if config.get("peft_type") != "LORA":
        raise UserError(f"{folder} is a {config.get('peft_type')} adapter; expected LORA")
    unsupported = [
        key
        for key in ("use_dora", "modules_to_save", "lora_bias", "rank_pattern", "alpha_pattern")
        if config.get(key)
    ]
    if unsupported:
        raise UserError(
            f"the adapter {folder} uses {', '.join(unsupported)}, "
            "which stacked experts cannot carry"
        )
    start = str(config.get("init_lora_weights", "")).lower()
    if start.startswith(("pissa", "olora", "corda", "loftq")):
        raise UserError(
            f"the adapter {folder} was started by {start}, which changes the base's weights too: "
            "on the unchanged base it is another function",
            "convert it to a plain LoRA: save_pretrained(..., path_initial_model_for_weight_"
            "conversion=...) in PEFT",
        )
    try:
        root = config["r"] ** 0.5 if config.get("use_rslora") else config["r"]
        scaling = config["lora_alpha"] / root
    except (KeyError, TypeError, ZeroDivisionError):
        told = {key: config.get(key) for key in ("r", "lora_alpha")}
        raise UserError(f"the adapter {folder} has no usable rank and alpha: {told}") from None
    pairs: dict[str, dict[str, torch.Tensor]] = {}
    try:
        with safe_open(folder / "adapter_model.safetensors", "pt") as file:
            for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                path, _, factor = key.removesuffix(".weight").rpartition(".")
                path = path.removeprefix("base_model.model.")
                pairs.setdefault(path, {})[factor] = file.get_tensor(key).float()
    except (OSError, SafetensorError) as error:
        raise UserError(f"cannot read the adapter {folder}: {error}") from None
    if not pairs or any(pair.keys() != {"lora_A", "lora_B"} for pair in pairs.values()):
        found = sorted({factor for pair in pairs.values() for factor in pair})
        raise UserError(
            f"the adapter {folder} is no plain LoRA of projections: expected a lora_A and a lora_B "
            f"for each, found {', '.join(found) or 'nothing'}"
        )
    return {
        path: LoraFactors(pair["lora_A"], pair["lora_B"] * scaling) for path, pair in pairs.items()
    }


def check_fits(model: PreTrainedModel, expert: dict[str, LoraFactors], what: str) -> None:
    """Raise when an expert adapts projections that the model has not, or of another shape."""
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


def check_adapter(
    folder: Path, reference: BaseReference, config: PreTrainedConfig, what: str
) -> None:
    """Raise when an adapter does not belong to a base. Loads no weights of the base."""
    expert = load_adapter(folder)
    with torch.device("meta"):
        skeleton = AutoModelForCausalLM.from_config(config)
    check_fits(skeleton, expert, what)
    # Bases of one architecture have one shape; where both are at hand, their content tells.
    trained_on = adapter_config(folder).get("base_model_name_or_path")
    if not isinstance(trained_on, str):
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
