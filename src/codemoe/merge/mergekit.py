"""mergekit's recipes: which keys there are, which are supported, what a tensor's settings are.

Two kinds of file, told apart by their keys: dense merges (`merge_method`) and mixtures
(`experts`). Names and meanings are mergekit's; where its 0.1.5 differs from a paper, the table of
methods says so and has a setting.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from codemoe.errors import UserError
from codemoe.yaml_file import read_yaml, validate

Kind = Literal["merge", "moe"]
Tree = Mapping[str, Any]
EXAMPLE = "docs/merging.md"
_NOT_YET = {
    "modules": "models of several parts (vision, speech) are not merged here",
    "merges": "several merges in one file are not run: write one file each",
}


def kind_of(tree: Any) -> Kind | None:
    """Whether a YAML tree is one of mergekit's recipes; None for codemoe's own, and all else."""
    if not isinstance(tree, dict):
        return None
    if "merge_method" in tree:
        return "merge"
    experts = tree.get("experts")
    is_mixture = isinstance(experts, list) or "gate_mode" in tree
    return "moe" if is_mixture and "base_model" in tree else None


def kind_of_file(path: Path) -> Kind | None:
    """The kind of a file, without a word about one that cannot be read."""
    try:
        return kind_of(read_yaml(path))
    except UserError:
        return None


def _reference(value: Any) -> Any:
    """mergekit also writes {model: {path, revision}, lora: {path}}; we keep one line of text."""
    if not isinstance(value, dict):
        return value

    def text(part: Any) -> str:
        if not isinstance(part, dict):
            return str(part)
        revision = part.get("revision")
        return f"{part['path']}@{revision}" if revision else str(part["path"])

    if "path" in value:
        return text(value)
    if "model" not in value:
        return value
    return text(value["model"]) + (f"+{text(value['lora'])}" if value.get("lora") else "")


class Config(BaseModel):
    """Frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Reference = Annotated[str, BeforeValidator(_reference)]


class Source(Config):
    """One model of a slice, or of the whole."""

    model: Reference
    layer_range: tuple[int, int] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class Slice(Config):
    """Consecutive layers of the result, and where they come from."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    base_model: Reference | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)


class Tokens(Config):
    """mergekit's `tokenizer:` block."""

    source: Reference = "union"
    tokens: dict[str, Any] | None = None
    pad_to_multiple_of: int | None = None


class MergeRecipe(Config):
    """A dense merge."""

    merge_method: str
    models: tuple[Source, ...] | None = None
    slices: tuple[Slice, ...] | None = None
    base_model: Reference | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    dtype: str | None = None
    out_dtype: str | None = None
    tokenizer_source: Reference | None = None
    tokenizer: Tokens | None = None
    chat_template: str | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _whole_or_slices(self) -> "MergeRecipe":
        if bool(self.models) == bool(self.slices):
            raise ValueError("give either models or slices, and at least one of them")
        if self.tokenizer and self.tokenizer_source:
            raise ValueError("give either tokenizer or tokenizer_source")
        return self

    @property
    def tokenizer_from(self) -> str | None:
        """Whose tokens the result has: "base", "union" or a model; None when nothing is said."""
        return self.tokenizer.source if self.tokenizer else self.tokenizer_source

    def references(self) -> list[str]:
        """Every model that is named, each once, the base first."""
        named = [self.base_model, *(s.model for s in self.models or ())]
        for piece in self.slices or ():
            named += [piece.base_model, *(s.model for s in piece.sources)]
        return list(dict.fromkeys(name for name in named if name))


class Expert(Config):
    """One expert of a mixture, and the prompts that its gate starts from."""

    source_model: Reference
    positive_prompts: tuple[str, ...] = ()
    negative_prompts: tuple[str, ...] = ()
    noise_scale: float | None = None
    residual_scale: float | None = None


GATES = (
    "hidden",
    "hidden_avg",
    "hidden_last",
    "cheap_embed",
    "random",
    "uniform_random",
    "prompts",
    "fitted",
    "orthogonal",
)
PROMPTED = ("hidden", "hidden_avg", "hidden_last", "cheap_embed", "prompts")


class MoeRecipe(Config):
    """A mixture. The gate modes of the last line of GATES are codemoe's own."""

    base_model: Reference
    experts: Annotated[tuple[Expert, ...], Field(min_length=1)]
    gate_mode: Literal[
        "hidden",
        "hidden_avg",
        "hidden_last",
        "cheap_embed",
        "random",
        "uniform_random",
        "prompts",
        "fitted",
        "orthogonal",
    ] = "hidden"
    dtype: str | None = None
    experts_per_token: Annotated[int, Field(ge=1)] = 2
    shared_experts: tuple[Expert, ...] | None = None
    architecture: str | None = None


def load_merge(path: Path) -> MergeRecipe:
    """A dense merge from its file; every error is a UserError."""
    tree = read_yaml(path)
    _refuse_unsupported(tree, path)
    recipe = validate(MergeRecipe, tree, str(path), EXAMPLE)
    tokens = recipe.tokenizer
    if tokens and (tokens.tokens or tokens.pad_to_multiple_of):
        key = "tokens" if tokens.tokens else "pad_to_multiple_of"
        raise UserError(
            f"{path}: tokenizer.{key} is not supported",
            "leave it out, or merge the tokenizers with another tool first",
        )
    return recipe


def load_moe(path: Path) -> MoeRecipe:
    """A mixture from its file; every error is a UserError."""
    tree = read_yaml(path)
    _refuse_unsupported(tree, path)
    return validate(MoeRecipe, tree, str(path), EXAMPLE)


def _refuse_unsupported(tree: Any, path: Path) -> None:
    for key, why in _NOT_YET.items():
        if isinstance(tree, dict) and key in tree:
            raise UserError(f"{path}: mergekit's key {key!r} is not supported: {why}")


def scopes(recipe: MergeRecipe, piece: Slice, source: Source | None) -> Iterator[Tree]:
    """Where a setting is looked up, the nearest first: its model, the slice, the recipe."""
    if source is not None:
        yield source.parameters
    yield piece.parameters
    yield recipe.parameters


def value_at(setting: Any, tensor: str, place: float) -> Any:
    """A setting as one tensor has it; None when no condition fits.

    `setting` is a value, a gradient (a list of values at equal distances, read at `place` from 0
    to 1, numbers interpolated), or conditions [{filter: text in the tensor's name, value: ...}].
    """
    if isinstance(setting, dict):
        setting = [setting]
    if not isinstance(setting, list):
        return setting
    if all(isinstance(entry, dict) for entry in setting):
        for condition in setting:
            pattern = condition.get("filter")
            if pattern in (None, "*") or str(pattern) in tensor:
                return value_at(condition.get("value"), tensor, place)
        return None
    at = place * (len(setting) - 1)
    low = int(at)
    if any(isinstance(entry, bool | str) for entry in setting):
        return setting[low]
    high = min(low + 1, len(setting) - 1)
    return (1 - at + low) * setting[low] + (at - low) * setting[high]
