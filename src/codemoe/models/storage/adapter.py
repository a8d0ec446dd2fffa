"""A PEFT LoRA folder as factors, in NumPy: what the merges and the mixtures both start from."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from codemoe.errors import UserError
from codemoe.models.storage.dtypes import FLOATS
from codemoe.models.storage.layout import read_header
from codemoe.models.storage.read import Files

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_UNSUPPORTED = ("use_dora", "modules_to_save", "lora_bias", "rank_pattern", "alpha_pattern")


@dataclass(frozen=True)
class Factors:
    """One projection's update B A, float32; the scaling alpha/r is already inside `b_OR`.

    `transposed`: the weight is stored as (inputs, outputs), as GPT-2's Conv1D does.
    """

    a_RD: np.ndarray
    b_OR: np.ndarray
    transposed: bool = False


def adapter_config(folder: Path) -> dict[str, Any]:
    """What PEFT says of an adapter."""
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{folder} holds no adapter (no {CONFIG})") from None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{file} holds no JSON object")
    return config


def read_factors(folder: Path) -> dict[str, Factors]:
    """A PEFT LoRA directory as factors by projection path ("model.layers.0.mlp.up_proj").

    Raises UserError for what is no plain LoRA of projections, and for NaN in it.
    """
    config = adapter_config(folder)
    if config.get("peft_type") != "LORA":
        raise UserError(f"{folder} is a {config.get('peft_type')} adapter; expected LORA")
    unsupported = [key for key in _UNSUPPORTED if config.get(key)]
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
    scaling = _scaling(folder, config)
    pairs = _pairs(folder)
    if not pairs or any(pair.keys() != {"lora_A", "lora_B"} for pair in pairs.values()):
        found = sorted({factor for pair in pairs.values() for factor in pair})
        raise UserError(
            f"the adapter {folder} is no plain LoRA of projections: expected a lora_A and a lora_B "
            f"for each, found {', '.join(found) or 'nothing'}"
        )
    transposed = bool(config.get("fan_in_fan_out"))
    return {
        path: Factors(pair["lora_A"], pair["lora_B"] * np.float32(scaling), transposed)
        for path, pair in pairs.items()
    }


def _scaling(folder: Path, config: Mapping[str, Any]) -> float:
    try:
        root = config["r"] ** 0.5 if config.get("use_rslora") else config["r"]
        return float(config["lora_alpha"] / root)
    except (KeyError, TypeError, ZeroDivisionError):
        told = {key: config.get(key) for key in ("r", "lora_alpha")}
        raise UserError(f"the adapter {folder} has no usable rank and alpha: {told}") from None


def _pairs(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    files, pairs = Files(), dict[str, dict[str, np.ndarray]]()
    try:
        for key, stored in read_header(folder / WEIGHTS).items():
            if stored.dtype not in FLOATS:
                raise UserError(f"{stored.file}: {key} is stored as {stored.dtype}")
            values = np.empty(stored.num_elements, np.float32)
            files.read_float32(stored, 0, np.empty(stored.num_bytes, np.uint8), values)
            path, _, factor = key.removesuffix(".weight").rpartition(".")
            path = path.removeprefix("base_model.model.")
            pairs.setdefault(path, {})[factor] = values.reshape(stored.shape)
    except UserError as error:
        raise UserError(f"cannot read the adapter {folder}: {error.what}", error.fix) from None
    finally:
        files.close()
    return pairs
