"""Direct preference optimisation of one expert's adapter, through TRL.

DPO (arXiv:2305.18290): -log sigmoid(beta * margin), where margin = (log p - log p_ref)(chosen) -
(log p - log p_ref)(rejected), summed over the answer's tokens. IPO (arXiv:2310.12036): (margin -
1 / (2 beta))^2, its log-probabilities averaged over the answer's tokens.
"""

# B pairs of a batch, T tokens

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peft
import torch
from datasets import Dataset
from transformers import PrinterCallback, set_seed
from trl import DPOConfig, DPOTrainer

from codemoe.align_config import AlignConfig, AlignTrainConfig
from codemoe.data.preferences import Preference
from codemoe.errors import UserError
from codemoe.models.load import CodeModel, leave_unpacked
from codemoe.progress import progress
from codemoe.train.activation import ActivationMask
from codemoe.train.preference_batches import (
    REFERENCE,
    PairCollator,
    PairPlan,
    encode_pairs,
    plan_pairs,
)
from codemoe.train.trainer import METRICS, DependableTrainer, ProgressAndMetrics
from codemoe.train.trainer import common_arguments as common
from codemoe.train.trainer import run as train
from codemoe.train_config import TrainConfig

LOSSES = {"dpo": "sigmoid", "ipo": "ipo"}


class TrlFigures(DependableTrainer):
    """Keeps, over a resume, the figures that TRL's trainers log as means since the last log."""

    def figures_since_log(self) -> Any:
        metrics = self._metrics["train"]  # type: ignore[attr-defined]  # of the TRL trainer
        return {
            "means": {name: list(values) for name, values in metrics.items()},
            "tokens": getattr(self, "_total_train_tokens", 0),
        }

    def restore_figures(self, figures: Any) -> None:
        self._metrics["train"].update(figures["means"])  # type: ignore[attr-defined]
        self._total_train_tokens = figures["tokens"]


class _PreferenceTrainer(TrlFigures, DPOTrainer):
    """TRL's loss on batches planned here; the expert acts where the batch says."""

    activation_mask: ActivationMask

    def _prepare_dataset(self, dataset: Dataset, *args: Any) -> Dataset:
        return dataset  # tokens already, in the order they are to be served in

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any) -> torch.Tensor:
        with self.activation_mask.on(inputs.pop("active_BT1").to(self.args.device)):
            return super().training_step(model, inputs, *args)


def align_expert(
    base: CodeModel,
    start: Path,
    pairs: Sequence[Preference],
    *,
    name: str,
    config: AlignConfig,
    activation: str,
    seed: int,
    out: Path,
) -> dict[str, Any]:
    """Train the adapter in `start` further, into `out`; what training did, for training.json.

    Wraps `base.model` in place without changing its weights; resumes from checkpoints in `out`.
    Raises UserError when no pair fits into `train.max_length`.
    """
    longest = config.train.max_length
    window = getattr(base.model.config, "max_position_embeddings", None) or longest
    encoded, counts = encode_pairs(pairs, base.tokenizer, min(longest, window))
    if not encoded:
        raise UserError(
            f"align: none of the {len(pairs)} pairs of expert {name!r} fits into "
            f"{min(longest, window)} tokens",
            "raise align.train.max_length"
            if longest < window
            else "take a base with a longer window",
        )
    plan = plan_pairs(
        encoded,
        batch_size=config.train.batch_size,
        accumulated=config.train.gradient_accumulation_steps,
        epochs=config.train.epochs,
        activation=activation,
        seed=seed,
    )
    model = trainable_adapter(base, start)
    before = values_of(model)
    trainer = _trainer(base, model, plan, name, config, seed, out)
    with_reference(trainer, model, plan.samples, config.reference)
    # TRL makes a quantised base's factors bfloat16, in which AdamW's small steps are lost.
    restore_values(model, before)
    train(trainer, out)
    model.save_pretrained(str(out))
    causes = Counter(one.pair.cause for one in encoded)
    return {"pairs": dict(counts), "causes": dict(sorted(causes.items())), "steps": plan.steps}


