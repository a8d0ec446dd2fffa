"""A full-MLP expert's folder: complete copies of a base's MLP projections, and whose they are.

`mlp_expert.json` says which base they belong to; `mlp_expert.safetensors` has the weights and
biases under the names that transformers gives them in the base.
"""

import json
from pathlib import Path
from typing import Any

from codemoe.errors import UserError
from codemoe.models.storage.adapter import CONFIG as ADAPTER_CONFIG
from codemoe.models.storage.adapter import WEIGHTS as ADAPTER_WEIGHTS
from codemoe.models.storage.adapter import adapter_config
from codemoe.models.storage.layout import Stored, read_header

CONFIG = "mlp_expert.json"
WEIGHTS = "mlp_expert.safetensors"


def is_full(folder: Path) -> bool:
    return (folder / CONFIG).is_file()


def expert_files(folder: Path) -> tuple[str, str]:
    """The two files that an expert consists of, whichever kind it is."""
    return (CONFIG, WEIGHTS) if is_full(folder) else (ADAPTER_CONFIG, ADAPTER_WEIGHTS)


def write_config(folder: Path, model_type: str, base: str) -> None:
    config = {"method": "full", "model_type": model_type, "base_model_name_or_path": base}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n")


def full_config(folder: Path) -> dict[str, Any]:
    """What `mlp_expert.json` says. Raises UserError for what codemoe did not write."""
    file = folder / CONFIG
    try:
        config = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}") from None
    if not isinstance(config, dict) or config.get("method") != "full":
        raise UserError(f"{file} does not describe a full-MLP expert")
    return config


def expert_base(folder: Path) -> str | None:
    """The base that an expert says it was trained on."""
    config = full_config(folder) if is_full(folder) else adapter_config(folder)
    name = config.get("base_model_name_or_path")
    return name if isinstance(name, str) else None


def full_layout(folder: Path) -> dict[str, Stored]:
    """The expert's tensors by name, from the header alone."""
    try:
        return read_header(folder / WEIGHTS)
    except UserError as error:
        raise UserError(f"cannot read the expert {folder}: {error.what}", error.fix) from None
