"""`key=a,b,c ...` to a grid of recipes, each with its name. Checked whole, before any runs."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from codemoe.errors import UserError
from codemoe.recipe import Recipe
from codemoe.recipe_file import load_recipe


@dataclass(frozen=True)
class Variant:
    """One cell of the grid; `label` has only the keys that vary."""

    label: str
    overrides: tuple[str, ...]
    recipe: Recipe


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


def grid(path: Path, arguments: Sequence[str]) -> tuple[Recipe, list[Variant]]:
    """The recipe without what varies, and all variants, the first value of each key first.

    Raises one UserError that names every variant that is no valid recipe.
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
    variants, wrong = [], []
    for values in product(*(values for _, values in varying)):
        chosen = [f"{key}={value}" for (key, _), value in zip(varying, values, strict=True)]
        placed = [f"runs_dir={sweep_dir(recipe)}", f"name={folder_name(chosen)}"]
        overrides = [o for o in fixed if o.partition("=")[0] not in ("name", "runs_dir")] + chosen
        try:
            one = load_recipe(path, [*overrides, *placed])
        except UserError as error:
            wrong.append(f"{' '.join(chosen)}: {error.what}")
            continue
        variants.append(Variant(" ".join(chosen), (*overrides, *placed), one))
    if wrong:
        raise UserError(
            f"{len(wrong)} of the variants are no valid recipes; nothing was run:\n"
            + "\n".join(wrong),
            "take these values out, or sweep them apart",
        )
    return recipe, variants


def folder_name(chosen: Sequence[str]) -> str:
    """Readable, and no other variant's: the last part of each key with its value, and a hash."""
    readable = "_".join(one.rpartition(".")[2].replace("=", "-") for one in chosen)
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", readable).strip("-._")[:60]
    return f"{plain}-{hashlib.sha256(' '.join(chosen).encode()).hexdigest()[:6]}"