def trainable_adapter(base: CodeModel, start: Path) -> Any:
    """The base with a saved adapter on it, ready to be trained further."""
    if getattr(base.model, "is_loaded_in_4bit", False):
        leave_unpacked(base.model)
        peft.prepare_model_for_kbit_training(base.model, use_gradient_checkpointing=False)
    return peft.PeftModel.from_pretrained(base.model, str(start), is_trainable=True)


def values_of(model: Any) -> dict[str, torch.Tensor]:
    return {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}


def restore_values(model: Any, values: dict[str, torch.Tensor]) -> None:
    for name, parameter in model.named_parameters():
        if name in values:
            parameter.data = values[name].to(parameter.device)


def as_train_config(align: AlignTrainConfig, steps: int) -> TrainConfig:
    """In the words of the experts' training, whose trainer does the work."""
    return TrainConfig(steps=steps, **align.model_dump(exclude={"epochs"}))


def _trainer(
    base: CodeModel,
    model: Any,
    plan: PairPlan,
    name: str,
    config: AlignConfig,
    seed: int,
    out: Path,
) -> _PreferenceTrainer:
    losses = [LOSSES[config.method]] + (["sft"] if config.sft_weight else [])
    weights = [1.0] + ([config.sft_weight] if config.sft_weight else [])
    arguments = DPOConfig(
        **common(as_train_config(config.train, plan.steps), out, seed),
        beta=config.strength,
        loss_type=losses,
        loss_weights=weights,
        max_length=None,
        gradient_checkpointing=False,
    )
    set_seed(seed)
    trainer = _PreferenceTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(plan.samples),
        data_collator=PairCollator(base.tokenizer.pad_token_id),
        processing_class=base.tokenizer,
        callbacks=[ProgressAndMetrics(f"align {name}", out / METRICS)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.description = f"align {name}"
    trainer.sample_names = plan.names
    trainer.activation_mask = ActivationMask(model)
    return trainer


def with_reference(
    trainer: _PreferenceTrainer, model: Any, samples: Sequence[dict[str, Any]], reference: str
) -> None:
    """Give each sample the reference's log-probabilities: they do not change while training does.

    TRL has put a copy of the adapter as it is now beside it, "ref": the reference `start`. Without
    it TRL's reference is the bare base. It goes before training, so that a checkpoint holds one
    adapter, as the experts' do.
    """
    if reference == "base":
        model.delete_adapter("ref")
    size = trainer.args.per_device_train_batch_size
    collator, device = trainer.data_collator, trainer.args.device
    complete: list[dict[str, Any]] = []
    model.eval()
    with progress(f"{trainer.description}: reference", len(samples), "pairs") as advance:
        for start in range(0, len(samples), size):
            some = list(samples[start : start + size])
            batch = {key: value.to(device) for key, value in collator(some).items()}
            with trainer.activation_mask.on(batch.pop("active_BT1")):
                found = trainer.compute_ref_log_probs(model, batch)
            values = zip(some, *(logps.tolist() for logps in found), strict=True)
            complete += [
                sample | dict(zip(REFERENCE, logps, strict=True)) for sample, *logps in values
            ]
            advance(len(some), "")
    model.train()
    if reference == "start":
        model.delete_adapter("ref")
    trainer.train_dataset = Dataset.from_list(complete)
    trainer.precompute_ref_logps = True


def write_training(
    out: Path, start: Path, name: str, activation: str, config: AlignConfig, told: dict[str, Any]
) -> None:
    """`training.json`: what the expert was before (its data's languages and licences stay), and
    what alignment did."""
    try:
        before = json.loads((start / "training.json").read_text())
    except (OSError, ValueError):
        before = {}
    summary = before | {
        "name": name,
        "activation": activation,
        "aligned": {
            "method": config.method,
            "reference": config.reference,
            "beta": config.strength,
            **told,
        },
    }
    (out / "training.json").write_text(json.dumps(summary, indent=2) + "\n")
