"""Supervised fine-tuning of one expert on a frozen base, through TRL, PEFT and Accelerate."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peft
import torch
from datasets import Dataset
from transformers import PrinterCallback, set_seed
from trl import SFTConfig, SFTTrainer

from codemoe.artifacts import CHECKPOINTS
from codemoe.data.rows import Row
from codemoe.errors import UserError
from codemoe.models.architectures import target_modules
from codemoe.models.load import CodeModel, leave_unpacked
from codemoe.models.storage.adapter import WEIGHTS
from codemoe.recipe import LoraConfig, TrainConfig
from codemoe.train import full_mlp, sharding
from codemoe.train.activation import ActivationMask
from codemoe.train.batches import (
    IGNORE,
    Collator,
    completion_loss,
    encode_fitting,
    encode_rows,
    fim_share,
    plan_training,
    weights_of,
)
from codemoe.train.checkpoints import last_good, read_state
from codemoe.train.trainer import (
    METRICS,
    DependableTrainer,
    ProgressAndMetrics,
    check_together,
    common_arguments,
    run,
)
from codemoe.train.validation import plan_validation, validation_loss

__all__ = ["IGNORE", "Collator", "completion_loss", "encode_rows", "lora_config", "train_adapter"]


class _ExpertTrainer(DependableTrainer, SFTTrainer):
    """Hands each batch's activation mask to the adapter for the whole step, backward included."""

    activation_mask: ActivationMask
    collator: Collator
    validation: Sequence[list[dict[str, Any]]] = ()
    full = False  # the expert is whole MLPs

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any) -> torch.Tensor:
        with self.activation_mask.on(inputs.pop("active_BT1").to(self.args.device)):
            return super().training_step(model, inputs, *args)

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
            inputs.get("attention_mask"),
            inputs["labels"],
            num_items_in_batch,
            inputs.get("position_ids"),
        )
        if num_items_in_batch is not None:
            # The count is of all processes, whose gradients will be averaged.
            loss = loss * self.args.world_size
        return (loss, output) if return_outputs else loss

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Of a full-MLP expert only what is trained: the base is large and unchanged."""
        if not self.full:
            super()._save(output_dir, self.whole() if self.shards else state_dict)
            return
        found = self.whole()
        if self.args.should_save:
            full_mlp.save(self.model, found, Path(output_dir or self.args.output_dir or "."))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        assert self.model is not None
        if self.full:
            full_mlp.restore(self.model, Path(resume_from_checkpoint))
        elif self.is_distributed_loading_by_transformers:
            _restore_shared(self.model, Path(resume_from_checkpoint))
        else:
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def whole(self) -> dict[str, torch.Tensor]:
        """What is trained, by name. Every process has to ask where it is shared out."""
        assert self.model is not None
        return sharding.trained(self.model)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        loss, tokens = validation_loss(
            self.model,
            self.validation,
            self.collator,
            self.activation_mask,
            self.args.device,
        )
        if not math.isfinite(loss):
            step = self.state.global_step
            raise self.diverged(f"the validation loss is {loss} after step {step}; stopped there")
        metrics = {"eval_loss": loss, "eval_tokens": float(tokens)}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def _restore_shared(model: torch.nn.Module, folder: Path) -> None:
    """An adapter's factors, from a checkpoint into a model that is shared out."""
    from safetensors.torch import load_file

    found = load_file(folder / WEIGHTS)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            sharding.put(parameter, found[name.replace(".default.", ".")])


@contextmanager
def _head_unseen(model: Any) -> Iterator[None]:
    """TRL refuses an adapter of the head, because its own loss would go round it. Ours does not."""
    model.get_output_embeddings = lambda: None
    try:
        yield
    finally:
        del model.get_output_embeddings


def lora_config(model: Any, lora: LoraConfig) -> peft.LoraConfig:
    names = target_modules(model.config.model_type, lora.target, model)
    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number does
        lora_dropout=lora.dropout,
        use_rslora=lora.use_rslora,
        use_dora=lora.use_dora,
        target_modules=list(names),
        task_type="CAUSAL_LM",
    )


