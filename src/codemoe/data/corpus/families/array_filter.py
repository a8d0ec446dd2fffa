"""Choose items of an array by one condition or a pair of them, and give them an order or shape."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.array_vocabulary import (
    CONDITIONS,
    Condition,
    both,
    cpp_vector,
    either,
    excluding,
    java_list,
    javascript_chain,
)
from codemoe.data.corpus.task import Param, Task

FAMILY = "array_filter"


@dataclass(frozen=True)
class _Shape:
    key: str
    words: tuple[str, ...]
    titles: tuple[str, str, str]
    steps: tuple[str, str]
    python: str  # {c} is the condition on x
    javascript: tuple[str, ...]  # method calls after the filter
    apply: Callable[[list[int]], list[int]]


_SHAPES = (
    _Shape("plain", ("filter",),
           ("Every value that is {c}", "Filter each value that is {c}",
            "List of the values where each is {c}"),
           ("Keep them in the given order", "Leave the order as it is"),
           "[x for x in values if {c}]", (), lambda items: items),
    _Shape("reversed", ("reversed",),
           ("Every value that is {c} in reverse order", "Reverse the values where each is {c}",
            "List from last to first each value that is {c}"),
           ("Put the last one first", "Reverse the order of the result"),
           "[x for x in reversed(values) if {c}]", (".reverse()",), lambda items: items[::-1]),
    _Shape("ascending", ("ascending",),
           ("Every value that is {c} in ascending order", "Sort upwards each value that is {c}",
            "List from small to large each value that is {c}"),
           ("Put the smallest one first", "Sort the result from small to large"),
           "sorted(x for x in values if {c})", (".sort((a, b) => a - b)",), sorted),
    _Shape("descending", ("descending",),
           ("Every value that is {c} in descending order",
            "Sort downwards each value that is {c}",
            "List from large to small each value that is {c}"),
           ("Put the largest one first", "Sort the result from large to small"),
           "sorted((x for x in values if {c}), reverse=True)", (".sort((a, b) => b - a)",),
           lambda items: sorted(items, reverse=True)),
    _Shape("distinct", ("distinct",),
           ("Every distinct value that is {c}", "Distinct values where each is {c}",
            "List without repeats each value that is {c}"),
           ("Skip a value that was taken before", "Keep only the first one of equal values"),
           "list(dict.fromkeys(x for x in values if {c}))", (),
           lambda items: [x for i, x in enumerate(items) if x not in items[:i]]),
    _Shape("three", ("first", "three"),
           ("First three values where each is {c}", "Take up to three values where each is {c}",
            "List the first three values where each is {c}"),
           ("Stop after three of them", "Return at most three of them"),
           "[x for x in values if {c}][:3]", (".slice(0, 3)",), lambda items: items[:3]),
)  # fmt: skip


def _javascript(shape: _Shape, condition: Condition) -> str:
    calls = [f".filter((x) => {condition.code('javascript', 'x')})", *shape.javascript]
    if shape.key == "distinct":
        return f"return [...new Set(values{calls[0]})];"
    return f"return {javascript_chain('values', calls)};"


def _java(shape: _Shape, condition: Condition) -> str:
    test = condition.code("java", "value")
    add = "    if ({c}) {\n        result.add({x});\n    }\n}"
    if shape.key == "plain":
        loop = "for (int value : values) {\n" + add.replace("{c}", test).replace("{x}", "value")
        return java_list(loop)
    if shape.key == "reversed":
        last = "for (int i = values.length - 1; i >= 0; i--) {\n"
        test = condition.code("java", "values[i]")
        return java_list(last + add.replace("{c}", test).replace("{x}", "values[i]"))
    if shape.key == "distinct":
        loop = "for (int value : values) {\n" + add.replace("{c}", test).replace("{x}", "value")
        return (
            f"Set<Integer> result = new LinkedHashSet<>();\n{loop}\nreturn new ArrayList<>(result);"
        )
    steps = {
        "ascending": ("sorted()", "boxed()"),
        "descending": ("boxed()", "sorted(Comparator.reverseOrder())"),
        "three": ("limit(3)", "boxed()"),
    }[shape.key]
    calls = [f"filter(x -> {condition.code('java', 'x')})", *steps, "collect(Collectors.toList())"]
    return "return Arrays.stream(values)" + "".join(f"\n    .{call}" for call in calls) + ";"


def _cpp(shape: _Shape, condition: Condition) -> str:
    test = condition.code("cpp", "value")
    if shape.key == "reversed":
        return (
            "vector<int> result;\n"
            "copy_if(values.rbegin(), values.rend(), back_inserter(result),\n"
            f"        [](int x) {{ return {condition.code('cpp', 'x')}; }});\n"
            "return result;"
        )
    push = f"for (int value : values) {{\n    if ({test}) {{\n        result.push_back(value);\n"
    if shape.key == "distinct":
        if "||" in test:
            test = f"({test})"
        return (
            "set<int> seen;\n"
            "vector<int> result;\n"
            "for (int value : values) {\n"
            f"    if ({test} && seen.insert(value).second) {{\n"
            "        result.push_back(value);\n"
            "    }\n"
            "}\n"
            "return result;"
        )
    if shape.key == "three":
        return cpp_vector(
            "for (int value : values) {\n"
            f"    if ({test}) {{\n"
            "        result.push_back(value);\n"
            "    }\n"
            "    if (result.size() == 3) {\n"
            "        break;\n"
            "    }\n"
            "}"
        )
    after = {
        "plain": "",
        "ascending": "\nsort(result.begin(), result.end());",
        "descending": "\nsort(result.rbegin(), result.rend());",
    }[shape.key]
    return cpp_vector(f"{push}    }}\n}}{after}")


def _conditions() -> Iterator[tuple[int, Condition]]:
    """Conditions with the number that thins their shapes; -1 is for those with every shape."""
    for single in CONDITIONS.values():
        yield -1, single
    parity, divisible = ("even", "odd"), ("multiple3", "multiple5")
    size = ("above10", "below5", "positive", "negative")
    pairs = [(a, b) for a in parity for b in divisible]
    pairs += [(a, b) for a in parity for b in size]
    pairs += [(a, b) for a in divisible for b in size]
    for i, (first, second) in enumerate(pairs):
        for j, join in enumerate((both, either, excluding)):
            yield i + j, join(CONDITIONS[first], CONDITIONS[second])


def tasks() -> Iterator[Task]:
    for number, condition in _conditions():
        for i, shape in enumerate(_SHAPES):
            # Every second shape of a pair is left out, in turns.
            if number < 0 or (number + i) % 2 == 0:
                yield _task(shape, condition)


def _task(shape: _Shape, condition: Condition) -> Task:
    def solve(values: list[int]) -> list[int]:
        return shape.apply([v for v in values if condition.holds(v)])

    texts = []
    for i in range(3):
        phrase = condition.phrases[i % 2]
        title = shape.titles[i].format(c=phrase)
        texts.append((title, (f"Take every value that is {phrase}", shape.steps[i % 2])))
    python = shape.python.format(c=condition.code("python", "x"))
    return Task(
        family=FAMILY,
        slug=f"{condition.key}.{shape.key}",
        words=(*shape.words, *condition.words),
        params=(Param("values", "ints", low=-15, high=20, max_size=9),),
        returns="intlist",
        texts=tuple(texts),
        bodies={
            "python": f"return {python}",
            "javascript": _javascript(shape, condition),
            "java": _java(shape, condition),
            "cpp": _cpp(shape, condition),
        },
        solve=solve,
    )
