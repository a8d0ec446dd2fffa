"""The settings of a method for one tensor, out of a recipe's nested parameters."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from codemoe.errors import UserError
from codemoe.merge.methods.table import METHODS, REQUIRED, Method, Parameter, Settings
from codemoe.merge.recipe import MergeRecipe, Slice, Source

Tree = Mapping[str, Any]

# mergekit methods that have no row here.
_ELSEWHERE = ("karcher", "nearswap", "arcee_fusion", "ram", "ramplus_tl")


def method_of(recipe: MergeRecipe) -> Method:
    """The row of the recipe's method, its parameters' names checked."""
    name = recipe.merge_method
    if name not in METHODS:
        near = get_close_matches(name, METHODS, 1)
        raise UserError(
            f"merge_method {name!r} "
            + ("of mergekit is not supported" if name in _ELSEWHERE else "is unknown")
            + (f"; did you mean {near[0]}?" if near else ""),
            f"methods: {', '.join(METHODS)}",
        )
    method = METHODS[name]
    for tree, where in _all_parameters(recipe):
        for key in tree:
            if key not in method.parameters:
                known = ", ".join(method.parameters) or "none"
                raise UserError(
                    f"{where} sets {key!r}, which {name} does not have (it has {known})"
                )
    return method


def _all_parameters(recipe: MergeRecipe) -> Iterable[tuple[Tree, str]]:
    yield recipe.parameters, "parameters"
    for source in recipe.models or ():
        yield source.parameters, f"the model {source.model}"
    for number, piece in enumerate(recipe.slices or ()):
        yield piece.parameters, f"slices[{number}]"
        for source in piece.sources:
            yield source.parameters, f"{source.model} in slices[{number}]"


def settings_for(
    recipe: MergeRecipe,
    method: Method,
    piece: Slice,
    models: Sequence[tuple[Source, str]],
    tensor: str,
    place: float,
) -> Settings:
    """All settings of a method for one tensor.

    `models` are the merged ones without the base, each with the tensor's name there; `place` is
    how far down the slice the layer lies, 0 to 1.
    """
    found: dict[str, Any] = {}
    for name, parameter in method.parameters.items():
        if parameter.of_model:
            found[name] = [
                _value(name, parameter, _scopes(recipe, piece, source), own, place, source.model)
                for source, own in models
            ]
        else:
            trees = _scopes(recipe, piece, None)
            found[name] = _value(name, parameter, trees, tensor, place, None)
    return found


def _scopes(recipe: MergeRecipe, piece: Slice, source: Source | None) -> Iterator[Tree]:
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


def _value(
    name: str,
    parameter: Parameter,
    trees: Iterable[Tree],
    tensor: str,
    place: float,
    model: str | None,
) -> Any:
    for tree in trees:
        if name in tree:
            value = value_at(tree[name], tensor, place)
            if value is not None:
                return _checked(name, parameter, value, tensor)
    if parameter.default is REQUIRED:
        whose = f" of {model}" if model else ""
        raise UserError(
            f"the parameter {name}{whose} is not given for {tensor}",
            f"set it under parameters, such as {name}: 0.5; conditions need a last one without "
            "a filter",
        )
    return parameter.default


def _checked(name: str, parameter: Parameter, value: Any, tensor: str) -> Any:
    if parameter.kind is bool and isinstance(value, bool):
        return value
    if isinstance(parameter.kind, tuple) and value in parameter.kind:
        return value
    if parameter.kind is float and not isinstance(value, bool):
        try:
            number = float(value)  # YAML takes 1e-3 for text
        except (TypeError, ValueError):
            number = float("nan")
        if abs(number) < float("inf"):
            return number
    wanted = "a number" if parameter.kind is float else "true or false"
    if isinstance(parameter.kind, tuple):
        wanted = " or ".join(parameter.kind)
    raise UserError(f"the parameter {name} is {value!r} for {tensor}; expected {wanted}")
