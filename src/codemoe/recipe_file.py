"""Read a recipe: defaults <- YAML <- `key=value`, and say everything that is wrong at once.

`load_recipe(path, overrides)` is the only way from a file to a `Recipe`.
"""

from pathlib import Path
from typing import Any

import yaml

from codemoe.errors import UserError
from codemoe.recipe import Recipe
from codemoe.yaml_file import YAML_ERRORS, UniqueKeys, problem_of, read_yaml, validate


def parse_override(text: str) -> tuple[list[str], Any]:
    """`experts.train.steps=50` -> (["experts", "train", "steps"], 50); values are YAML."""
    key, separator, value = text.partition("=")
    if not separator or not key or any(not part for part in key.split(".")):
        raise UserError(
            f"cannot read the override {text!r}", "write key=value, such as experts.train.steps=50"
        )
    try:
        return key.split("."), yaml.load(value, UniqueKeys)
    except YAML_ERRORS as error:
        raise UserError(
            f"the value of the override {text!r} is not YAML: {problem_of(error)}",
            f"quote it, as in '{key}=\"...\"'",
        ) from None


def apply_override(tree: Any, path: list[str], value: Any) -> Any:
    """A copy of `tree` with `value` at `path`; numbers in the path index into lists."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if isinstance(tree, list) and head.isdigit():
        if int(head) >= len(tree):
            raise UserError(f"override index {head} is outside a list of {len(tree)}")
        return [apply_override(v, rest, value) if i == int(head) else v for i, v in enumerate(tree)]
    inner = tree if isinstance(tree, dict) else {}
    return {**inner, head: apply_override(inner.get(head), rest, value)}


def make_recipe(tree: Any, where: str = "the recipe") -> Recipe:
    """A recipe from a tree of keys and values; one UserError names every key that is wrong."""
    return validate(Recipe, tree, where, "recipes/demo.yaml")


def load_recipe(path: Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe file and apply `key=value` overrides; every error is a UserError."""
    tree = read_yaml(path)
    for override in overrides or []:
        if tree is not None and not isinstance(tree, dict):
            break  # make_recipe says what is wrong with the file
        keys, value = parse_override(override)
        tree = apply_override(tree, keys, value)
    return make_recipe(tree, str(path))
