"""Words and code pieces shared by the array families: filter, map, running and adjacent."""

from collections.abc import Callable
from dataclasses import dataclass

from codemoe.data.corpus.vocabulary import INT_MAPS, INT_PREDICATES, c_like

PREDICATES = {predicate.key: predicate for predicate in INT_PREDICATES}
MAPS = {mapped.key: mapped for mapped in INT_MAPS}

_OPPOSITES = {" == ": " != ", " > ": " <= ", " < ": " >= "}


@dataclass(frozen=True)
class Condition:
    """What one value "is": phrases that follow "a value that is", and code about `x`."""

    key: str
    words: tuple[str, ...]
    phrases: tuple[str, str]
    code: Callable[[str, str], str]  # (language, expression) -> source text
    holds: Callable[[int], bool]


def _single(key: str, *phrases: str) -> Condition:
    predicate = PREDICATES[key]
    first, second = phrases
    return Condition(key, predicate.words, (first, second), predicate.code, predicate.holds)


CONDITIONS = {
    condition.key: condition
    for condition in (
        _single("even", "even", "even"),
        _single("odd", "odd", "odd"),
        _single("multiple3", "divisible by 3", "a multiple of 3"),
        _single("multiple5", "divisible by 5", "a multiple of 5"),
        _single("above10", "greater than 10", "above 10"),
        _single("below5", "less than 5", "below 5"),
        _single("positive", "positive", "above zero"),
        _single("negative", "negative", "below zero"),
    )
}


def negated(text: str) -> str:
    """The opposite of a comparison with exactly one of ` == `, ` > ` and ` < `."""
    (operator,) = (operator for operator in _OPPOSITES if operator in text)
    return text.replace(operator, _OPPOSITES[operator])


def both(first: Condition, second: Condition) -> Condition:
    """`first` and `second`."""

    def code(language: str, x: str) -> str:
        word = "and" if language == "python" else "&&"
        return f"{first.code(language, x)} {word} {second.code(language, x)}"

    return Condition(
        f"{first.key}-and-{second.key}",
        (*first.words, "and", *second.words),
        (
            f"{first.phrases[0]} and {second.phrases[0]}",
            f"{first.phrases[1]} and also {second.phrases[1]}",
        ),
        code,
        lambda x: first.holds(x) and second.holds(x),
    )


def either(first: Condition, second: Condition) -> Condition:
    """`first` or `second` (or both)."""

    def code(language: str, x: str) -> str:
        word = "or" if language == "python" else "||"
        return f"{first.code(language, x)} {word} {second.code(language, x)}"

    return Condition(
        f"{first.key}-or-{second.key}",
        (*first.words, "or", *second.words),
        (
            f"{first.phrases[0]} or {second.phrases[0]}",
            f"{first.phrases[1]} or {second.phrases[1]}",
        ),
        code,
        lambda x: first.holds(x) or second.holds(x),
    )


def excluding(first: Condition, second: Condition) -> Condition:
    """`first` but not `second`, whose code must be a single comparison."""

    def code(language: str, x: str) -> str:
        word = "and" if language == "python" else "&&"
        # Negate before strict equality is written: "===" has no entry among the opposites.
        unwanted = second.code("python" if language == "python" else "java", x)
        opposite = negated(unwanted)
        if language != "python":
            opposite = c_like(opposite, language)
        return f"{first.code(language, x)} {word} {opposite}"

    return Condition(
        f"{first.key}-not-{second.key}",
        (*first.words, "not", *second.words),
        (
            f"{first.phrases[0]} but not {second.phrases[0]}",
            f"{first.phrases[1]} and not {second.phrases[1]}",
        ),
        code,
        lambda x: first.holds(x) and not second.holds(x),
    )


def javascript_chain(start: str, calls: list[str]) -> str:
    """`start` and its method calls on one line where they are few and short, else one a line."""
    line = start + "".join(calls)
    if len(calls) < 3 and len(line) <= 68:
        return line
    return start + "".join(f"\n    {call}" for call in calls)


def java_list(loop: str) -> str:
    """A loop that fills `result`, with what stands around it."""
    return f"List<Integer> result = new ArrayList<>();\n{loop}\nreturn result;"


def cpp_vector(loop: str) -> str:
    return f"vector<int> result;\n{loop}\nreturn result;"
