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
    if method.base == "required":
        for key in ("weight", "lambda"):
            _refuse_nothing(recipe, key)
    return method


def uncounted_base(recipe: MergeRecipe, method: Method) -> list[str]:
    """A note where mergekit counts a base that the recipe does not list, and we do not."""
    base, listed = recipe.base_model, [source.model for source in recipe.models or ()]
    counted = "weight" in method.parameters and "weight" in recipe.parameters
    if method.base != "unused" or not counted or base is None or not listed or base in listed:
        return []
    return [
        f"{base} is not listed under models, so it does not count; mergekit gives it the weight "
        "under parameters. List it if it should count"
    ]


def _refuse_nothing(recipe: MergeRecipe, key: str) -> None:
    """Raise when a recipe says 0 wherever it says a factor of the task vectors."""
    said = [n for tree, _ in _all_parameters(recipe) if key in tree for n in _numbers(tree[key])]
    if said and not any(said):
        raise UserError(
            f"every {key} of the recipe is 0, so the result would be the base",
            f"give a {key} that is not 0",
        )


def _numbers(setting: Any) -> Iterable[Any]:
    """All values in a setting, those of gradients and conditions too."""
    for entry in setting if isinstance(setting, list) else [setting]:
        value = entry.get("value") if isinstance(entry, dict) else entry
        yield from (v for v in (value if isinstance(value, list) else [value]) if v is not None)


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
    Raises UserError for what is none of these.
    """
    if isinstance(setting, dict):
        setting = [setting]
    if not isinstance(setting, list):
        return setting
    if all(isinstance(entry, dict) for entry in setting):
        for condition in setting:
            pattern = _pattern_of(condition)
            if pattern is None or pattern == "*" or pattern in tensor:
                return value_at(condition["value"], tensor, place)
        return None
    if not all(isinstance(entry, bool | int | float | str) for entry in setting):
        raise UserError(
            f"the setting {setting!r} for {tensor} is neither a gradient nor a list of conditions",
            "write [0.2, 0.8], or [{filter: mlp, value: 0.2}, {value: 0.8}]",
        )
    at = place * (len(setting) - 1)
    low = int(at)
    numbers = [_number(entry) for entry in setting]
    if any(number is None for number in numbers):
        return setting[low]
    high = min(low + 1, len(setting) - 1)
    return (1 - at + low) * numbers[low] + (at - low) * numbers[high]


def _pattern_of(condition: Mapping[str, Any]) -> str | None:
    pattern = condition.get("filter")
    value = condition.get("value")
    wrong = sorted(str(key) for key in condition.keys() - {"filter", "value"})
    nested = [v for v in (value if isinstance(value, list) else [value]) if isinstance(v, dict)]
    if wrong or value is None or nested or not isinstance(pattern, str | None):
        raise UserError(
            f"the condition {dict(condition)!r} "
            + (f"has the unknown key {wrong[0]!r}" if wrong else "is not a filter and a value"),
            "write {filter: text in the tensor's name, value: 0.5}, or {value: 0.5} for all others",
        )
    return pattern


def _number(entry: Any) -> Any:
    """An entry of a gradient, None where it is a word or a truth; YAML takes 1e-3 for text."""
    if isinstance(entry, str):
        try:
            return float(entry)
        except ValueError:
            return None
    return None if isinstance(entry, bool) else entry


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
    if parameter.kind is bool and value in (0, 1):  # mergekit's own cards have 1.0 for true
        return bool(value)
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