def train_adapter(
    base: CodeModel,
    rows: Sequence[Row],
    *,
    name: str,
    lora: LoraConfig | None,
    train: TrainConfig,
    activation: str,
    seed: int,
    out: Path,
    valid_rows: Sequence[Row] = (),
) -> None:
    """Write an expert, a PEFT adapter or (`lora` None) whole MLPs, with `metrics.jsonl` and
    `training.json` into `out`.

    Wraps `base.model` in place without changing its weights; resumes from checkpoints in `out`.
    """
    window = getattr(base.model.config, "max_position_embeddings", None) or train.max_length
    longest = min(train.max_length, window)
    share = fim_share(train, seed)
    fitting, counts = encode_fitting(rows, base.tokenizer, longest, share)
    if not fitting:
        raise UserError(
            f"expert {name!r}: none of its {len(rows)} samples fits into {longest} tokens",
            "raise experts.train.max_length"
            if longest < window
            else "shorten the data (data.max_code_chars) or take a base with a longer window",
        )
    validation: list[list[dict[str, Any]]] = []
    if train.eval_steps is not None:
        held_out, _ = encode_rows(valid_rows, base.tokenizer, longest)
        if not held_out:
            raise UserError(
                f"expert {name!r}: eval_steps asks for a validation loss, but none of its "
                f"{len(valid_rows)} validation rows fits into {longest} tokens",
                "raise data.valid_fraction, or leave eval_steps out",
            )
        most = train.max_eval_samples
        validation = plan_validation(held_out, most, train.batch_size, activation, seed)
    plan = plan_training(
        [example for _, example in fitting],
        [row.id for row, _ in fitting],
        batch_size=train.batch_size,
        num_batches=train.steps * train.gradient_accumulation_steps,
        activation=activation,
        seed=seed,
        weights=weights_of([row for row, _ in fitting], train),
    )
    if getattr(base.model, "is_loaded_in_4bit", False):
        leave_unpacked(base.model)
        peft.prepare_model_for_kbit_training(base.model, use_gradient_checkpointing=False)
    set_seed(seed)
    if lora is None:
        model: Any = full_mlp.wrap(base.model)
    else:
        model = peft.get_peft_model(base.model, lora_config(base.model, lora))
    trainable = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}
    arguments = SFTConfig(
        **common_arguments(train, out, seed),
        **_validation_arguments(train),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        gradient_checkpointing=train.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
    )
    collator = Collator(base.tokenizer.pad_token_id, longest if train.packing else None)
    with _head_unseen(model):
        trainer = _ExpertTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(plan.samples),
            eval_dataset=Dataset.from_list([s for batch in validation for s in batch])
            if validation
            else None,
            data_collator=collator,
            processing_class=base.tokenizer,
            callbacks=[ProgressAndMetrics(f"expert {name}", out / METRICS)],
        )
    check_together(trainer, train.num_processes)
    # On a quantised base, TRL makes the factors bfloat16, in which AdamW's small steps are lost.
    for n, parameter in model.named_parameters():
        if n in trainable:
            parameter.data = trainable[n].to(parameter.device)
    trainer.remove_callback(PrinterCallback)
    trainer.description = f"expert {name}"
    trainer.sample_names = plan.names
    trainer.collator, trainer.validation = collator, validation
    trainer.keep_best = train.load_best_model_at_end
    trainer.patience = train.early_stopping_patience
    trainer.full, trainer.shards = lora is None, train.parallelism == "fsdp2"
    trainer.activation_mask = ActivationMask(model)
    run(trainer, out)
    found = trainer.whole()
    if not trainer.is_world_process_zero():
        return
    if lora is None:
        full_mlp.save(model, found, out, full_mlp.base_dtype(model))
    else:
        model.save_pretrained(str(out), state_dict=found)
    summary: dict[str, Any] = {
        "name": name,
        "activation": activation,
        "samples": dict(counts),
        "languages": sorted({row.language for row in rows}),
        "licenses": dict(sorted(Counter(row.license for row in rows).items())),
        "trainable_parameters": sum(p.numel() for p in trainable.values()),
        **trained_steps(out),
    }
    (out / "training.json").write_text(json.dumps(summary, indent=2) + "\n")


def trained_steps(out: Path) -> dict[str, Any]:
    """How far training went and which step is kept, as the last checkpoint tells."""
    last = last_good(out / CHECKPOINTS)
    assert last is not None, "training ends with a checkpoint"
    state = read_state(last)
    told = {"steps": state["global_step"]}
    losses = {r["step"]: r["eval_loss"] for r in state["log_history"] if "eval_loss" in r}
    if losses:
        best = min(losses, key=lambda step: (losses[step], step))
        told |= {"best_step": best, "best_validation_loss": losses[best]}
    return told


def _validation_arguments(train: TrainConfig) -> dict[str, Any]:
    if train.eval_steps is None:
        return {}
    return {
        "eval_strategy": "steps",
        "eval_steps": train.eval_steps,
        "metric_for_best_model": "eval_loss",
        "greater_is_better": False,
    }
