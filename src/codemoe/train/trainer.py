"""What every training stage shares on top of the Hugging Face trainers.

Order is decided before training starts: a dataset already holds its samples batch after batch, the
sampler is sequential, and nothing is drawn while training. A resumed run therefore sees exactly the
samples that an undisturbed one would.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import SequentialSampler
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from codemoe.artifacts import CHECKPOINTS
from codemoe.errors import WorkError
from codemoe.progress import progress, say

if TYPE_CHECKING:
    from codemoe.recipe import TrainConfig

METRICS = "metrics.jsonl"


class InOrder(Trainer):
    """Serve the dataset front to back."""

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]


class ProgressAndMetrics(TrainerCallback):
    """A progress bar, a metrics.jsonl row a logging step, a stop at a loss that is no number."""

    def __init__(self, description: str, metrics_path: Path) -> None:
        self.description = description
        self.metrics_path = metrics_path
        self._context: Any = None
        self._advance: Callable[[int, str], None] = lambda n, note: None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._drop_rows_after(state.global_step)
        if state.global_step:
            say(f"{self.description}: resuming after step {state.global_step}")
        self._context = progress(self.description, state.max_steps, "steps", state.global_step)
        self._advance = self._context.__enter__()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._advance(1, "")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        row = {"step": state.global_step, **(logs or {})}
        row.pop("num_tokens", None)  # TRL counts since this process began, not since step 0
        loss = row.get("loss")
        if loss is None:
            return
        if loss != loss or loss in (float("inf"), float("-inf")):
            raise WorkError(
                f"{self.description}: the loss is {loss} at step {state.global_step}",
                "lower the learning rate; the last checkpoint before it is kept",
            )
        with self.metrics_path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self._advance(0, f"loss {loss:.3f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the bar, also after an error: an open one leaves the terminal without a cursor."""
        if self._context is not None:
            self._context.__exit__(None, None, None)
            self._context = None

    def _drop_rows_after(self, step: int) -> None:
        """Rows past the checkpoint that training resumes from will be written again."""
        if not self.metrics_path.is_file():
            return
        kept = []
        for line in self.metrics_path.read_text().splitlines():
            try:
                if json.loads(line)["step"] <= step:
                    kept.append(line + "\n")
            except ValueError:
                break  # cut by a kill
        self.metrics_path.write_text("".join(kept))


def common_arguments(train: "TrainConfig", folder: Path, seed: int) -> dict[str, Any]:
    """Keyword arguments shared by TrainingArguments and its TRL descendants."""
    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(folder / CHECKPOINTS),
        "max_steps": train.steps,
        "per_device_train_batch_size": train.batch_size,
        "gradient_accumulation_steps": train.gradient_accumulation_steps,
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": train.lr_scheduler_type,
        "warmup_steps": min(train.warmup_steps, train.steps // 2),
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "logging_steps": train.logging_steps,
        "save_strategy": "steps",
        # A logged loss is a mean since the last log; saving between two logs would change it.
        "save_steps": -(-train.checkpoint_steps // train.logging_steps) * train.logging_steps,
        "save_total_limit": 2,
        "seed": seed,
        "data_seed": seed,
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        "use_cpu": not cuda,
        "dataloader_pin_memory": cuda,
        "disable_tqdm": True,
        "report_to": list(train.report_to) or "none",
        "remove_unused_columns": False,
        "logging_nan_inf_filter": False,
    }


def run(trainer: Trainer, folder: Path) -> None:
    """Train from the last complete checkpoint in `folder`, if any.

    Checkpoints stay: `artifacts.run_stage` drops them once what came of them is safe.
    """
    try:
        trainer.train(resume_from_checkpoint=_last_complete(folder / CHECKPOINTS))
    finally:
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressAndMetrics):
                callback.close()


def _last_complete(folder: Path) -> str | None:
    """The newest checkpoint whose state file, which the trainer writes last, is there and whole."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.rpartition("-")[2]))
    for path in reversed(found):
        try:
            json.loads((path / "trainer_state.json").read_text())
        except (OSError, ValueError):
            shutil.rmtree(path)
            continue
        return str(path)
    return None
