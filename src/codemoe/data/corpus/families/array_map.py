"""Change the items of an array that meet a condition, and keep, drop or change the others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.array_vocabulary import (
    CONDITIONS,
    MAPS,
    Condition,
    cpp_vector,
    java_list,
    javascript_chain,
)
from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import IntMap

FAMILY = "array_map"

# How a function's name says a map: "even_squared_rest_kept".
_PARTICIPLES = {
    "square": ("squared",),
    "double": ("doubled",),
    "triple": ("tripled",),
    "plusone": ("plus", "one"),
    "minustwo": ("minus", "two"),
    "lastdigit": ("last", "digit"),
}


@dataclass(frozen=True)
class _Rest:
    """What becomes of the items that do not meet the condition."""

    key: str
    words: tuple[str, ...]
    titles: tuple[str, str, str]  # {c} the condition, {m} the map of the value
    steps: tuple[str, str]
    returns: str
    apply: Callable[[int], list[int]]
    other: IntMap | None = None

    def instead(self, language: str) -> str:
        """What stands in the place of such an item `x`."""
        if self.other is not None:
            return self.other.code(language, "x")
        return "0" if self.key == "zero" else "x"


def _replace(by: str) -> tuple[str, str, str]:
    return (
        f"{{m}} for a value that is {{c}} and {by} for others",
        f"Map what is {{c}} to {{m}} and the rest to {by}",
        f"List with {{m}} where it is {{c}} and {by} elsewhere",
    )


_KEEP = _Rest(
    "keep", ("rest", "kept"),
    ("Replace each value that is {c} by {m}", "Change what is {c} to {m} and keep the rest",
     "List with {m} in place of each value that is {c}"),
    ("Keep the others as they are", "Leave the rest unchanged"), "ints", lambda x: [x],
)  # fmt: skip
_DROP = _Rest(
    "drop", ("rest", "dropped"),
    ("{m} for each value that is {c}", "Change what is {c} to {m} and drop the rest",
     "List of only {m} for a value that is {c}"),
    ("Drop the others", "Leave the rest out of the result"), "intlist", lambda x: [],
)  # fmt: skip
_ZERO = _Rest(
    "zero", ("rest", "zero"), _replace("zero"),
    ("Put 0 in place of the others", "Set the rest to 0"), "ints", lambda x: [0],
)  # fmt: skip
_AFTER = _Rest(
    "after", (),
    ("Insert {m} after each value that is {c}", "Let {m} follow a value that is {c}",
     "Put {m} behind each value that is {c}"),
    ("Keep the value and put the new one behind it", "Keep all of the values too"),
    "intlist", lambda x: [x],
)  # fmt: skip


def _other(key: str) -> _Rest:
    mapped = MAPS[key]
    first, second = (phrase.format("it") for phrase in mapped.phrases)
    return _Rest(
        key, ("rest", *_PARTICIPLES[key]), _replace(first),
        (f"Otherwise take {first}", f"Otherwise use {second}"), "ints",
        lambda x: [mapped.apply(x)], mapped,
    )  # fmt: skip


_RESTS = (_KEEP, _DROP, _ZERO, _AFTER)
_OTHERS = (_other("double"), _other("plusone"))


def _python(condition: Condition, mapped: IntMap, rest: _Rest) -> str:
    test, value = condition.code("python", "x"), mapped.code("python", "x")
    if rest.key == "drop":
        return f"return [{value} for x in values if {test}]"
    if rest.key == "after":
        return (
            "result = []\nfor x in values:\n    result.append(x)\n"
            f"    if {test}:\n        result.append({value})\nreturn result"
        )
    return f"return [{value} if {test} else {rest.instead('python')} for x in values]"


def _javascript(condition: Condition, mapped: IntMap, rest: _Rest) -> str:
    test, value = condition.code("javascript", "x"), mapped.code("javascript", "x")
    if rest.key == "drop":
        calls = [f".filter((x) => {test})", f".map((x) => {value})"]
        return f"return {javascript_chain('values', calls)};"
    if rest.key == "after":
        return f"return values.flatMap((x) => ({test} ? [x, {value}] : [x]));"
    instead = rest.instead("javascript")
    return f"return values.map((x) => ({test} ? {value} : {instead}));"


def _java(condition: Condition, mapped: IntMap, rest: _Rest) -> str:
    test, value = condition.code("java", "value"), mapped.code("java", "value")
    if rest.key == "drop":
        return java_list(
            "for (int value : values) {\n"
            f"    if ({test}) {{\n        result.add({value});\n    }}\n}}"
        )
    if rest.key == "after":
        return java_list(
            "for (int value : values) {\n    result.add(value);\n"
            f"    if ({test}) {{\n        result.add({value});\n    }}\n}}"
        )
    if rest.other is not None:
        test, value = condition.code("java", "x"), mapped.code("java", "x")
        choice = f"{test} ? {value} : {rest.instead('java')}"
        return f"return Arrays.stream(values)\n    .map(x -> {choice})\n    .toArray();"
    start = "values.clone()" if rest.key == "keep" else "new int[values.length]"
    test, value = condition.code("java", "values[i]"), mapped.code("java", "values[i]")
    return (
        f"int[] result = {start};\n"
        "for (int i = 0; i < values.length; i++) {\n"
        f"    if ({test}) {{\n        result[i] = {value};\n    }}\n}}\nreturn result;"
    )


def _cpp(condition: Condition, mapped: IntMap, rest: _Rest) -> str:
    test, value = condition.code("cpp", "x"), mapped.code("cpp", "x")
    if rest.key == "keep":
        return (
            "vector<int> result = values;\nfor (int& x : result) {\n"
            f"    if ({test}) {{\n        x = {value};\n    }}\n}}\nreturn result;"
        )
    if rest.key == "drop":
        return cpp_vector(
            "for (int x : values) {\n"
            f"    if ({test}) {{\n        result.push_back({value});\n    }}\n}}"
        )
    if rest.key == "after":
        return cpp_vector(
            "for (int x : values) {\n    result.push_back(x);\n"
            f"    if ({test}) {{\n        result.push_back({value});\n    }}\n}}"
        )
    if rest.key == "zero":
        return cpp_vector(
            f"for (int x : values) {{\n    result.push_back({test} ? {value} : 0);\n}}"
        )
    return (
        "vector<int> result(values.size());\n"
        "transform(values.begin(), values.end(), result.begin(), [](int x) {\n"
        f"    return {test} ? {value} : {rest.instead('cpp')};\n}});\nreturn result;"
    )


def tasks() -> Iterator[Task]:
    for i, condition in enumerate(CONDITIONS.values()):
        for j, key in enumerate(_PARTICIPLES):
            for rest in _RESTS:
                yield _task(condition, MAPS[key], rest)
            for k, rest in enumerate(_OTHERS):
                # Half of these are left out, in turns.
                if rest.key != key and (i + j + k) % 2 == 0:
                    yield _task(condition, MAPS[key], rest)


def _task(condition: Condition, mapped: IntMap, rest: _Rest) -> Task:
    def solve(values: list[int]) -> list[int]:
        result: list[int] = []
        for v in values:
            chosen = condition.holds(v)
            if not chosen or rest.key == "after":
                result += rest.apply(v)
            if chosen:
                result.append(mapped.apply(v))
        return result

    texts = []
    for i in range(3):
        phrase = condition.phrases[i % 2]
        change = mapped.phrases[i % 2]
        title = rest.titles[i].format(c=phrase, m=change.format("the value"))
        step = f"When it is {phrase} take {change.format('it')}"
        texts.append((title[0].upper() + title[1:], (step, rest.steps[i % 2])))
    participle = _PARTICIPLES[mapped.key]
    insert = ("with", *participle, "after")
    return Task(
        family=FAMILY,
        slug=f"{condition.key}.{mapped.key}.{rest.key}",
        words=(*condition.words, *(insert if rest.key == "after" else participle), *rest.words),
        params=(Param("values", "ints", low=-12, high=25),),
        returns=rest.returns,
        texts=tuple(texts),
        bodies={
            "python": _python(condition, mapped, rest),
            "javascript": _javascript(condition, mapped, rest),
            "java": _java(condition, mapped, rest),
            "cpp": _cpp(condition, mapped, rest),
        },
        solve=solve,
    )
