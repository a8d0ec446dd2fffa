"""The files of a trained adapter, the same bytes from every process."""

import json
from pathlib import Path


def settle(path: Path) -> None:
    """Sort what PEFT keeps in sets: their order is another one in every process."""
    config = json.loads(path.read_text())
    for key, value in config.items():
        if isinstance(value, list):
            config[key] = sorted(value, key=str)
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
