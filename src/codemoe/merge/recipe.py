"""mergekit's dense merges: their keys, and which of them are supported."""

import json
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from codemoe.errors import UserError
from codemoe.merge.mergekit import Config, Reference, load


def _settings(value: Any) -> Any:
    json.dumps(value, default=str, skipkeys=True)  # a ValueError where an alias holds itself
    return {} if value is None else value


# A key may have nothing behind it, as in recipes whose lines were commented out.
Parameters = Annotated[dict[str, Any], BeforeValidator(_settings)]


class Source(Config):
    """One model of a slice, or of the whole."""

    model: Reference
    layer_range: tuple[int, int] | None = None
    parameters: Parameters = Field(default_factory=dict)


class Slice(Config):
    """Consecutive layers of the result, and where they come from."""

    sources: Annotated[tuple[Source, ...], Field(min_length=1)]
    base_model: Reference | None = None
    parameters: Parameters = Field(default_factory=dict)


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
    parameters: Parameters = Field(default_factory=dict)
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
        if any(source.layer_range for source in self.models or ()):
            raise ValueError("models are merged in all of their layers; layer_range is for slices")
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


def load_merge(path: Path) -> MergeRecipe:
    """A dense merge from its file; every error is a UserError."""
    recipe = load(MergeRecipe, path)
    tokens = recipe.tokenizer
    if tokens and (tokens.tokens or tokens.pad_to_multiple_of):
        key = "tokens" if tokens.tokens else "pad_to_multiple_of"
        raise UserError(
            f"{path}: tokenizer.{key} is not supported",
            "leave it out, or merge the tokenizers with another tool first",
        )
    return recipe
