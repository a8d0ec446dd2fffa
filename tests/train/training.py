"""A small training of an expert, as tests of its reliability share it."""

import json
from pathlib import Path
from typing import Any

from codemoe.artifacts import CHECKPOINTS
from codemoe.data.rows import Row
from codemoe.models.load import load_base
from codemoe.models.reference import BaseReference
from codemoe.models.storage.full_expert import expert_files
from codemoe.recipe import LoraConfig, TrainConfig
from codemoe.train.checkpoints import SEAL, STATE
from codemoe.train.sft import train_adapter


def make_rows(number: int, first: int = 0) -> list[Row]:
    """Programs of different lengths."""
    return [
        Row(
            id=f"r{i}",
            group=f"g{i}",
            language="python",
            text=f"add {i} numbers " * (i % 3 + 1),
            code=f"def add(a):\n    return a + {i}\n" * (i % 4 + 1),
            source="t",
            license="MIT",
        )
        for i in range(first, first + number)
    ]


ROWS, VALID_ROWS = make_rows(12), make_rows(5, 100)
LORA: dict[str, Any] = {"rank": 4, "alpha": 8, "dropout": 0.1}
TRAIN: dict[str, Any] = {
    "steps": 20,
    "batch_size": 2,
    "logging_steps": 1,
    "checkpoint_steps": 10,
    "warmup_steps": 2,
}


def train_expert(
    base: Path,
    out: Path,
    lora: dict[str, Any] | None = None,
    quantization: str = "none",
    activation: str = "both",
    full: bool = False,
    **train: Any,
) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    train_adapter(
        load_base(BaseReference(str(base), None, quantization)),
        ROWS,
        name="python",
        lora=None if full else LoraConfig(**LORA | (lora or {})),
        train=TrainConfig(**TRAIN | train),
        activation=activation,
        seed=3,
        out=out,
        valid_rows=VALID_ROWS,
    )
    return out


def weights_of(folder: Path) -> Path:
    """The expert's weights, whichever kind it is."""
    return folder / expert_files(folder)[1]


def state_of(out: Path, step: int) -> dict[str, str]:
    """Hashes of all that a checkpoint holds, weights to random states, and what was logged."""
    checkpoint = out / CHECKPOINTS / f"checkpoint-{step}"
    hashes: dict[str, str] = json.loads((checkpoint / SEAL).read_text())
    assert {weights_of(checkpoint).name, "optimizer.pt", "scheduler.pt", "rng_state.pth"} <= set(
        hashes
    )
    state = json.loads((checkpoint / STATE).read_text())
    state["best_model_checkpoint"] = None  # a path
    # The trainer's settings name the folder; PEFT's sets have another order in every process.
    for name in ("training_args.bin", STATE, "adapter_config.json", "README.md"):
        hashes.pop(name, None)
    return hashes | {
        "state": json.dumps(state, sort_keys=True),
        "metrics": (out / "metrics.jsonl").read_text(),
    }
