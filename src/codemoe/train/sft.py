"""Supervised fine-tuning of one LoRA adapter on a frozen base, through TRL, PEFT and Accelerate."""

# B batch, T tokens

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import torch
from datasets import Dataset
from transformers import PrinterCallback, set_seed
from trl import SFTConfig, SFTTrainer

from codemoe.data.prompt import Example, encode_example
from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.models.architectures import target_modules
from codemoe.models.load import CodeModel
from codemoe.recipe import LoraConfig, TrainConfig
from codemoe.train.activation import ActivationMask, draw_activation
from codemoe.train.order import plan_batches
from codemoe.train.trainer import METRICS, InOrder, ProgressAndMetrics, common_arguments, run

IGNORE = -100


def encode_rows(
    rows: Sequence[Row], tokenizer: Any, max_length: int
) -> tuple[list[Example], Counter[str]]:
    """Samples that fit, and a count of what was left out.

    Longer ones are dropped, never cut: a model trained on cut answers learns not to stop.
    """
    counts: Counter[str] = Counter()
    kept = []
    for row in rows:
        example = encode_example(tokenizer, row.text, row.language, row.code)
        if len(example.input_ids) > max_length:
            counts["longer than max_length"] += 1
        else:
            kept.append(example)
    counts["used"] = len(kept)
    return kept, counts


def _dataset(
    examples: Sequence[Example], train: TrainConfig, activation: str, seed: int
) -> Dataset:
    """All samples of the run, batch after batch, each with the token its expert acts from."""
    total = train.steps * train.gradient_accumulation_steps
    lengths = [len(e.input_ids) for e in examples]
    ids, labels, active_from = [], [], []
    for index, batch in enumerate(plan_batches(lengths, train.batch_size, total, seed)):
        drawn = draw_activation(activation, index, seed)
        for i in batch:
            example = examples[i]
            start = example.completion_start
            ids.append(list(example.input_ids))
            labels.append([IGNORE] * start + list(example.input_ids[start:]))
            active_from.append(0 if drawn == "all" else example.marker_start)
    return Dataset.from_dict({"input_ids": ids, "labels": labels, "active_from": active_from})


class Collator:
    """Right-pad a batch; `active_BT1` is 1 from the token on from which the expert acts."""

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        width = max(len(s["input_ids"]) for s in samples)
        ids_BT = torch.full((len(samples), width), self.pad_id)
        labels_BT = torch.full((len(samples), width), IGNORE)
        mask_BT = torch.zeros((len(samples), width), dtype=torch.long)
        active_BT1 = torch.zeros((len(samples), width, 1))
        for row, sample in enumerate(samples):
            length = len(sample["input_ids"])
            ids_BT[row, :length] = torch.tensor(sample["input_ids"])
            labels_BT[row, :length] = torch.tensor(sample["labels"])
            mask_BT[row, :length] = 1
            active_BT1[row, sample["active_from"] :] = 1
        return {
            "input_ids": ids_BT,
            "labels": labels_BT,
            "attention_mask": mask_BT,
            "active_BT1": active_BT1,
        }


def completion_loss(
    model: Any,
    input_ids_BT: torch.Tensor,
    mask_BT: torch.Tensor,
    labels_BT: torch.Tensor,
    count: torch.Tensor | int | None = None,
) -> tuple[torch.Tensor, Any]:
    """Mean cross-entropy of the learned tokens (over `count`, theirs when None), and the output.

    Logits are made for learned columns only: nearly half of a batch is prompts, and the head is a
    third of a small model's work.
    """
    first = max(1, int((labels_BT != IGNORE).any(0).nonzero()[0]))
    columns = torch.arange(first - 1, labels_BT.shape[1] - 1, device=labels_BT.device)
    output = model(
        input_ids=input_ids_BT, attention_mask=mask_BT, use_cache=False, logits_to_keep=columns
    )
    learned_BT = labels_BT[:, first:]
    total = torch.nn.functional.cross_entropy(
        output.logits.flatten(0, 1).float(),
        learned_BT.flatten(),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return total / (count if count is not None else (learned_BT != IGNORE).sum()), output


class _ExpertTrainer(InOrder, SFTTrainer):
    """Hands each batch's activation mask to the adapter for the whole step, backward included."""

    activation_mask: ActivationMask

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any) -> torch.Tensor:
        self.activation_mask.current_BT1 = inputs.pop("active_BT1").to(model.device)
        try:
            return super().training_step(model, inputs, *args)
        finally:
            self.activation_mask.current_BT1 = None

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        loss, output = completion_loss(
            model,
            inputs["input_ids"],
            inputs["attention_mask"],
            inputs["labels"],
            num_items_in_batch,
        )
        return (loss, output) if return_outputs else loss


def lora_config(model: Any, lora: LoraConfig) -> peft.LoraConfig:
    names = target_modules(model.config.model_type, lora.target, model)
    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number does
        lora_dropout=lora.dropout,
        target_modules=list(names),
        task_type="CAUSAL_LM",
    )


def train_adapter(
    base: CodeModel,
    rows: Sequence[Row],
    *,
    name: str,
    lora: LoraConfig,
    train: TrainConfig,
    activation: str,
    seed: int,
    out: Path,
) -> None:
    """Write a PEFT adapter directory with `metrics.jsonl` and `training.json` into `out`.

    Wraps `base.model` in place without changing its weights; resumes from checkpoints in `out`.
    """
    window = getattr(base.model.config, "max_position_embeddings", None) or train.max_length
    longest = min(train.max_length, window)
    examples, counts = encode_rows(rows, base.tokenizer, longest)
    if not examples:
        raise UserError(
            f"expert {name!r}: none of its {len(rows)} samples fits into {longest} tokens",
            "raise experts.train.max_length"
            if longest < window
            else "shorten the data (data.max_code_chars) or take a base with a longer window",
        )
    if getattr(base.model, "is_loaded_in_4bit", False):
        peft.prepare_model_for_kbit_training(base.model, use_gradient_checkpointing=False)
    set_seed(seed)
    model = peft.get_peft_model(base.model, lora_config(base.model, lora))
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    arguments = SFTConfig(
        **common_arguments(train, out, seed),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        gradient_checkpointing=False,
    )
    trainer = _ExpertTrainer(
        model=model,
        args=arguments,
        train_dataset=_dataset(examples, train, activation, seed),
        data_collator=Collator(base.tokenizer.pad_token_id),
        processing_class=base.tokenizer,
        callbacks=[ProgressAndMetrics(f"expert {name}", out / METRICS)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.activation_mask = ActivationMask(model)
    run(trainer, out)
    model.save_pretrained(str(out))
    summary = {
        "name": name,
        "activation": activation,
        "samples": dict(counts),
        "languages": sorted({row.language for row in rows}),
        "licenses": dict(sorted(Counter(row.license for row in rows).items())),
        "trainable_parameters": trainable,
    }
    (out / "training.json").write_text(json.dumps(summary, indent=2) + "\n")
