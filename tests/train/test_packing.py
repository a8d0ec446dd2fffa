"""Packing changes where samples lie, not what is learned: each attends to itself alone."""

from pathlib import Path
from typing import Any

import pytest
import torch

from codemoe.recipe import LoraConfig
from codemoe.train.activation import ActivationMask
from codemoe.train.batches import IGNORE, Collator, as_sample, completion_loss, encode_rows
from codemoe.train.order import lay_out
from codemoe.train.sft import lora_config
from tests.models.tiny import CONFIGS, save_checkpoint, tiny_model, tiny_tokenizer
from tests.train.training import ROWS, train_expert

# Sums of a few hundred float32 terms in another order; losses are about 6.
TOLERANCE = 2e-5


def _samples(activation: str) -> list[dict[str, Any]]:
    examples, _ = encode_rows(ROWS[:7], tiny_tokenizer(), 256)
    return [as_sample(example, activation) for example in examples]


def _expert(model_type: str) -> tuple[Any, ActivationMask]:
    import peft

    model = tiny_model(model_type)
    wrapped = peft.get_peft_model(model, lora_config(model, LoraConfig(rank=3, target="both")))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, 0.1)
    return wrapped.eval(), ActivationMask(wrapped)


def _loss_and_gradient(
    wrapped: Any, mask: ActivationMask, batch: dict[str, torch.Tensor]
) -> tuple[float, torch.Tensor]:
    wrapped.zero_grad()
    with mask.on(batch["active_BT1"]):
        loss, _ = completion_loss(
            wrapped,
            batch["input_ids"],
            batch.get("attention_mask"),
            batch["labels"],
            None,
            batch.get("position_ids"),
        )
        loss.backward()
    gradients = [p.grad.flatten() for p in wrapped.parameters() if p.grad is not None]
    return float(loss.detach()), torch.cat(gradients)


@pytest.mark.parametrize("activation", ["all", "completion"])
@pytest.mark.parametrize("model_type", sorted(CONFIGS))
def test_loss_and_gradient_are_those_of_the_samples_apart(model_type: str, activation: str) -> None:
    samples = _samples(activation)
    pad = tiny_tokenizer().pad_token_id
    wrapped, mask = _expert(model_type)
    packed = Collator(pad, 200)(samples)
    assert len(packed["input_ids"]) < len(samples)
    loss, gradient = _loss_and_gradient(wrapped, mask, Collator(pad)(samples))
    found, packed_gradient = _loss_and_gradient(wrapped, mask, packed)
    assert found == pytest.approx(loss, abs=TOLERANCE)
    assert (packed_gradient - gradient).norm() <= 1e-4 * gradient.norm()
    # The wrong twin: positions that go on let a sample see its neighbour.
    packed["position_ids"] = torch.arange(packed["input_ids"].shape[1]).expand_as(
        packed["input_ids"]
    )
    _, wrong = _loss_and_gradient(wrapped, mask, packed)
    assert (wrong - gradient).norm() > 1e-2 * gradient.norm()


def test_every_token_keeps_its_label_its_place_and_its_marker() -> None:
    samples = _samples("completion")
    batch = Collator(2, 200)(samples)
    found = []
    for row in range(len(batch["input_ids"])):
        starts = (batch["position_ids"][row] == 0).nonzero()[:, 0].tolist()
        ends = [*starts[1:], batch["input_ids"].shape[1]]
        for start, end in zip(starts, ends, strict=True):
            labels = batch["labels"][row, start:end].tolist()
            active = batch["active_BT1"][row, start:end, 0]
            if not active.any():
                assert set(labels) == {IGNORE}  # pads
                continue
            found.append(
                {
                    "input_ids": batch["input_ids"][row, start:end].tolist(),
                    "labels": labels,
                    "active_from": int(active.nonzero()[0]),
                }
            )
    order = lambda sample: sample["input_ids"]  # noqa: E731
    assert sorted(found, key=order) == sorted(samples, key=order)


def test_layouts() -> None:
    assert lay_out([5], 10) == [[0]]
    # 4 + 6, 7 + 3 and 5 + 5 fill rows of 10 exactly.
    rows = lay_out([4, 7, 5, 6, 3, 5], 10)
    assert sorted(sum([4, 7, 5, 6, 3, 5][i] for i in row) for row in rows) == [10, 10, 10]
    assert sorted(i for row in rows for i in row) == list(range(6))
    # Equal samples need no packing: a row each, as attention is quadratic in a row.
    assert lay_out([8, 8, 8], 100) == [[0], [1], [2]]
    # Never longer than asked, however much it would save.
    assert all(sum([9, 1, 9][i] for i in row) <= 10 for row in lay_out([9, 1, 9], 10))


def test_a_packed_training_learns_the_same(tmp_path: Path) -> None:
    import json

    base = save_checkpoint(tiny_model("mistral"), tmp_path / "base")
    losses = []
    for packing in (False, True):
        options = {"packing": packing, "steps": 12, "batch_size": 6, "lora": {"dropout": 0.0}}
        out = train_expert(base, tmp_path / str(packing), **options)
        rows = map(json.loads, (out / "metrics.jsonl").read_text().splitlines())
        losses.append([row["loss"] for row in rows])
    assert losses[1] == pytest.approx(losses[0], abs=1e-3)
    assert losses[0][-1] < losses[0][0]
