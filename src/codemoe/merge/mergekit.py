"""mergekit's recipes: what the two kinds of file have in common, and how they are told apart.

Dense merges (`merge_method`) are read by `merge.recipe`, mixtures (`experts`) by `assemble.recipe`.
Names and meanings are mergekit's; where its 0.1.5 differs from a paper, the table of methods says
so and has a setting.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from codemoe.errors import UserError
from codemoe.yaml_file import read_yaml, validate

Kind = Literal["merge", "moe"]
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
        if not part.get("path") or part.keys() - {"path", "revision"}:
            raise ValueError(f"{part!r} is no model; expected path and, if wanted, revision")
        revision = part.get("revision")
        return f"{part['path']}@{revision}" if revision else str(part["path"])

    if "model" not in value:
        return text(value)
    others = value.keys() - {"model", "lora"}
    if others:
        raise ValueError(f"of a model's keys {sorted(map(str, others))[0]!r} is not supported")
    return text(value["model"]) + (f"+{text(value['lora'])}" if value.get("lora") else "")


class Config(BaseModel):
    """Frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


Reference = Annotated[str, BeforeValidator(_reference), Field(min_length=1)]
Recipe = TypeVar("Recipe", bound=Config)


def load(schema: type[Recipe], path: Path) -> Recipe:
    """A recipe from its file; every error is a UserError."""
    tree = read_yaml(path)
    for key, why in _NOT_YET.items():
        if isinstance(tree, dict) and key in tree:
            raise UserError(f"{path}: mergekit's key {key!r} is not supported: {why}")
    return validate(schema, tree, str(path), EXAMPLE)
