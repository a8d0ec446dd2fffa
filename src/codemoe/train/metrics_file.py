"""metrics.jsonl and the progress bar of a training stage."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from codemoe.progress import progress, say

METRICS = "metrics.jsonl"


class ProgressAndMetrics(TrainerCallback):
    """A progress bar, and a metrics.jsonl row a logging step and a validation."""

    def __init__(self, description: str, metrics_path: Path) -> None:
        self.description = description
        self.metrics_path = metrics_path
        self._context: Any = None
        self._advance: Callable[[int, str], None] = lambda n, note: None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
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
        if not state.is_world_process_zero or not {"loss", "eval_loss"} & row.keys():
            return
        with self.metrics_path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if "loss" in row:
            self._advance(0, f"loss {row['loss']:.3f}")
        else:
            self._advance(0, f"validation {row['eval_loss']:.3f}")

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
