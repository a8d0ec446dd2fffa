"""`key=a,b,c ...` to a grid of recipes, each with its name. Checked whole, before any runs."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from codemoe.errors import UserError
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe, parse_override


@dataclass(frozen=True)
class Variant:
    """One cell of the grid; `label` has only what varies."""

    label: str
    overrides: tuple[str, ...]
    recipe: Recipe


@dataclass(frozen=True)
class Sweep:
    """A grid: the recipe without what varies, its variants, and the name of its table."""

    recipe: Recipe
    variants: tuple[Variant, ...]
    name: str

    @property
    def folder(self) -> Path:
        """Of all sweeps of this recipe: they share stages."""
        return sweep_dir(self.recipe)


def split_values(argument: str) -> tuple[str, list[str]]:
    """`router.kind=top-k,softmax` -> its key and values; commas in brackets or quotes divide
    nothing."""
    key, separator, text = argument.partition("=")
    if not separator or not key:
        raise UserError(
            f"cannot read {argument!r}", "write key=a,b,c, such as router.kind=top-k,softmax"
        )
    values, depth, quote, start = [], 0, "", 0
    for i, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "," and not depth:
            values.append(text[start:i])
            start = i + 1
    values.append(text[start:])
    values = [value.strip() for value in values]
    if len(values) > 1 and "" in values:
        raise UserError(f"{argument!r} has an empty value between commas", "take the comma out")
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise UserError(f"{argument!r} names {', '.join(twice)} more than once")
    return key, values


def sweep_dir(recipe: Recipe) -> Path:
    return Path(recipe.runs_dir) / f"{recipe.name}-sweep"


def grid(path: Path, arguments: Sequence[str]) -> Sweep:
    """All combinations, the first value of each key first.

    Keys and values for a section (`router={kind: top-k, num_experts_per_tok: 2},...`) change those
    keys and leave the section's others, so that keys can vary together. Raises one UserError that
    names every variant that is no valid recipe.
    """
    axes = [split_values(argument) for argument in arguments]
    keys = [key for key, _ in axes]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise UserError(f"given more than once: {', '.join(twice)}", "one key=a,b,c for each key")
    varying = [(key, values) for key, values in axes if len(values) > 1]
    if not varying:
        raise UserError(
            "a sweep needs a key with several values",
            f"codemoe sweep {path} router.kind=top-k,softmax",
        )
    if {"name", "runs_dir"} & {key for key, _ in varying}:
        raise UserError("a sweep names its runs itself", "vary another key than name and runs_dir")
    fixed = [f"{key}={values[0]}" for key, values in axes if len(values) == 1]
    recipe = load_recipe(path, fixed)
    common = [o for o in fixed if o.partition("=")[0] not in ("name", "runs_dir")]
    short = _short_keys([key for key, _ in varying])
    variants, wrong = [], []
    for values in product(*(values for _, values in varying)):
        chosen = [f"{key}={value}" for (key, _), value in zip(varying, values, strict=True)]
        label = " ".join(
            _shown(value.strip("{}"), position) if _is_section(key) else f"{short[key]}={value}"
            for (key, values_of_key), value in zip(varying, values, strict=True)
            for position in [values_of_key.index(value) + 1]
        )
        # What is the same in all variants is part of the name too: other sweeps differ in it.
        name = folder_name(label, [*common, *chosen])
        placed = [f"runs_dir={json.dumps(str(sweep_dir(recipe)))}", f"name={name}"]
        try:
            overrides = [*common, *(one for o in chosen for one in in_sections(o)), *placed]
            one = load_recipe(path, overrides)
        except UserError as error:
            wrong.append(f"{label}: {error.what}")
            continue
        variants.append(Variant(label, tuple(overrides), one))
    if wrong:
        raise UserError(
            f"{len(wrong)} of the variants are no valid recipes; nothing was run:\n"
            + "\n".join(wrong),
            "take these values out, or sweep them apart",
        )
    name = folder_name("_".join(key for key, _ in varying), sorted(arguments))
    return Sweep(recipe, tuple(variants), name)


def _shown(text: str, position: int) -> str:
    """A section's value for a table; a long one is cut, and told apart by its place."""
    most = 48
    return text if len(text) <= most else f"{text[:most].rsplit(None, 1)[0]} ... (value {position})"


def in_sections(override: str) -> list[str]:
    """`router={kind: top-k, folds: 2}` -> `router.kind=top-k` and `router.folds=2`."""
    keys, value = parse_override(override)
    if not isinstance(value, dict) or not _is_section(".".join(keys)):
        return [override]
    prefix = ".".join(keys)
    # JSON is YAML on one line; a map that is no section goes in whole.
    return [
        part
        for key, one in value.items()
        for part in in_sections(f"{prefix}.{key}={json.dumps(one)}")
    ]


def _is_section(key: str) -> bool:
    """Whether a recipe's key holds keys of the recipe, as `router` does and `router.prior` not."""
    section: Any = Recipe
    for name in key.split("."):
        field = section.model_fields.get(name)
        if field is None or not isinstance(field.annotation, type):
            return False
        section = field.annotation
        if not issubclass(section, BaseModel):
            return False
    return True


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The last part of each key; the whole key where two end alike."""
    last = [key.rpartition(".")[2] for key in keys]
    return {k: short if last.count(short) == 1 else k for k, short in zip(keys, last, strict=True)}


def folder_name(readable: str, settings: Sequence[str]) -> str:
    """Readable, and no other's: a hash of all settings at its end."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", readable.replace("=", "-")).strip("-._")[:60]
    return f"{plain}-{hashlib.sha256(' '.join(settings).encode()).hexdigest()[:6]}"
