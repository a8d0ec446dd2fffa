"""mergekit-moe's mixtures: their keys."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from codemoe.merge.mergekit import Config, Reference, load

# A key may have nothing behind it, as in recipes whose lines were commented out.
Prompts = Annotated[tuple[str, ...], BeforeValidator(lambda value: () if value is None else value)]


class Expert(Config):
    """One expert of a mixture, and the prompts that its gate starts from."""

    source_model: Reference
    positive_prompts: Prompts = ()
    negative_prompts: Prompts = ()
    noise_scale: float | None = None
    residual_scale: float | None = None


# mergekit's, and on the last line our own.
# fmt: off
GateMode = Literal[
    "hidden", "hidden_avg", "hidden_last", "cheap_embed", "random", "uniform_random",
    "prompts", "fitted", "orthogonal",
]
# fmt: on
PROMPTED = ("hidden", "hidden_avg", "hidden_last", "cheap_embed", "prompts")


class MoeRecipe(Config):
    """A mixture."""

    base_model: Reference
    experts: Annotated[tuple[Expert, ...], Field(min_length=1)]
    gate_mode: GateMode = "hidden"
    dtype: str | None = None
    experts_per_token: Annotated[int, Field(ge=1)] = 2
    shared_experts: tuple[Expert, ...] | None = None
    architecture: str | None = None


def load_moe(path: Path) -> MoeRecipe:
    """A mixture from its file; every error is a UserError."""
    return load(MoeRecipe, path)
