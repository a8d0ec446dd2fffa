"""The part of a recipe that says who decides: routers, how they start and how they are trained."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from codemoe.config import Config, PositiveInt


class GateTraining(Config):
    """Token gates trained by gradient after they were fitted; the base stays frozen."""

    steps: PositiveInt = 150
    batch_size: PositiveInt = 16
    learning_rate: Annotated[float, Field(gt=0)] = 1e-2
    # Whole-MLP experts are trained with them: the mixture's MLPs as one layer (upcycling).
    experts: bool = False
    # Of the softmax that gradients see; it cools to 0.3 while the choices themselves stay hard.
    start_temperature: Annotated[float, Field(gt=0)] = 1.0
    # Weights; all but the first are means over layers.
    language_model_loss: Annotated[float, Field(ge=0)] = 1.0
    label_loss: Annotated[float, Field(ge=0)] = 1.0  # the expert of the sample, at each token
    balance_loss: Annotated[float, Field(ge=0)] = 0.0  # towards the batch's own mix of experts
    z_loss: Annotated[float, Field(ge=0)] = 0.0
    importance_loss: Annotated[float, Field(ge=0)] = 0.0
    load_loss: Annotated[float, Field(ge=0)] = 0.0  # noisy-top-k only
    # sigmoid only: a step of its balancing bias, towards the batch's own mix of experts; 0 is none.
    bias_rate: Annotated[float, Field(ge=0)] = 0.0

    @property
    def losses(self) -> dict[str, float]:
        """Each loss and its weight."""
        fields = type(self).model_fields
        return {name: getattr(self, name) for name in fields if name.endswith("_loss")}

    @model_validator(mode="after")
    def _some_loss(self) -> "GateTraining":
        if not any(self.losses.values()):
            raise ValueError("give at least one loss a weight above 0")
        return self


RouterKind = Literal["top-k", "softmax", "noisy-top-k", "switch", "sigmoid", "expert-choice"]
GateStart = Literal["fitted", "random", "orthogonal", "prompts"]


class Prompts(Config):
    """Texts that an expert should answer, and texts that it should not."""

    positive: Annotated[tuple[str, ...], Field(min_length=1)]
    negative: tuple[str, ...] = ()


class RouterConfig(Config):
    """The sequence router, which is fitted, and the token gates; both are kept."""

    samples_per_expert: PositiveInt = 200
    folds: Annotated[int, Field(ge=2)] = 5
    ridge: Annotated[float, Field(gt=0)] = 1e-2  # relative to the mean feature variance
    method: Literal["ridge", "logistic"] = "ridge"  # how routers are fitted
    # The share of each expert in the text that will come; the sequence router's mean probabilities
    # are moved there. Empty: as fitted.
    prior: dict[str, Annotated[float, Field(gt=0)]] = {}
    # Token gates
    kind: RouterKind = "top-k"
    num_experts_per_tok: PositiveInt = 1  # of top-k, noisy-top-k and sigmoid
    capacity_factor: Annotated[float, Field(gt=0)] = 1.25  # of switch and expert-choice
    from_layer: Annotated[int, Field(ge=0)] = 0  # layers before run as the base
    shared: bool = False  # one gate for all layers
    start: GateStart = "fitted"
    prompts: dict[str, Prompts] = {}  # for `start: prompts`, by expert
    gate_tokens_per_expert: PositiveInt = 8000
    # Of fitted gates: the first on what they see when every choice before was right, each further
    # one also on what they see under the gates of the round before (DAgger, arXiv:1011.0686).
    fit_rounds: PositiveInt = 1
    train_gates: GateTraining | None = None  # None: as they start

    @model_validator(mode="after")
    def _options_belong_together(self) -> "RouterConfig":
        if self.start == "prompts" and not self.prompts:
            raise ValueError("`start: prompts` needs `prompts` for every expert")
        if self.prompts and self.start != "prompts":
            raise ValueError(f"`prompts` are given but `start` is {self.start!r}")
        if self.kind == "expert-choice" and self.train_gates is None:
            raise ValueError(
                "expert-choice routes in training only (it is not causal): give train_gates too"
            )
        if self.fit_rounds > 1 and (self.start != "fitted" or self.kind == "expert-choice"):
            raise ValueError(
                "fit_rounds are of `start: fitted`, and of a kind that routes by itself: not "
                "expert-choice"
            )
        training = self.train_gates
        if training is not None and training.load_loss and self.kind != "noisy-top-k":
            raise ValueError("train_gates.load_loss needs the noise of kind: noisy-top-k")
        if training is not None and training.bias_rate and self.kind != "sigmoid":
            raise ValueError("train_gates.bias_rate moves the bias of kind: sigmoid")
        return self
