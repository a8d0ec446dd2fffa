"""How experts are aligned: the `align` section of a recipe."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from codemoe.config import Config, PositiveInt
from codemoe.languages import LANGUAGES, find_language

PREFERENCE_FIELDS = ("prompt", "chosen", "rejected", "language", "id")


class HumanPairs(Config):
    """Preference pairs that people made: a file, folder or glob, or a hub data set."""

    path: str
    revision: str | None = None  # of a hub data set
    split: str = "train"  # of a hub data set
    fields: dict[str, str] = {}  # ours -> theirs: {chosen: good, rejected: bad}
    language: str | None = None  # of rows that do not say theirs
    max_pairs: PositiveInt | None = None

    @field_validator("fields")
    @classmethod
    def _known_fields(cls, value: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(value) - set(PREFERENCE_FIELDS))
        if unknown:
            raise ValueError(
                f"unknown field {', '.join(unknown)}; known: {', '.join(PREFERENCE_FIELDS)}"
            )
        return value

    @field_validator("language")
    @classmethod
    def _known_language(cls, value: str | None) -> str | None:
        if value is None:
            return None
        row = find_language(value)
        if row is None:
            raise ValueError(f"unknown language {value!r}; known: {', '.join(LANGUAGES)}")
        return row.name


class AlignTrainConfig(Config):
    """The optimizer's side; one adapter at a time, in one process."""

    epochs: PositiveInt = 1
    batch_size: PositiveInt = 16  # pairs; for grpo answers
    gradient_accumulation_steps: PositiveInt = 1
    max_length: PositiveInt = 512  # of prompt and answer; longer pairs are dropped and counted
    learning_rate: Annotated[float, Field(gt=0)] = 1e-4
    lr_scheduler_type: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 5
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    logging_steps: PositiveInt = 5
    checkpoint_steps: PositiveInt = 50


class AlignConfig(Config):
    """Answers sampled from each expert, judged by their tests; pairs of them; training on those."""

    method: Literal["dpo", "ipo", "grpo"] = "dpo"
    # What the trained expert is held near to: the base without any adapter, or the expert itself
    # as it was before.
    reference: Literal["base", "start"] = "base"
    beta: Annotated[float, Field(ge=0)] | None = None  # 0.1; for grpo 0
    sft_weight: Annotated[float, Field(ge=0)] = 0.0  # dpo, ipo: of the chosen answers' own loss
    samples_per_task: Annotated[int, Field(ge=0)] = 8  # 0: human pairs only
    max_tasks: PositiveInt | None = 200  # of each expert
    temperature: Annotated[float, Field(gt=0, le=100)] = 0.8
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_new_tokens: PositiveInt | None = None  # eval.max_new_tokens when None
    batch_size: PositiveInt = 64  # answers generated at once
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    pairs_per_task: PositiveInt = 2
    shorter_by: Annotated[float, Field(gt=0, lt=1)] | None = 0.2
    human: tuple[HumanPairs, ...] = ()
    train: AlignTrainConfig = AlignTrainConfig()

    @model_validator(mode="after")
    def _something_to_compare(self) -> "AlignConfig":
        if self.samples_per_task == 1:
            raise ValueError("samples_per_task=1 leaves nothing to compare: 2 or more, or 0")
        if self.samples_per_task == 0 and self.method == "grpo":
            raise ValueError("grpo compares answers that it samples: samples_per_task=4 or more")
        if self.samples_per_task == 0 and not self.human:
            raise ValueError("samples_per_task is 0 and there are no `human` pairs to train on")
        return self

    @model_validator(mode="after")
    def _fits_the_method(self) -> "AlignConfig":
        if self.method != "grpo":
            if self.beta == 0:
                raise ValueError(f"beta must be above 0 for {self.method}")
            return self
        if self.human:
            raise ValueError("grpo learns from rewards, not from pairs: leave `human` out, or dpo")
        if self.sft_weight:
            raise ValueError("sft_weight is for dpo and ipo")
        if self.train.batch_size % self.samples_per_task:
            raise ValueError(
                f"train.batch_size ({self.train.batch_size}) must be a multiple of "
                f"samples_per_task ({self.samples_per_task}): grpo compares all answers to a task"
            )
        return self

    @property
    def strength(self) -> float:
        """beta, or its default for the method."""
        if self.beta is not None:
            return self.beta
        return 0.0 if self.method == "grpo" else 0.1
