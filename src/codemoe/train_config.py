"""How an expert is trained: the `experts.lora` and `experts.train` sections of a recipe."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from codemoe.config import Config, PositiveInt


class LoraConfig(Config):
    rank: PositiveInt = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    # all: both, and the head, which no mixture can hold.
    target: Literal["mlp", "attention", "both", "all"] = "mlp"
    use_rslora: bool = False  # scaled by alpha / sqrt(rank), arXiv:2312.03732
    use_dora: bool = False  # magnitudes learned apart from directions, arXiv:2402.09353


# Training keys that change what is shown, kept or spent on the way, not what is made.
UNFELT = {
    "logging_steps",
    "checkpoint_steps",
    "report_to",
    "gradient_checkpointing",
    "num_processes",
    "parallelism",
}


class TrainConfig(Config):
    """Supervised fine-tuning of one adapter; the dense baseline has all experts' steps added up."""

    steps: PositiveInt = 300
    batch_size: PositiveInt = 16
    gradient_accumulation_steps: PositiveInt = 1
    max_length: PositiveInt = 512  # longer samples are dropped and counted, never cut
    learning_rate: Annotated[float, Field(gt=0)] = 3e-3
    lr_scheduler_type: Literal[
        "cosine",
        "cosine_with_restarts",
        "linear",
        "polynomial",
        "inverse_sqrt",
        "constant",
        "constant_with_warmup",
    ] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 20
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    logging_steps: PositiveInt = 10
    checkpoint_steps: PositiveInt = 50
    report_to: tuple[str, ...] = ()
    num_processes: PositiveInt = 1  # one a GPU; they share each optimizer step's batches
    # ddp: each process has the whole model. fsdp2: each keeps its share of it.
    parallelism: Literal["ddp", "fsdp2"] = "ddp"
    packing: bool = False  # several samples a row, none of which sees another
    gradient_checkpointing: bool = False  # activations are computed twice instead of kept
    eval_steps: PositiveInt | None = None  # validation loss every so many steps
    max_eval_samples: PositiveInt = 200
    # How often rows of these sources are drawn, where rows of others are drawn once.
    source_weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    # The share of samples that are to be filled in the middle, and of those that of SPM.
    fim_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    fim_spm_rate: Annotated[float, Field(ge=0, le=1)] = 0.5
    load_best_model_at_end: bool = False  # of the lowest validation loss
    early_stopping_patience: PositiveInt | None = None  # validations without a better one

    @model_validator(mode="after")
    def _shared_evenly(self) -> "TrainConfig":
        if self.gradient_accumulation_steps % self.num_processes:
            raise ValueError(
                f"num_processes={self.num_processes} processes share the batches of an optimizer "
                f"step, so gradient_accumulation_steps ({self.gradient_accumulation_steps}) must "
                "be a multiple of it; with batch_size lowered as much, the training is the same"
            )
        return self

    @model_validator(mode="after")
    def _shared_by_several(self) -> "TrainConfig":
        if self.parallelism == "fsdp2" and self.num_processes == 1:
            raise ValueError(
                "parallelism is fsdp2, which shares the model out among processes, and "
                "num_processes is 1: set it to the number of GPUs"
            )
        return self

    @model_validator(mode="after")
    def _validated(self) -> "TrainConfig":
        if self.load_best_model_at_end and self.eval_steps is None:
            raise ValueError("load_best_model_at_end needs validation: set eval_steps")
        if self.eval_steps is not None and self.eval_steps > self.steps:
            raise ValueError(f"eval_steps={self.eval_steps} is never reached in steps={self.steps}")
        if self.early_stopping_patience is not None and not self.load_best_model_at_end:
            raise ValueError(
                "early_stopping_patience needs load_best_model_at_end=true: what is kept would be "
                "the weights from after the best ones"
            )
        return self
