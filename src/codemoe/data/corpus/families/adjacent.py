"""Relations of two items of an array at distance 1, 2 or 3, counted, found, summed or tested."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import c_like

FAMILY = "adjacent"


@dataclass(frozen=True)
class _Relation:
    key: str
    words: tuple[str, ...]
    phrases: tuple[str, str]  # said of "the left one" and "the right one"
    test: str  # {a} is the left item, {b} the right one
    opposite: str
    holds: Callable[[int, int], bool]


_RELATIONS = (
    _Relation("rising", ("rising",),
              ("the left one is smaller", "the right one is larger"),
              "{a} < {b}", "{a} >= {b}", lambda a, b: a < b),
    _Relation("falling", ("falling",),
              ("the left one is larger", "the right one is smaller"),
              "{a} > {b}", "{a} <= {b}", lambda a, b: a > b),
    _Relation("equal", ("equal",),
              ("both are equal", "the two are the same"),
              "{a} == {b}", "{a} != {b}", lambda a, b: a == b),
    _Relation("different", ("different",),
              ("both are different", "the two are not the same"),
              "{a} != {b}", "{a} == {b}", lambda a, b: a != b),
    _Relation("within3", ("within", "three"),
              ("the two differ by at most 3", "the difference is 3 or less"),
              "abs({a} - {b}) <= 3", "abs({a} - {b}) > 3", lambda a, b: -3 <= a - b <= 3),
    _Relation("evensum", ("even", "sum"),
              ("the sum is even", "the two add up to an even number"),
              "({a} + {b}) % 2 == 0", "({a} + {b}) % 2 != 0", lambda a, b: (a - b) % 2 == 0),
    _Relation("sumabove10", ("sum", "above", "ten"),
              ("the sum is greater than 10", "the two add up to more than 10"),
              "{a} + {b} > 10", "{a} + {b} <= 10", lambda a, b: a + b > 10),
    _Relation("signs", ("opposite", "sign"),
              ("one is negative and one positive", "the two have opposite signs"),
              "{a} * {b} < 0", "{a} * {b} >= 0", lambda a, b: a < 0 < b or b < 0 < a),
)  # fmt: skip


@dataclass(frozen=True)
class _Aggregate:
    key: str
    words: tuple[str, ...]
    titles: tuple[str, str, str]  # {p} "pairs of neighbours", {r} the relation
    steps: tuple[str, str]
    returns: str
    # Of the array and the left indexes of all pairs, each with whether the relation holds.
    apply: Callable[[list[int], list[bool], int], int]


def _longest(holds: list[bool]) -> int:
    best = 0
    for start in range(len(holds)):
        for end in range(start, len(holds)):
            if all(holds[start : end + 1]):
                best = max(best, end + 1 - start)
    return best


def _where(holds: list[bool]) -> list[int]:
    return [i for i, one in enumerate(holds) if one]


_AGGREGATES = (
    _Aggregate("count", ("count",),
               ("Count of {p} where {r}", "Number of {p} where {r}", "Count {p} such that {r}"),
               ("Add one for each such pair", "Return how many such pairs there are"),
               "int", lambda v, holds, d: sum(holds)),
    _Aggregate("longest", ("longest", "run"),
               ("Longest run of {p} where {r}", "Length of the longest streak of {p} where {r}",
                "Longest streak of {p} such that {r}"),
               ("Count such pairs in a row and restart after another",
                "Return the largest number of such pairs in a row"),
               "int", lambda v, holds, d: _longest(holds)),
    _Aggregate("first", ("first", "index"),
               ("First index of {p} where {r}", "Index of the first of {p} where {r}",
                "Find the first of {p} where {r}"),
               ("Return the index of its left value , -1 for none",
                "Return the left index of the first one or -1"),
               "int", lambda v, holds, d: min(_where(holds), default=-1)),
    _Aggregate("last", ("last", "index"),
               ("Last index of {p} where {r}", "Index of the last of {p} where {r}",
                "Find the last of {p} where {r}"),
               ("Return the index of its left value , -1 for none",
                "Return the left index of the last one or -1"),
               "int", lambda v, holds, d: max(_where(holds), default=-1)),
    _Aggregate("lefts", ("sum", "lefts"),
               ("Sum of the left values of {p} where {r}", "Add up the left ones of {p} where {r}",
                "Total of the left values of {p} such that {r}"),
               ("Add the left one of each such pair",
                "Total the left values of such pairs"),
               "int", lambda v, holds, d: sum(v[i] for i in _where(holds))),
    _Aggregate("differences", ("sum", "differences"),
               ("Sum of the differences of {p} where {r}", "Sum the differences of {p} where {r}",
                "Total of the differences of {p} such that {r}"),
               ("Add the absolute difference of each such pair",
                "Total the absolute differences of such pairs"),
               "int", lambda v, holds, d: sum(abs(v[i + d] - v[i]) for i in _where(holds))),
    _Aggregate("any", ("any",),
               ("Check if there are {p} where {r}", "Check for any {p} where {r}",
                "Check if any {p} are such that {r}"),
               ("Return true at the first one found , else false",
                "Return true if there is at least one , else false"),
               "bool", lambda v, holds, d: True in holds),
    _Aggregate("all", ("all",),
               ("Check if {r} for all {p}", "Check that {r} in all of the {p}",
                "Check if {r} for each of the {p}"),
               ("Return false at a pair that is not so , else true",
                "Return true if each pair is so or there is no pair"),
               "bool", lambda v, holds, d: False not in holds),
)  # fmt: skip

_PAIRS = {
    1: ("pairs of neighbours", "adjacent pairs"),
    2: ("pairs 2 places apart", "pairs at distance 2"),
    3: ("pairs 3 places apart", "pairs at distance 3"),
}
_LOOKS = {
    1: ("Compare each value with the next one", "Look at each value and the one after it"),
    2: ("Compare each value with the one 2 places later",
        "Look at values 2 steps apart"),
    3: ("Compare each value with the one 3 places later",
        "Look at values 3 steps apart"),
}  # fmt: skip
_PAIR_WORDS = {
    1: ("neighbours",),
    2: ("gap", "two"),
    3: ("gap", "three"),
}


def _python(aggregate: _Aggregate, relation: _Relation, d: int) -> str:
    test = relation.test.format(a="a", b="b")
    pairs = "pairwise(values)" if d == 1 else f"zip(values, values[{d}:])"
    found = f"i for i, (a, b) in enumerate({pairs}) if {test}"
    if aggregate.key == "longest":
        return (
            f"longest = run = 0\nfor a, b in {pairs}:\n    run = run + 1 if {test} else 0\n"
            "    longest = max(longest, run)\nreturn longest"
        )
    return {
        "count": f"return sum({test} for a, b in {pairs})",
        "first": f"return next(({found}), -1)",
        "last": f"return max(({found}), default=-1)",
        "lefts": f"return sum(a for a, b in {pairs} if {test})",
        "differences": f"return sum(abs(a - b) for a, b in {pairs} if {test})",
        "any": f"return any({test} for a, b in {pairs})",
        "all": f"return all({test} for a, b in {pairs})",
    }[aggregate.key]


def _javascript(aggregate: _Aggregate, relation: _Relation, d: int) -> str:
    method = {"any": "some", "all": "every", "first": "findIndex", "count": "filter"}
    if aggregate.key in method:
        test = c_like(relation.test.format(a="values[i]", b="right"), "javascript")
        call = f"values.slice({d}).{method[aggregate.key]}((right, i) => {test})"
        return f"return {call}{'.length' if aggregate.key == 'count' else ''};"
    return _loop(aggregate, relation, d, "javascript")


def _java(aggregate: _Aggregate, relation: _Relation, d: int) -> str:
    if aggregate.key in ("any", "all"):
        test = c_like(relation.test.format(a="values[i]", b=f"values[i + {d}]"), "java")
        return (
            f"return IntStream.range(0, values.length - {d})\n"
            f"    .{aggregate.key}Match(i -> {test});"
        )
    return _loop(aggregate, relation, d, "java")


def _cpp(aggregate: _Aggregate, relation: _Relation, d: int) -> str:
    if d == 1 and aggregate.key in ("any", "first"):
        test = relation.test.format(a="a", b="b")
        search = (
            "adjacent_find(values.begin(), values.end(),\n"
            f"                        [](int a, int b) {{ return {test}; }});"
        )
        found = f"auto it = {search}\n"
        if aggregate.key == "any":
            return f"{found}return it != values.end();"
        return f"{found}return it == values.end() ? -1 : it - values.begin();"
    return _loop(aggregate, relation, d, "cpp")


def _loop(aggregate: _Aggregate, relation: _Relation, d: int, language: str) -> str:
    """The loop over left indexes that Java, JavaScript and C++ share."""
    names = {"a": "values[i]", "b": f"values[i + {d}]"}
    test = c_like(relation.test.format(**names), language)
    opposite = c_like(relation.opposite.format(**names), language)
    number = "let" if language == "javascript" else "int"
    size = "values.size()" if language == "cpp" else "values.length"
    index = "size_t" if language == "cpp" else number
    head = f"for ({index} i = 0; i + {d} < {size}; i++) {{"
    if aggregate.key == "last":
        last = f"static_cast<int>(values.size()) - {d + 1}" if language == "cpp" else (
            f"values.length - {d + 1}"
        )  # fmt: skip
        head = f"for ({number} i = {last}; i >= 0; i--) {{"

    def loop(condition: str, statement: str) -> str:
        return f"{head}\n    if ({condition}) {{\n        {statement}\n    }}\n}}"

    if aggregate.key in ("first", "last"):
        return f"{loop(test, 'return i;')}\nreturn -1;"
    if aggregate.key == "any":
        return f"{loop(test, 'return true;')}\nreturn false;"
    if aggregate.key == "all":
        return f"{loop(opposite, 'return false;')}\nreturn true;"
    if aggregate.key == "longest":
        best = c_like("max(longest, run)", language)
        return (
            f"{number} longest = 0;\n{number} run = 0;\n{head}\n"
            f"    run = {test} ? run + 1 : 0;\n    longest = {best};\n}}\nreturn longest;"
        )
    name, statement = {
        "count": ("count", "count++;"),
        "lefts": ("total", "total += values[i];"),
        "differences": ("total", c_like(f"total += abs(values[i] - values[i + {d}]);", language)),
    }[aggregate.key]
    return f"{number} {name} = 0;\n{loop(test, statement)}\nreturn {name};"


def tasks() -> Iterator[Task]:
    for relation in _RELATIONS:
        for aggregate in _AGGREGATES:
            # Differences of equal ones are 0, and only those of different ones are not.
            if aggregate.key == "differences" and relation.key in ("equal", "different"):
                continue
            for d in _PAIRS:
                yield _task(relation, aggregate, d)


def _task(relation: _Relation, aggregate: _Aggregate, d: int) -> Task:
    def solve(values: list[int]) -> int:
        holds = [relation.holds(values[i], values[i + d]) for i in range(len(values) - d)]
        return aggregate.apply(values, holds, d)

    texts = []
    for i in range(3):
        phrase = relation.phrases[i % 2]
        title = aggregate.titles[i].format(p=_PAIRS[d][i % 2], r=phrase)
        texts.append((title, (_LOOKS[d][i % 2], aggregate.steps[i % 2])))
    return Task(
        family=FAMILY,
        slug=f"{relation.key}.{aggregate.key}.{d}",
        words=(*aggregate.words, *relation.words, *_PAIR_WORDS[d]),
        params=(Param("values", "ints", low=-6, high=14, max_size=8),),
        returns=aggregate.returns,
        texts=tuple(texts),
        bodies={
            "python": _python(aggregate, relation, d),
            "javascript": _javascript(aggregate, relation, d),
            "java": _java(aggregate, relation, d),
            "cpp": _cpp(aggregate, relation, d),
        },
        solve=solve,
    )
