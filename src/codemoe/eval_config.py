"""What is compared, on what, and how good it must be: the `eval` section of a recipe."""

from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from codemoe.config import Config, PositiveInt


class Thresholds(Config):
    """The gate: a mixture below any of these fails the run. None leaves a check out."""

    retention: float | None = None
    routing_accuracy: float | None = None
    wrong_language: float | None = None  # at most
    base_ratio: float | None = None  # mixture CodeBLEU / base CodeBLEU
    pass_at_1: float | None = None  # of the mixture


ModelName = Literal[
    "base",
    "expert",
    "merged-ties",
    "merged-average",
    "merged-slerp",
    "dense-all",
    "moe-token",
    "moe-sequence",
    "moe-oracle",
]
MODEL_NAMES: tuple[ModelName, ...] = get_args(ModelName)


class SuiteConfig(Config):
    """A published suite (HumanEval, MBPP, ...) that every compared model answers too."""

    path: str  # .jsonl, .jsonl.gz, a folder of them, or a hub data set
    revision: str | None = None  # of a hub data set
    subset: str | None = None  # of the same
    split: str = "test"  # of the same
    # None: told by the fields of its rows.
    format: Literal["native", "humaneval", "humaneval-x", "mbpp", "mbxp", "multipl-e"] | None = None
    # continue: the task, then the prompt's code, which the model goes on with. ask: task and code
    # in the instruction; the program is looked for in the answer. raw: the code and no format.
    prompt: Literal["continue", "ask", "raw"] = "continue"
    samples: PositiveInt = 1  # per problem
    temperature: Annotated[float, Field(ge=0, le=100)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    k: tuple[PositiveInt, ...] = (1,)
    limit: PositiveInt | None = None  # only the first so many problems of a file
    max_new_tokens: PositiveInt | None = None  # eval.max_new_tokens when None

    @model_validator(mode="after")
    def _enough_samples(self) -> "SuiteConfig":
        if not self.k:
            raise ValueError("k is empty: give at least one, as in k: [1, 10]")
        if max(self.k) > self.samples:
            raise ValueError(
                f"pass@{max(self.k)} needs `samples` of {max(self.k)} or more, found {self.samples}"
            )
        if self.samples > 1 and self.temperature == 0:
            raise ValueError(
                f"{self.samples} samples at temperature 0 are {self.samples} times the same: "
                "set temperature (0.2 for pass@1, 0.8 for pass@10 and more)"
            )
        return self


class EvalConfig(Config):
    # Choose settings on `valid`; `test` is for the figures that are told.
    split: Literal["test", "valid"] = "test"
    models: tuple[ModelName, ...] = MODEL_NAMES
    samples_per_language: PositiveInt = 50
    max_new_tokens: PositiveInt = 650
    batch_size: PositiveInt = 64
    execute: Literal["auto", "never", "required"] = "auto"
    timeout_s: Annotated[float, Field(gt=0)] = 10.0
    suites: tuple[SuiteConfig, ...] = ()
    thresholds: Thresholds = Thresholds()
