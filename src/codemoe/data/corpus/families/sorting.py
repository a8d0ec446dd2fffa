"""Sort an array by a key, a direction and a rule for ties; then take a part, a place or a sum."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import c_like

FAMILY = "sorting"


@dataclass(frozen=True)
class _Key:
    """What is compared; code is written for an item `{x}`."""

    key: str
    words: tuple[str, ...]
    nouns: tuple[str, ...]
    python: str
    python_function: str  # the key function where there is a short one
    c_like: str
    low: int
    high: int
    apply: Callable[[int], int]
    helpers: tuple[tuple[str, str], ...] = ()

    def code(self, language: str, x: str) -> str:
        if language == "python":
            return self.python.replace("{x}", x)
        text = self.c_like
        if language == "javascript" and "/" in text:
            text = f"Math.floor({text})"
        return c_like(text.replace("{x}", x), language)


def _digit_sum(x: int) -> int:
    return sum(int(digit) for digit in str(abs(x)))


_DIGIT_LOOP = """digitSum(int x) {
    int total = 0;
    while (x > 0) {
        total += x % 10;
        x /= 10;
    }
    return total;
}"""
_DIGIT_HELPERS = (
    ("java", f"static int {_DIGIT_LOOP}"),
    ("cpp", f"int {_DIGIT_LOOP}"),
    ("javascript", "function digitSum(x) {\n"
     "    return [...String(x)].reduce((total, d) => total + Number(d), 0);\n}"),
)  # fmt: skip

_SELF = _Key("self", ("value",), ("value", "size"), "{x}", "", "{x}", -9, 20, lambda x: x)
_KEYS = (
    _Key("absolute", ("absolute", "value"), ("absolute value", "magnitude"),
         "abs({x})", "abs", "abs({x})", -20, 20, abs),
    _Key("lastdigit", ("last", "digit"), ("last digit", "units digit"),
         "{x} % 10", "", "{x} % 10", 0, 60, lambda x: x % 10),
    _Key("tens", ("tens",), ("quotient by 10", "whole tens"),
         "{x} // 10", "", "{x} / 10", 0, 60, lambda x: x // 10),
    _Key("digitsum", ("digit", "sum"), ("digit sum", "sum of digits"),
         "sum(map(int, str({x})))", "", "digitSum({x})", 0, 60, _digit_sum, _DIGIT_HELPERS),
    _Key("mod3", ("remainder", "three"), ("remainder by 3", "value modulo 3"),
         "{x} % 3", "", "{x} % 3", 0, 40, lambda x: x % 3),
    _Key("mod5", ("remainder", "five"), ("remainder by 5", "value modulo 5"),
         "{x} % 5", "", "{x} % 5", 0, 40, lambda x: x % 5),
    _Key("parity", ("parity",), ("remainder by 2", "value modulo 2"),
         "{x} % 2", "", "{x} % 2", 0, 40, lambda x: x % 2),
    _Key("distance", ("distance", "ten"), ("distance to 10", "difference from 10"),
         "abs({x} - 10)", "", "abs({x} - 10)", -9, 30, lambda x: abs(x - 10)),
)  # fmt: skip


@dataclass(frozen=True)
class _Ties:
    key: str
    words: tuple[str, ...]
    phrases: tuple[str, ...]
    sign: int  # of the number itself as the second key; 0 keeps the original order


_TIES = (
    _Ties("stable", (), ("ties keep their order", "equal ones stay in order"), 0),
    _Ties("smaller", ("smaller", "first"), ("of ties the smaller number first",
                                            "ties by the number ascending"), 1),
    _Ties("larger", ("larger", "first"), ("of ties the larger number first",
                                          "ties by the number descending"), -1),
)  # fmt: skip


@dataclass(frozen=True)
class _Result:
    """What is returned of the sorted array, which every language calls `ordered`."""

    key: str
    word: tuple[str, ...]
    titles: tuple[str, ...]  # {} is "by last digit descending"
    steps: tuple[str, ...]
    python: str  # {s} is the sorted array
    javascript: str
    java: str
    cpp: str
    take: Callable[..., Any]  # of the array, its sorted indices and k
    returns: str = "int"
    limited: bool = False

    @property
    def indices(self) -> bool:
        return self.key == "indices"


_RESULTS = (
    _Result("list", ("sort",),
            ("Sort an array by {}", "Order the numbers by {}", "Array sorted by {}"),
            ("Return the sorted array", "Return the numbers in the new order"),
            "return {s}", "return {s};", "return {s};", "return ordered;",
            lambda values, order: [values[i] for i in order], "intlist"),
    _Result("take", ("take",),
            ("First k numbers by {}", "Take the first k of the numbers sorted by {}",
             "The k numbers that come first by {}"),
            ("Return the first k , all if there are fewer", "Keep at most the first k numbers"),
            "return {s}[:k]", "return {s}.slice(0, k);",
            "return ordered.subList(0, Math.min(k, ordered.size()));",
            "ordered.resize(min<size_t>(k, ordered.size()));\nreturn ordered;",
            lambda values, order, k: [values[i] for i in order[:k]], "intlist", limited=True),
    _Result("kth", ("kth",),
            ("The k th number by {}", "Number at place k of the order by {}",
             "Find the k th of the numbers sorted by {}"),
            ("Return the number at place k from 1 on , 0 if none",
             "Return item k - 1 , or 0 if the array is shorter"),
            "return ordered[k - 1] if k <= len(ordered) else 0", "return ordered[k - 1] ?? 0;",
            "return k <= ordered.size() ? ordered.get(k - 1) : 0;",
            "return k <= (int) ordered.size() ? ordered[k - 1] : 0;",
            lambda values, order, k: values[order[k - 1]] if k <= len(order) else 0, limited=True),
    _Result("middle", ("middle",),
            ("Middle number by {}", "Number in the middle of the order by {}",
             "Find the middle item of an array sorted by {}"),
            ("Return the item at half the length , 0 if the array is empty",
             "Take the index length / 2 , or 0 for an empty array"),
            "return ordered[len(ordered) // 2] if ordered else 0",
            "return ordered[Math.floor(ordered.length / 2)] ?? 0;",
            "return ordered.isEmpty() ? 0 : ordered.get(ordered.size() / 2);",
            "return ordered.empty() ? 0 : ordered[ordered.size() / 2];",
            lambda values, order: values[order[len(order) // 2]] if order else 0),
    _Result("sumtwo", ("sum", "two"),
            ("Sum of the first two numbers by {}", "Add the two numbers that come first by {}",
             "Total of the first two items sorted by {}"),
            ("Add the first two , or what is there if fewer",
             "Return the sum of at most the first two numbers"),
            "return sum({s}[:2])", "return {s}.slice(0, 2).reduce((total, x) => total + x, 0);",
            "return ordered.stream().limit(2).mapToInt(x -> x).sum();",
            "ordered.resize(min<size_t>(2, ordered.size()));\n"
            "return accumulate(ordered.begin(), ordered.end(), 0);",
            lambda values, order: sum(values[i] for i in order[:2])),
    _Result("moved", ("moved",),
            ("Count of the numbers that move when sorted by {}",
             "Number of places that change when ordered by {}",
             "How many places differ after sorting by {}"),
            ("Count the places where the sorted array differs from the original",
             "Compare both arrays and count the different places"),
            "return sum(a != b for a, b in zip(values, ordered))",
            "return values.filter((x, i) => x !== ordered[i]).length;",
            "int moved = 0;\nfor (int i = 0; i < values.length; i++) {\n"
            "    if (values[i] != ordered.get(i)) moved++;\n}\nreturn moved;",
            "int moved = 0;\nfor (size_t i = 0; i < values.size(); i++) {\n"
            "    if (values[i] != ordered[i]) moved++;\n}\nreturn moved;",
            lambda values, order: len([i for i, j in enumerate(order) if values[i] != values[j]])),
    _Result("indices", ("indices",),
            ("Indices of the numbers sorted by {}", "Order of the indices by {}",
             "List the positions of the numbers by {}"),
            ("Sort the indices by their numbers and return them",
             "Return the indices in the order of their numbers"),
            "return {s}", "return {s};", "return {s};", "return ordered;",
            lambda values, order: order, "intlist"),
)  # fmt: skip


def _python(key: _Key, falling: bool, ties: _Ties, result: _Result) -> str:
    items = "range(len(values))" if result.indices else "values"
    name, x = ("i", "values[i]") if result.indices else ("x", "x")
    options = ", reverse=True" if falling else ""
    if ties.sign:
        first = key.code("python", x)
        # A sum is a call, everything but calls needs parentheses under the minus.
        if falling:
            first = f"-{first}" if first.endswith(")") else f"-({first})"
        second = x if ties.sign > 0 else f"-{x}"
        call = f"sorted({items}, key=lambda {name}: ({first}, {second}))"
    elif key is _SELF:
        by = ", key=lambda i: values[i]" if result.indices else ""
        call = f"sorted({items}{by}{options})"
    elif key.python_function and not result.indices:
        call = f"sorted({items}, key={key.python_function}{options})"
    else:
        call = f"sorted({items}, key=lambda {name}: {key.code('python', x)}{options})"
    if "{s}" in result.python:
        return result.python.replace("{s}", call)
    return f"ordered = {call}\n{result.python}"


def _javascript(key: _Key, falling: bool, ties: _Ties, result: _Result) -> str:
    items = "[...values.keys()]" if result.indices else "[...values]"
    names = ("i", "j") if result.indices else ("a", "b")
    a, b = (f"values[{name}]" for name in names) if result.indices else names

    def difference(of: _Key, down: bool) -> str:
        left, right = of.code("javascript", a), of.code("javascript", b)
        if "%" in left:
            left, right = f"({left})", f"({right})"
        return f"{right} - {left}" if down else f"{left} - {right}"

    compare = difference(key, falling)
    if ties.sign:
        compare += f" || {difference(_SELF, ties.sign < 0)}"
    call = f"{items}.sort(({', '.join(names)}) => {compare})"
    if len(call) > 80:
        call = f"{items}.sort(\n    ({', '.join(names)}) => {compare}\n)"
    if "{s}" in result.javascript:
        line = result.javascript.replace("{s}", call)
        if len(line) <= 88 or result.javascript == "return {s};":
            return line
    ending = result.javascript.replace("{s}", "ordered")
    return f"const ordered = {call};\n{ending}"


def _java(key: _Key, falling: bool, ties: _Ties, result: _Result) -> str:
    name, x = ("i", "values[i]") if result.indices else ("x", "x")
    source = "IntStream.range(0, values.length)" if result.indices else "Arrays.stream(values)"
    before = ""
    if key is _SELF and not result.indices:
        order = "Comparator.reverseOrder()" if falling else ""
    else:
        compared = f"Comparator.comparingInt({name} -> {key.code('java', x)})"
        before = f"Comparator<Integer> byKey = {compared};\n"
        order = "byKey.reversed()" if falling else "byKey"
        if ties.sign:
            order += f".thenComparingInt({name} -> {'-' if ties.sign < 0 else ''}{x})"
    call = f"{source}.boxed().sorted({order}).toList()"
    if len(call) > 70:
        call = f"{source}.boxed()\n    .sorted({order})\n    .toList()"
    if "{s}" in result.java:
        return before + result.java.replace("{s}", call)
    return f"{before}List<Integer> ordered = {call};\n{result.java}"


def _cpp(key: _Key, falling: bool, ties: _Ties, result: _Result) -> str:
    copy = "vector<int> ordered = values;"
    names = ("a", "b")
    before: list[str] = []
    capture = "[]"
    if result.indices:
        copy = "vector<int> ordered(values.size());\niota(ordered.begin(), ordered.end(), 0);"
        names, capture = ("i", "j"), "[&]"
    a, b = (f"values[{name}]" for name in names) if result.indices else names
    head = f"{capture}(int {names[0]}, int {names[1]})"
    span = "ordered.begin(), ordered.end()"
    sign = ">" if falling else "<"
    if key is _SELF and not result.indices:
        call = f"sort({span}{', greater<int>()' if falling else ''});"
    elif ties.sign:
        if result.indices:
            before = [f"int a = {a}, b = {b};"]
            a, b = "a", "b"
        left, right = key.code("cpp", a), key.code("cpp", b)
        lines = [
            *before,
            f"if ({left} != {right}) return {left} {sign} {right};",
            f"return {a} {'<' if ties.sign > 0 else '>'} {b};",
        ]
        # Only indices of equal numbers can still tie, and these keep their order.
        sort = "stable_sort" if result.indices else "sort"
        body = "\n".join(f"    {line}" for line in lines)
        call = f"{sort}({span}, {head} {{\n{body}\n}});"
    else:
        test = f"{key.code('cpp', a)} {sign} {key.code('cpp', b)}"
        call = f"stable_sort({span}, {head} {{ return {test}; }});"
        if len(call) > 92:
            call = f"stable_sort({span}, {head} {{\n    return {test};\n}});"
    return f"{copy}\n{call}\n{result.cpp}"


def _texts(
    key: _Key, falling: bool, ties: _Ties, result: _Result
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    ways = ("descending", "largest first") if falling else ("ascending", "smallest first")
    texts = []
    for i in range(3):
        noun = key.nouns[i % 2]
        sort = ("Sort by {} {}", "Compare by {} {}")[i % 2].format(noun, ways[1 - i % 2])
        # Equal numbers cannot be told apart, their indices can.
        if key is not _SELF or result.indices:
            sort += f" , {ties.phrases[(0, 1, 1)[i]]}"
        title = result.titles[i].format(f"{noun} {ways[i % 2]}")
        texts.append((title, (sort, result.steps[(0, 1, 1)[i]])))
    return tuple(texts)


def _task(key: _Key, falling: bool, ties: _Ties, result: _Result) -> Task:
    def solve(values: list[int], *k: int) -> Any:
        # Two stable passes, the later one decides: unlike the programs' compound keys.
        order = list(range(len(values)))
        order.sort(key=lambda i: ties.sign * values[i])
        order.sort(key=lambda i: key.apply(values[i]), reverse=falling)
        return result.take(values, order, *k)

    params = [Param("values", "ints", low=key.low, high=key.high)]
    if result.limited:
        params.append(Param("k", "int", low=1, high=6))
    way = "descending" if falling else "ascending"
    return Task(
        family=FAMILY,
        slug=f"{result.key}.{key.key}.{way}.{ties.key}",
        words=(*result.word, "by", *key.words, way, *ties.words),
        params=tuple(params),
        returns=result.returns,
        texts=_texts(key, falling, ties, result),
        bodies={
            "python": _python(key, falling, ties, result),
            "javascript": _javascript(key, falling, ties, result),
            "java": _java(key, falling, ties, result),
            "cpp": _cpp(key, falling, ties, result),
        },
        solve=solve,
        helpers={language: (text,) for language, text in key.helpers},
    )


def tasks() -> Iterator[Task]:
    for r, result in enumerate(_RESULTS):
        for falling in (False, True):
            yield _task(_SELF, falling, _TIES[0], result)
            for k, key in enumerate(_KEYS):
                for t, ties in enumerate(_TIES):
                    # A regular third of the product is left out to keep the family in bounds.
                    if (r + k + t + falling) % 3:
                        yield _task(key, falling, ties, result)
