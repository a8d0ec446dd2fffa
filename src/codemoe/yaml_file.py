"""A YAML file as a checked tree: duplicate keys refused, all errors told at once."""

from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from codemoe.errors import UserError


class UniqueKeys(yaml.SafeLoader):
    """YAML in which a key given twice is an error, not a silent choice of the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        first: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key.value, str):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is one word, not a list or a mapping", key.start_mark
                )
            if key.value in first and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key {key.value!r} was already given in line {first[key.value]}",
                    key.start_mark,
                )
            first[key.value] = key.start_mark.line + 1
        return super().construct_mapping(node, deep)


# A date that does not exist is a ValueError, a thousand open brackets a RecursionError.
YAML_ERRORS = (yaml.YAMLError, ValueError, RecursionError)


def problem_of(error: Exception) -> str:
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    return problem or str(error).splitlines()[0]


_PLAIN = {
    "extra_forbidden": "unknown key",
    "missing": "this key is required",
    "tuple_type": "expected a list, such as [a, b]",
    "dict_type": "expected keys and values",
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
}


def _readable(error: ValidationError, where: str, schema: type[BaseModel]) -> str:
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "(top level)"
        message = _PLAIN.get(item["type"], item["msg"].removeprefix("Value error, "))
        if item["type"] == "extra_forbidden":
            message += _suggestion(item["loc"], schema)
        elif item["type"] not in ("missing", "value_error"):
            given = repr(item.get("input"))
            message += f" (found {given})" if len(given) <= 60 else ""
        lines.append(f"  {key}: {message}")
    return f"{len(lines)} error{'s' if len(lines) > 1 else ''} in {where}:\n" + "\n".join(lines)


def _suggestion(place: tuple[int | str, ...], schema: type[BaseModel]) -> str:
    """The keys that were probably meant: the same name elsewhere, or a near spelling."""
    known = list(_keys(schema))
    wrong = [part for part in place if isinstance(part, str)]
    meant = [key for key in known if key.rpartition(".")[2] == wrong[-1]][:3]
    meant = meant or get_close_matches(".".join(wrong), known, 1, 0.8)
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _keys(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All keys of a section and of those inside it, dotted; places in lists are left out."""
    for name, field in section.model_fields.items():
        yield prefix + name
        for inner in _sections_in(field.annotation):
            yield from _keys(inner, f"{prefix}{name}.")


def _sections_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections_in(part)]


Schema = TypeVar("Schema", bound=BaseModel)


def validate(schema: type[Schema], tree: Any, where: str, example: str) -> Schema:
    """Check a tree of keys and values; one UserError names every key that is wrong.

    `example` is the place of a complete one, for the message.
    """
    if not isinstance(tree, dict):
        found = "is empty" if tree is None else f"holds a {type(tree).__name__}"
        raise UserError(
            f"{where} {found}; expected keys and values", f"see {example} for a complete example"
        )
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        raise UserError(
            _readable(error, where, schema), f"mend these keys; {example} is a complete example"
        ) from None


def read_yaml(path: Path) -> Any:
    """What a YAML file holds; a UserError for one that is missing, unreadable or no YAML."""
    if path.is_dir():
        raise UserError(
            f"{path} is a folder; a recipe is a YAML file{_beside(path)}", "name the file"
        )
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"no recipe at {path}{_beside(path.parent)}",
            "codemoe run recipes/demo.yaml, or codemoe demo",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read the recipe {path}: {error}", "a recipe is a YAML file in UTF-8"
        ) from None
    try:
        return yaml.load(text, UniqueKeys)
    except YAML_ERRORS as error:
        mark = getattr(error, "problem_mark", None)
        place = getattr(error, "position", None)  # of a character that YAML does not allow
        number = mark.line if mark else None if place is None else text.count("\n", 0, place)
        line = "" if number is None else f", line {number + 1}"
        raise UserError(f"{path}{line}: {problem_of(error)}", "mend the YAML there") from None


def _beside(folder: Path) -> str:
    near = sorted(p.name for p in folder.glob("*.y*ml")) if folder.is_dir() else []
    return f"; {folder}/ has {', '.join(near[:12])}" if near else ""
