"""Tasks on ascending arrays that a binary search answers, for the items or a rising map of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import INT_MAPS, c_like


@dataclass(frozen=True)
class _Rising:
    """A map of non-negative `{x}` that keeps the order."""

    key: str
    words: tuple[str, ...]  # singular, in a function's name
    nouns: tuple[str, ...]  # "square"
    python: str
    c_like: str
    high: int  # the largest item of test inputs, so that targets are often met
    apply: Callable[[int], int]

    def code(self, language: str, x: str) -> str:
        if language == "python":
            return self.python.replace("{x}", x)
        text = self.c_like
        if language == "javascript" and "/" in text:
            text = f"Math.floor({text})"
        return c_like(text.replace("{x}", x), language)


def _from_map(key: str, words: tuple[str, ...], nouns: tuple[str, ...], high: int) -> _Rising:
    mapped = next(item for item in INT_MAPS if item.key == key)
    return _Rising(key, words, nouns, mapped.python, mapped.c_like, high, mapped.apply)


_MAPS = (
    _from_map("identity", ("value",), ("value", "own value"), 12),
    _from_map("square", ("square",), ("square", "second power"), 5),
    _from_map("cube", ("cube",), ("cube", "third power"), 3),
    _from_map("double", ("double",), ("double", "product with 2"), 8),
    _from_map("triple", ("triple",), ("triple", "product with 3"), 6),
    _from_map("minustwo", ("value", "minus", "two"), ("value minus two", "value less 2"), 12),
    _Rising("half", ("half",), ("half rounded down", "quotient by 2"),
            "{x} // 2", "{x} / 2", 20, lambda x: x // 2),
    _Rising("tenth", ("tenth",), ("tenth rounded down", "quotient by 10"),
            "{x} // 10", "{x} / 10", 60, lambda x: x // 10),
)  # fmt: skip


@dataclass(frozen=True)
class _Question:
    """What is asked about the bound; the bound is called `low`, the length is `{n}`.

    `{m}` in an answer is the map of the item at `low`, `{p}` of the item before it.
    """

    key: str
    words: tuple[str, ...]  # MAP stands for the map's words
    titles: tuple[str, ...]
    steps: tuple[str, ...]
    bound: str  # left: first item at or above the target; right: first one above it
    answer: str  # of Java, JavaScript and C++; a conditional, test ? yes : no
    solve: Callable[[list[int], list[int], int], int | bool]  # of items, mapped items, target
    returns: str = "int"


def _last(values: list[int]) -> int:
    return values[-1] if values else -1


def _first(values: list[int]) -> int:
    return values[0] if values else -1


_LENGTH_STEPS = (
    "Return the index , the length if there is none",
    "Return the first index that fits , or the length",
)
_MINUS_STEPS = ("Return the index , -1 if there is none", "Return -1 if no item fits")
_ITEM_STEPS = ("Return the item , -1 if there is none", "Return -1 if no item fits")
_COUNT_STEPS = ("Subtract the bound from the length", "Return how many items follow the bound")
_QUESTIONS = (
    _Question("lower", ("search", "first", "MAP", "at", "least"),
              ("First index whose {} is at least the target",
               "Lower bound of the target by {}",
               "Index of the first {} not less than the target"),
              _LENGTH_STEPS, "left", "low",
              lambda v, m, t: len([x for x in m if x < t])),
    _Question("upper", ("search", "first", "MAP", "above"),
              ("First index whose {} is above the target",
               "Upper bound of the target by {}",
               "Index of the first {} greater than the target"),
              _LENGTH_STEPS, "right", "low",
              lambda v, m, t: len([x for x in m if x <= t])),
    _Question("firstequal", ("search", "first", "MAP", "equal"),
              ("First index whose {} equals the target",
               "Find the first item whose {} is the target",
               "Index of the first {} equal to the target"),
              _MINUS_STEPS, "left", "low < {n} && {m} == target ? low : -1",
              lambda v, m, t: m.index(t) if t in m else -1),
    _Question("lastequal", ("search", "last", "MAP", "equal"),
              ("Last index whose {} equals the target",
               "Find the last item whose {} is the target",
               "Index of the last {} equal to the target"),
              _MINUS_STEPS, "right", "low > 0 && {p} == target ? low - 1 : -1",
              lambda v, m, t: len(m) - 1 - m[::-1].index(t) if t in m else -1),
    _Question("contains", ("search", "contains", "MAP"),
              ("Check whether some {} equals the target",
               "Does any item have the target as its {}",
               "Whether the target is the {} of an item"),
              ("Return whether the item at the bound fits",
               "Compare the item at the bound with the target"),
              "left", "low < {n} && {m} == target",
              lambda v, m, t: t in m, "bool"),
    _Question("floor", ("search", "value", "with", "MAP", "at", "most"),
              ("Largest item whose {} is at most the target",
               "Greatest value with a {} not above the target",
               "Last item whose {} is at most the target"),
              _ITEM_STEPS, "right", "low > 0 ? values[low - 1] : -1",
              lambda v, m, t: _last([x for x, y in zip(v, m, strict=True) if y <= t])),
    _Question("below", ("search", "value", "with", "MAP", "below"),
              ("Largest item whose {} is below the target",
               "Greatest value with a {} less than the target",
               "Last item whose {} is below the target"),
              _ITEM_STEPS, "left", "low > 0 ? values[low - 1] : -1",
              lambda v, m, t: _last([x for x, y in zip(v, m, strict=True) if y < t])),
    _Question("ceiling", ("search", "value", "with", "MAP", "at", "least"),
              ("Smallest item whose {} is at least the target",
               "Least value with a {} not below the target",
               "First item whose {} is at least the target"),
              _ITEM_STEPS, "left", "low < {n} ? values[low] : -1",
              lambda v, m, t: _first([x for x, y in zip(v, m, strict=True) if y >= t])),
    _Question("above", ("search", "value", "with", "MAP", "above"),
              ("Smallest item whose {} is above the target",
               "Least value with a {} greater than the target",
               "First item whose {} is above the target"),
              _ITEM_STEPS, "right", "low < {n} ? values[low] : -1",
              lambda v, m, t: _first([x for x, y in zip(v, m, strict=True) if y > t])),
    _Question("countfrom", ("search", "count", "MAP", "at", "least"),
              ("Count of the items whose {} is at least the target",
               "Number of items with a {} not below the target",
               "How many items have a {} of at least the target"),
              _COUNT_STEPS, "left", "{n} - low", lambda v, m, t: len([x for x in m if x >= t])),
    _Question("countabove", ("search", "count", "MAP", "above"),
              ("Count of the items whose {} is above the target",
               "Number of items with a {} greater than the target",
               "How many items have a {} above the target"),
              _COUNT_STEPS, "right", "{n} - low", lambda v, m, t: len([x for x in m if x > t])),
    _Question("countequal", ("search", "count", "MAP", "equal"),
              ("Count of the items whose {} equals the target",
               "Number of items with the target as {}",
               "How many items have a {} equal to the target"),
              ("Subtract the bound of the target from that of target + 1",
               "Return the distance of both bounds"),
              "both", "", lambda v, m, t: m.count(t)),
)  # fmt: skip


def _bisect(mapped: _Rising, side: str) -> str:
    key = "" if mapped.key == "identity" else f", key=lambda x: {mapped.code('python', 'x')}"
    return f"bisect_{side}(values, target{key})"


def _python(mapped: _Rising, question: _Question) -> str:
    if question.bound == "both":
        return f"first = {_bisect(mapped, 'left')}\nreturn {_bisect(mapped, 'right')} - first"
    call = _bisect(mapped, question.bound)
    if question.answer == "low":
        return f"return {call}"
    if question.answer == "{n} - low":
        return f"return len(values) - {call}"
    here, before = (mapped.code("python", f"values[{i}]") for i in ("i", "i - 1"))
    answer = question.answer.replace("low", "i").replace("&&", "and").replace("{n}", "len(values)")
    answer = answer.replace("{m}", here).replace("{p}", before)
    if "?" in answer:
        test, rest = answer.split(" ? ")
        yes, no = rest.split(" : ")
        answer = f"{yes} if {test} else {no}"
    return f"i = {call}\nreturn {answer}"


def _halving(mapped: _Rising, side: str, language: str) -> str:
    """The loop that leaves the bound in `low`."""
    sign = "<" if side == "left" else "<="
    if language == "java":
        start = "int low = 0, high = values.length;"
        middle = "int mid = (low + high) / 2;"
    else:
        start = "let low = 0;\nlet high = values.length;"
        middle = "const mid = (low + high) >> 1;"
    return (
        f"{start}\n"
        "while (low < high) {\n"
        f"    {middle}\n"
        f"    if ({mapped.code(language, 'values[mid]')} {sign} target) low = mid + 1;\n"
        "    else high = mid;\n"
        "}\n"
    )


def _answer(mapped: _Rising, question: _Question, language: str) -> str:
    here, before = (mapped.code(language, f"values[{i}]") for i in ("low", "low - 1"))
    text = question.answer.replace("==", "===") if language == "javascript" else question.answer
    length = "(int) values.size()" if language == "cpp" else "values.length"
    return text.replace("{n}", length).replace("{m}", here).replace("{p}", before)


def _cpp_bound(mapped: _Rising, side: str) -> str:
    if mapped.key == "identity":
        name = "lower_bound" if side == "left" else "upper_bound"
        return f"{name}(values.begin(), values.end(), target)"
    test = f"{mapped.code('cpp', 'x')} {'<' if side == 'left' else '<='} target"
    return f"partition_point(values.begin(), values.end(), [&](int x) {{ return {test}; }})"


def _cpp(mapped: _Rising, question: _Question) -> str:
    if question.bound == "both":
        if mapped.key == "identity":
            pair = "equal_range(values.begin(), values.end(), target)"
            return f"auto [first, last] = {pair};\nreturn last - first;"
        first, last = (_cpp_bound(mapped, side) for side in ("left", "right"))
        return f"auto first = {first};\nauto last = {last};\nreturn last - first;"
    bound = _cpp_bound(mapped, question.bound)
    if question.answer == "low":
        return f"auto it = {bound};\nreturn it - values.begin();"
    if question.answer == "{n} - low":
        return f"auto it = {bound};\nreturn values.end() - it;"
    answer = _answer(mapped, question, "cpp")
    return f"auto it = {bound};\nint low = it - values.begin();\nreturn {answer};"


def _helper(mapped: _Rising, language: str) -> str:
    head = {
        "java": "static int lowerBound(int[] values, int target) {",
        "javascript": "function lowerBound(values, target) {",
    }[language]
    body = f"{_halving(mapped, 'left', language)}return low;"
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f"{head}\n{lines}\n}}"


def _task(family: str, mapped: _Rising, question: _Question) -> Task:
    def solve(values: list[int], target: int) -> int | bool:
        return question.solve(values, [mapped.apply(x) for x in values], target)

    bodies = {"python": _python(mapped, question), "cpp": _cpp(mapped, question)}
    helpers = {}
    for language in ("java", "javascript"):
        if question.bound == "both":
            bodies[language] = "return lowerBound(values, target + 1) - lowerBound(values, target);"
            helpers[language] = (_helper(mapped, language),)
        else:
            halving = _halving(mapped, question.bound, language)
            bodies[language] = f"{halving}return {_answer(mapped, question, language)};"
    words: list[str] = []
    for word in question.words:
        words.extend(mapped.words if word == "MAP" else [word])
    texts = []
    for i in range(3):
        search = ("Binary search in the ascending array", "Halve the range of the sorted array")
        step = question.steps[(0, 1, 1)[i]]
        texts.append((question.titles[i].format(mapped.nouns[i % 2]), (search[i % 2], step)))
    return Task(
        family=family,
        slug=f"{question.key}.{mapped.key}",
        words=tuple(words),
        params=(
            Param("values", "ints", low=0, high=mapped.high, ascending=True),
            Param("target", "int", low=mapped.apply(0), high=mapped.apply(mapped.high) + 1),
        ),
        returns=question.returns,
        texts=tuple(texts),
        bodies=bodies,
        solve=solve,
        helpers=helpers,
    )


def bound_tasks(family: str) -> Iterator[Task]:
    for question in _QUESTIONS:
        for mapped in _MAPS:
            yield _task(family, mapped, question)
