"""The loss of an expert on held-out rows, while it trains."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from codemoe.data.prompt import Example
from codemoe.train.activation import ActivationMask
from codemoe.train.batches import Collator, as_sample, completion_loss


def plan_validation(
    examples: Sequence[Example], most: int, batch_size: int, activation: str, seed: int
) -> list[list[dict[str, Any]]]:
    """Batches of at most `most` samples in all, the same ones every time.

    An expert that trains as `both` is held to acting as `completion`, what a mixture does.
    """
    chosen = random.Random(f"validation:{seed}").sample(examples, min(most, len(examples)))
    chosen.sort(key=lambda example: len(example.input_ids))
    acting = "all" if activation == "all" else "completion"
    samples = [as_sample(example, acting) for example in chosen]
    return [samples[i : i + batch_size] for i in range(0, len(samples), batch_size)]


@torch.no_grad()
def validation_loss(
    model: Any,
    batches: Sequence[list[dict[str, Any]]],
    collator: Collator,
    mask: ActivationMask,
    device: torch.device,
) -> tuple[float, int]:
    """Mean cross-entropy over the learned tokens of all batches, and their number.

    Without dropout; draws nothing, so that training goes on as if it had not been. Every process
    of several reads all of it: the figure is the same in each, and nothing is left to agree on.
    """
    total, tokens = 0.0, 0
    model.eval()
    try:
        for batch in _on(device, map(collator, batches)):
            with mask.on(batch.pop("active_BT1")):
                loss, _ = completion_loss(
                    model,
                    batch["input_ids"],
                    batch.get("attention_mask"),
                    batch["labels"],
                    1,
                    batch.get("position_ids"),
                )
            total += float(loss)
            tokens += int((batch["labels"][:, 1:] >= 0).sum())
    finally:
        model.train()
    return total / tokens, tokens


def _on(
    device: torch.device, batches: Iterator[dict[str, torch.Tensor]]
) -> Iterator[dict[str, torch.Tensor]]:
    for batch in batches:
        yield {name: tensor.to(device) for name, tensor in batch.items()}
