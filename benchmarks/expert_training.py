"""Useful tokens a second of expert training, beside padding each sample to 512, option by option.

    codemoe data RECIPE && codemoe base RECIPE
    python benchmarks/expert_training.py runs/NAME

All sides train on the same samples in the same batches, so that their losses must be the same to
rounding where the adapter is. The first side is the reference system's way: rows of 512 tokens,
logits for all of them.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import peft
import torch
import transformers
from paired import RESULTS, in_turn, median_and_range, provenance, publish, ratios

from codemoe.artifacts import read_manifest
from codemoe.data.stage import read_split
from codemoe.models.load import load_base
from codemoe.models.reference import BaseReference, read_reference
from codemoe.recipe import LoraConfig
from codemoe.train.activation import ActivationMask
from codemoe.train.batches import IGNORE, Collator, completion_loss, encode_fitting, plan_training
from codemoe.train.sft import lora_config

PADDED = 512
LEARNING_RATE = 3e-4


class PadTo(Collator):
    """Every row as long as the longest that is allowed."""

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = super().__call__(samples)
        missing = PADDED - batch["input_ids"].shape[1]
        fill = {"input_ids": self.pad_id, "labels": IGNORE, "attention_mask": 0}
        return {
            name: torch.nn.functional.pad(batch[name], (0, missing), value=value)
            for name, value in fill.items()
        } | {"active_BT1": torch.nn.functional.pad(batch["active_BT1"], (0, 0, 0, missing))}


def all_logits(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    mask, labels = batch["attention_mask"], batch["labels"]
    loss: torch.Tensor = model(
        input_ids=batch["input_ids"], attention_mask=mask, labels=labels, use_cache=False
    ).loss
    return loss


def learned_logits(model: Any, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    loss, _ = completion_loss(
        model,
        batch["input_ids"],
        batch.get("attention_mask"),
        batch["labels"],
        None,
        batch.get("position_ids"),
    )
    return loss


@dataclass(frozen=True)
class Side:
    collator: Callable[[int], Collator] = Collator
    loss: Callable[[Any, dict[str, torch.Tensor]], torch.Tensor] = learned_logits
    lora: LoraConfig = field(default_factory=lambda: LoraConfig(rank=16, alpha=32))
    checkpointing: bool = False
    quantization: str = "none"


CODEMOE = Side()
SIDES = {
    "padded to 512 (the reference)": Side(PadTo, all_logits),
    "codemoe": CODEMOE,
    "codemoe, packing": Side(lambda pad: Collator(pad, PADDED)),
    "codemoe, gradient checkpointing": replace(CODEMOE, checkpointing=True),
    "codemoe, rank 64": replace(CODEMOE, lora=LoraConfig(rank=64, alpha=128)),
    "codemoe, DoRA": replace(CODEMOE, lora=LoraConfig(rank=16, alpha=32, use_dora=True)),
    "codemoe, 4-bit base": replace(CODEMOE, quantization="4bit"),
}
SAME_ADAPTER = ("codemoe", "codemoe, packing", "codemoe, gradient checkpointing")


class Training:
    """One side in the middle of its training."""

    def __init__(self, side: Side, reference: BaseReference, batches: Sequence[list[Any]]) -> None:
        base = load_base(replace(reference, quantization=side.quantization))
        self.side, self.batches = side, batches
        torch.manual_seed(0)
        if side.quantization == "4bit":
            peft.prepare_model_for_kbit_training(base.model, use_gradient_checkpointing=False)
        self.model = peft.get_peft_model(base.model, lora_config(base.model, side.lora)).train()
        if side.checkpointing:
            base.model.gradient_checkpointing_enable({"use_reentrant": False})
            base.model.enable_input_require_grads()
        self.mask = ActivationMask(self.model)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=0.0)
        self.collate = side.collator(base.tokenizer.pad_token_id)
        self.losses: list[float] = []
        self.kept_mb = 0.0
        self.computed, self.useful = 0, 0

    def steps(self, number: int) -> float:
        """Seconds for the next steps, batches made and all."""
        started = time.perf_counter()
        for samples in self.batches[len(self.losses) : len(self.losses) + number]:
            batch = self.collate(samples)
            self.computed += batch["input_ids"].numel()
            self.useful += sum(len(sample["input_ids"]) for sample in samples)
            with self.mask.on(batch["active_BT1"]):
                loss = self.side.loss(self.model, batch)
                loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.losses.append(float(loss.detach()))
        return time.perf_counter() - started

    def measure_kept(self) -> None:
        """What a step's forward keeps for its backward, weights apart, in MiB."""
        weights = {p.untyped_storage().data_ptr() for p in self.model.parameters()}
        kept: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return tensor

        batch = self.collate(self.batches[0])
        with (
            self.mask.on(batch["active_BT1"]),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        ):
            self.side.loss(self.model, batch)
        self.kept_mb = sum(kept.values()) / 2**20


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="a run with its data and base stages finished")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4, help="steps a turn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "expert_training.md")
    options = parser.parse_args(arguments)
    reference = read_reference(options.run / "base")
    tokenizer = load_base(reference).tokenizer
    fitting, _ = encode_fitting(read_split(options.run / "data", "train"), tokenizer, PADDED)
    num_batches = options.steps * (options.repeats + 1)
    plan = plan_training(
        [example for _, example in fitting],
        [row.id for row, _ in fitting],
        batch_size=options.batch,
        num_batches=num_batches,
        activation="all",
        seed=0,
    )
    edges = range(0, len(plan.samples) + 1, options.batch)
    batches = [plan.samples[a:b] for a, b in pairwise(edges)]
    sides = {name: Training(side, reference, batches) for name, side in SIDES.items()}
    seconds = in_turn(
        {name: lambda s=side: s.steps(options.steps) for name, side in sides.items()},
        options.repeats,
        1,
    )
    for side in sides.values():
        side.measure_kept()
    publish(_table(options, arguments, sides, seconds), options.out)


