"""What every training stage shares on top of the Hugging Face trainers.

Order is decided before training starts: a dataset already holds its samples batch after batch, the
sampler is sequential, and nothing is drawn while training. A resumed run therefore sees exactly the
samples that an undisturbed one would.
"""

import json
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.tensor import DTensor
from torch.utils.data import SequentialSampler
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from codemoe.artifacts import CHECKPOINTS
from codemoe.disk import existing_parent
from codemoe.errors import UserError, WorkError
from codemoe.progress import say
from codemoe.train.checkpoints import at_step, damage, drop_old, last_good, read_state, seal
from codemoe.train.metrics_file import METRICS, ProgressAndMetrics
from codemoe.train.sharding import ShardedTrainer
from codemoe.train.stopping import (
    Stopped,
    StopRequest,
    evaluations_since_best,
    first_not_finite,
    stop_on_signals,
)

if TYPE_CHECKING:
    from codemoe.recipe import TrainConfig

__all__ = ["METRICS", "DependableTrainer", "ProgressAndMetrics", "common_arguments", "run"]

KEPT_CHECKPOINTS = 2
_SINCE_LOG = "since_log_{}.json"  # in a checkpoint, one for each process


class DependableTrainer(ShardedTrainer):
    """Serves the dataset front to back, seals checkpoints, and stops before a step that is none.

    A checkpoint may fall anywhere between two logged losses: what has been added up since the last
    one is saved too, so that the list of losses is the same after a resume.
    """

    description = "training"
    sample_names: Sequence[str] = ()  # of the dataset's items, for messages
    keep_best = False  # end with the weights of the lowest validation loss
    patience: int | None = None  # validations without a better one before training ends

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        arguments: TrainingArguments = kwargs["args"]
        if arguments.n_gpu > 1:
            # One process with several GPUs: the trainer would spread each batch over them by
            # nn.DataParallel, and multiply the batch, without being asked.
            say(f"using one of {arguments.n_gpu} GPUs; for all: experts.train.num_processes")
            arguments._n_gpu = 1
        super().__init__(*args, **kwargs)
        self.stop = StopRequest()
        self.stopped = False
        self._step_losses: list[torch.Tensor] = []
        self.add_callback(_Flow(self))

    @property
    def folder(self) -> Path:
        """Where checkpoints are."""
        assert self.args.output_dir is not None
        return Path(self.args.output_dir)

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    def training_step(self, model: Any, inputs: dict[str, Any], *args: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(model, inputs, *args)
        self._step_losses.append(loss)
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        """The last moment before the optimizer moves anything: look at what would move it."""
        norm = super()._clip_grad_norm(model)
        # Side by side, so that a GPU is waited for once a step.
        losses, self._step_losses = self._step_losses, []
        total = torch.as_tensor(norm, device=losses[0].device).float()
        found = torch.stack([*(loss.float() for loss in losses), total]).tolist()
        bad = first_not_finite(found)
        if bad is not None:
            raise self._no_number(found, bad)
        return norm

    def _no_number(self, found: list[float], bad: int) -> WorkError:
        step, batches = self.state.global_step, len(found) - 1
        if bad < batches:
            first = step * batches * self.args.world_size
            index = first + bad * self.args.world_size + self.args.process_index
            what = f"the loss is {found[bad]} in {self._batch(index)} of step {step + 1}"
        else:
            what = (
                f"the gradient is {found[bad]} at step {step + 1} though its losses are finite, in "
                f"batches {step * batches + 1} to {(step + 1) * batches}"
            )
        return self.diverged(f"{what}; stopped before that step changed the weights")

    def diverged(self, what: str) -> WorkError:
        good = last_good(self.folder)
        kept = f"the checkpoint of step {read_state(good)['global_step']} is kept" if good else ""
        return WorkError(
            f"{self.description}: {what}" + (f", {kept}" if kept else ""),
            f"look at these samples, or lower the learning rate ({self.args.learning_rate:g}) and "
            "start this stage again with --force",
        )

    def _batch(self, index: int) -> str:
        size = self.args.per_device_train_batch_size
        names = self.sample_names[index * size : (index + 1) * size]
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        return f"batch {index + 1}" + (f" (samples {shown})" if names else "")

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        better = super()._determine_best_metric(metrics, trial)
        if better and self.keep_best:
            self.control.should_save = True
        return better

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        for name, parameter in self.model.named_parameters():  # type: ignore[union-attr]
            # Of a parameter that is shared out, this process's part.
            own = parameter.to_local() if isinstance(parameter, DTensor) else parameter
            if parameter.requires_grad and not bool(torch.isfinite(own).all()):
                raise WorkError(
                    f"{self.description}: {name} is no longer finite after step "
                    f"{self.state.global_step}; it was not saved",
                    f"lower the learning rate ({self.args.learning_rate:g}) and start this stage "
                    "again with --force",
                )
        super()._save_checkpoint(model, trial)
        checkpoint = at_step(self.folder, self.state.global_step)
        since = {
            "loss": float(self._tr_loss),
            "logged": self._globalstep_last_logged,
            "figures": self.figures_since_log(),
        }
        (checkpoint / _SINCE_LOG.format(self.args.process_index)).write_text(json.dumps(since))
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            seal(checkpoint)
            best = self.state.best_global_step
            drop_old(self.folder, KEPT_CHECKPOINTS, (best,) if self.keep_best and best else ())
        self.accelerator.wait_for_everyone()

    def figures_since_log(self) -> Any:
        """What a descendant logs as a mean since the last log, in JSON's types."""
        return None

    def restore_figures(self, figures: Any) -> None:
        """The inverse of `figures_since_log`."""

    def restore_since_log(self) -> None:
        file = at_step(self.folder, self.state.global_step) / _SINCE_LOG.format(
            self.args.process_index
        )
        if self.state.global_step and file.is_file():
            since = json.loads(file.read_text())
            self._tr_loss += since["loss"]
            self._globalstep_last_logged = since["logged"]
            self.restore_figures(since["figures"])

    def stop_asked(self) -> bool:
        """Whether any process was told to stop: all have to end after the same step."""
        asked = self.stop.number is not None
        if self.args.world_size == 1:
            return asked
        flag = torch.tensor([float(asked)], device=self.args.device)
        return bool(self.accelerator.reduce(flag, "sum").item() > 0)


class _Flow(TrainerCallback):
    """Takes up where a checkpoint was made; ends training early with everything saved."""

    def __init__(self, trainer: DependableTrainer) -> None:
        self.trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.trainer.restore_since_log()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.trainer.stop_asked():
            self.trainer.stopped = True
            control.should_save = control.should_training_stop = True

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if _worn_out(self.trainer.patience, state.log_history):
            control.should_save = control.should_training_stop = True


def _worn_out(patience: int | None, history: Sequence[dict[str, Any]]) -> bool:
    return patience is not None and evaluations_since_best(history) >= patience


def common_arguments(train: "TrainConfig", folder: Path, seed: int) -> dict[str, Any]:
    """Keyword arguments shared by TrainingArguments and its TRL descendants."""
    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(folder / CHECKPOINTS),
        "max_steps": train.steps,
        "per_device_train_batch_size": train.batch_size,
        # Processes share the batches of a step: their number changes how fast it is made, not what.
        "gradient_accumulation_steps": train.gradient_accumulation_steps // train.num_processes,
        "ddp_backend": None if train.num_processes == 1 else "nccl" if cuda else "gloo",
        "ddp_find_unused_parameters": False,
        "learning_rate": train.learning_rate,
        "lr_scheduler_type": train.lr_scheduler_type,
        "warmup_steps": min(train.warmup_steps, train.steps // 2),
        "weight_decay": train.weight_decay,
        "max_grad_norm": train.max_grad_norm,
        "logging_steps": train.logging_steps,
        "save_strategy": "steps",
        "save_steps": train.checkpoint_steps,
        "save_total_limit": None,  # the trainer drops the old one before the new one is proven
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


def check_together(trainer: Trainer, num_processes: int) -> None:
    """Raise when training is not spread as the recipe says, above all when it would run alone."""
    found = trainer.args.world_size
    if found != num_processes or (found > 1 and not torch.distributed.is_initialized()):
        raise UserError(
            f"experts.train.num_processes is {num_processes}, but {found} "
            f"train{'s' if found == 1 else ''} together ({trainer.accelerator.distributed_type})",
            "start codemoe once, without torchrun or accelerate launch: it starts its processes",
        )


def run(trainer: DependableTrainer, folder: Path) -> None:
    """Train from the last whole checkpoint in `folder`, if any; end with the weights to keep.

    Checkpoints stay: `artifacts.run_stage` drops them once what came of them is safe. Raises
    Stopped (SIGTERM) or KeyboardInterrupt (SIGINT) after saving, and WorkError at a loss that is no
    number or when the disk has no room for checkpoints.
    """
    checkpoints = folder / CHECKPOINTS
    # One process clears what is torn, then all see the same.
    with trainer.accelerator.main_process_first():
        start = last_good(checkpoints)
    _check_space(trainer, checkpoints)
    ended = start is not None and _worn_out(trainer.patience, read_state(start)["log_history"])
    try:
        with stop_on_signals() as trainer.stop:
            if not ended:
                trainer.train(resume_from_checkpoint=None if start is None else str(start))
    finally:
        for callback in trainer.callback_handler.callbacks:
            if isinstance(callback, ProgressAndMetrics):
                callback.close()
    if trainer.stopped:
        raise Stopped(trainer.stop.number or signal.SIGTERM, trainer.state.global_step)
    if trainer.keep_best:
        _take_best(trainer, checkpoints)


def _take_best(trainer: DependableTrainer, checkpoints: Path) -> None:
    good = last_good(checkpoints)
    best = read_state(good)["best_global_step"] if good else None
    if best is None:
        return
    path = at_step(checkpoints, best)
    fault = damage(path)
    if fault is not None:
        raise WorkError(
            f"the best checkpoint, of step {best}, is damaged: {fault}",
            "start this stage again with --force",
        )
    trainer._load_from_checkpoint(str(path))
    say(f"{trainer.description}: the weights of step {best} are kept, the best in validation")


def _check_space(trainer: DependableTrainer, checkpoints: Path) -> None:
    """Refuse before training what would stop it at the first checkpoint."""
    assert trainer.model is not None
    weights = sum(
        p.numel() * p.element_size() for p in trainer.model.parameters() if p.requires_grad
    )
    # Weights and the two moments of AdamW; the one being written and, if kept, the best.
    needed = 3 * weights * (KEPT_CHECKPOINTS + 1 + trainer.keep_best)
    free = shutil.disk_usage(existing_parent(checkpoints)).free
    if free < needed:
        raise WorkError(
            f"{checkpoints} has {free / 2**20:.0f} MiB free; checkpoints of {trainer.description} "
            f"need about {needed / 2**20:.0f} MiB",
            "free some space, or keep runs elsewhere: runs_dir=...",
        )