def _table(
    options: Any,
    arguments: Sequence[str],
    sides: dict[str, Training],
    seconds: dict[str, list[float]],
) -> list[str]:
    first = next(iter(sides))
    curve = sides[first].losses
    lengths = [len(s["input_ids"]) for batch in sides[first].batches for s in batch]
    useful = statistics.mean(lengths) * options.batch * options.steps
    apart = {
        name: max(abs(a - b) for a, b in zip(sides[name].losses, curve, strict=True))
        for name in SAME_ADAPTER
    }
    lines = [
        "# Expert training: useful tokens a second, and what each option costs",
        "",
        f"Samples have {statistics.mean(lengths):.0f} tokens in the mean ({min(lengths)} to "
        f"{max(lengths)}); {options.batch} a step. A useful token is one of a sample, prompt or "
        f"answer; pads are not. All sides train LoRA on the MLPs with the same samples in the same "
        f"batches, {options.steps} steps a turn, {options.repeats} turns; medians, and ratios "
        "within a turn (median, and range).",
        "",
        f"- Base: {read_reference(options.run / 'base').model}; data: "
        f"`{json.dumps(read_manifest(options.run / 'data')['config']['data']['sources'])}`, "
        f"{', '.join(read_manifest(options.run / 'data')['config']['languages'])}",
        *provenance(
            "expert_training.py",
            arguments,
            "cpu",
            f"transformers {transformers.__version__}, peft {peft.__version__}",
        ),
        "",
        "| side | useful tokens/s | of the reference's | of codemoe's | pads, share of what is "
        "computed | kept for the backward pass, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, side in sides.items():
        spent = seconds[name]
        faster = median_and_range(ratios(seconds[first], spent))
        of_ours = median_and_range(ratios(seconds["codemoe"], spent))
        lines.append(
            f"| {name} | {useful / statistics.median(spent):.0f} | {faster} | {of_ours} "
            f"| {1 - side.useful / side.computed:.3f} | {side.kept_mb:.0f} |"
        )
    curves = ", ".join(f"{name} {value:.1e}" for name, value in apart.items())
    return [
        *lines,
        "",
        f"The loss curve is the reference's: over {len(curve)} steps (from {curve[0]:.3f} to "
        f"{curve[-1]:.3f}) the losses differ by at most: {curves}. The other sides train another "
        "adapter or on a rounded base; their last losses: "
        + ", ".join(
            f"{name} {side.losses[-1]:.3f}"
            for name, side in sides.items()
            if name not in (first, *SAME_ADAPTER)
        )
        + ".",
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
