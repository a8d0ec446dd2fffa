"""Tasks about the rows or columns of a grid: a measure of each, and what becomes of them all."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from codemoe.data.corpus.grid_vocabulary import Grid
from codemoe.data.corpus.task import Param, Task


@dataclass(frozen=True)
class _Measure:
    """A number for each row or column; {line} is a Python row, {x} a cell's expression."""

    key: str
    words: tuple[str, ...]
    nouns: tuple[str, ...]
    python: str
    javascript: tuple[str, str]  # of a row, of column j
    java: tuple[str, str]  # what follows the stream of a row, of `row[j]`
    cpp_row: str
    cpp_start: str  # of column j
    cpp_step: str
    limits: tuple[int, int]  # domain of the limit it is compared with
    apply: Callable[[Sequence[int]], int]


def _counting(
    key: str, words: tuple[str, ...], nouns: tuple[str, ...],
    test: tuple[str, str], holds: Callable[[int], bool],
) -> _Measure:  # fmt: skip
    python, other = test

    def code(x: str, strict: bool = False) -> str:
        text = other.replace("{x}", x)
        return text.replace("==", "===") if strict else text

    return _Measure(
        key, words, nouns,
        f"sum({python.replace('{x}', 'x')} for x in {{line}})",
        (f"row.filter((x) => {code('x', True)}).length",
         f"grid.filter((row) => {code('row[j]', True)}).length"),
        (f".filter(x -> {code('x')}).count()", f".filter(x -> {code('x')}).count()"),
        f"count_if(row.begin(), row.end(), [](int x) {{ return {code('x')}; }})",
        "0", f"if ({code('row[j]')}) result++;", (0, 3),
        lambda line: len([x for x in line if holds(x)]),
    )  # fmt: skip


_MEASURES = (
    _Measure("sum", ("sum",), ("sum", "total"), "sum({line})",
             ("row.reduce((total, x) => total + x, 0)",
              "grid.reduce((total, row) => total + row[j], 0)"),
             (".sum()", ".sum()"), "accumulate(row.begin(), row.end(), 0)",
             "0", "result += row[j];", (-5, 30), sum),
    _Measure("maximum", ("maximum",), ("maximum", "largest number"), "max({line})",
             ("Math.max(...row)", "Math.max(...grid.map((row) => row[j]))"),
             (".max().getAsInt()", ".max().getAsInt()"), "*max_element(row.begin(), row.end())",
             "grid[0][j]", "result = max(result, row[j]);", (0, 20), max),
    _Measure("minimum", ("minimum",), ("minimum", "smallest number"), "min({line})",
             ("Math.min(...row)", "Math.min(...grid.map((row) => row[j]))"),
             (".min().getAsInt()", ".min().getAsInt()"), "*min_element(row.begin(), row.end())",
             "grid[0][j]", "result = min(result, row[j]);", (-9, 12), min),
    _counting("evencount", ("even", "count"),
              ("number of even values", "count of even numbers"),
              ("{x} % 2 == 0", "{x} % 2 == 0"), lambda x: x % 2 == 0),
    _counting("abovetencount", ("above", "ten", "count"),
              ("number of values above 10", "count of numbers greater than 10"),
              ("{x} > 10", "{x} > 10"), lambda x: x > 10),
)  # fmt: skip


@dataclass(frozen=True)
class _Outer:
    """What becomes of the measures; {m} is their generator in Python, `results` elsewhere."""

    key: str
    words: tuple[str, ...]  # LINE and MEASURE stand for the words of the two other factors
    titles: tuple[str, ...]  # {line}: row, {measure}: its noun
    steps: tuple[str, ...]
    python: str
    javascript: str
    java: str  # what follows the IntStream of the measures
    cpp: str
    apply: Callable[..., Any]
    returns: str = "int"
    limited: bool = False


_ALL = "results.begin(), results.end()"
_OUTERS = (
    _Outer("list", ("list", "LINE", "MEASURE"),
           ("List of the {measure} of each {line} of a grid",
            "The {measure} of every {line} of a matrix",
            "Compute the {measure} for each {line} of a grid"),
           ("Collect the results in order", "Return the results as a list"),
           "[{m}]", "results", ".boxed().toList()", "results", list, returns="intlist"),
    _Outer("largest", ("largest", "LINE", "MEASURE"),
           ("Largest {measure} of a {line} of a grid",
            "Greatest {measure} of any {line} of a matrix",
            "Find the largest {measure} of all {line}s"),
           ("Return the largest result", "Take the maximum of the results"),
           "max({m})", "Math.max(...results)", ".max().getAsInt()", f"*max_element({_ALL})", max),
    _Outer("smallest", ("smallest", "LINE", "MEASURE"),
           ("Smallest {measure} of a {line} of a grid",
            "Least {measure} of any {line} of a matrix",
            "Find the smallest {measure} of all {line}s"),
           ("Return the smallest result", "Take the minimum of the results"),
           "min({m})", "Math.min(...results)", ".min().getAsInt()", f"*min_element({_ALL})", min),
    _Outer("index", ("index", "of", "largest", "LINE", "MEASURE"),
           ("Index of the {line} with the largest {measure}",
            "Find which {line} of a matrix has the greatest {measure}",
            "Index of the {line} of a grid whose {measure} is largest"),
           ("Return the index of the largest result , the first one of ties",
            "Take the first index where the result is the maximum"),
           "results.index(max(results))", "results.indexOf(Math.max(...results))", "",
           f"max_element({_ALL}) - results.begin()", lambda items: items.index(max(items))),
    _Outer("spread", ("spread", "of", "LINE", "MEASURE"),
           ("Difference of the largest and smallest {measure} of the {line}s of a grid",
            "Spread of the {measure} over the {line}s of a matrix",
            "Range of the {measure} of all {line}s"),
           ("Subtract the smallest result from the largest",
            "Return the maximum of the results minus the minimum"),
           "max(results) - min(results)", "Math.max(...results) - Math.min(...results)", "",
           f"*max_element({_ALL}) - *min_element({_ALL})", lambda items: max(items) - min(items)),
    _Outer("over", ("LINEs", "with", "MEASURE", "over", "limit"),
           ("Count of {line}s of a grid whose {measure} is above the limit",
            "Number of {line}s with a {measure} greater than the limit",
            "Count the {line}s where the {measure} exceeds the limit"),
           ("Count the results greater than the limit", "Return how many results exceed the limit"),
           "sum({m} > limit)", "results.filter((r) => r > limit).length",
           ".filter(r -> r > limit).count()",
           f"count_if({_ALL}, [&](int r) {{ return r > limit; }})",
           lambda items, limit: len([r for r in items if r > limit]), limited=True),
)  # fmt: skip


def _python(line: str, measure: _Measure, outer: _Outer) -> str:
    value = measure.python.replace("{line}", line)
    lines = "grid" if line == "row" else "zip(*grid)"
    if "{m}" not in outer.python:
        return f"results = [{value} for {line} in {lines}]\nreturn {outer.python}"
    if outer.limited:
        return f"return sum({value} > limit for {line} in {lines})"
    return f"return {outer.python.replace('{m}', f'{value} for {line} in {lines}')}"


def _javascript(line: str, measure: _Measure, outer: _Outer) -> str:
    if line == "row":
        results = f"grid.map((row) => {measure.javascript[0]})"
    else:
        results = f"grid[0].map((_, j) => {measure.javascript[1]})"
    if outer.key == "list":
        return f"return {results};"
    return f"const results = {results};\nreturn {outer.javascript};"


def _java(line: str, measure: _Measure, outer: _Outer) -> str:
    cast = "(int) " if measure.java[0].endswith("count()") else ""
    if line == "row":
        start = "Arrays.stream(grid)"
        step = f"    .mapToInt(row -> {cast}Arrays.stream(row){measure.java[0]})"
    else:
        start = "IntStream.range(0, grid[0].length)"
        step = f"    .map(j -> {cast}Arrays.stream(grid).mapToInt(row -> row[j]){measure.java[1]})"
    if outer.java:
        outer_cast = "(int) " if outer.java.endswith("count()") else ""
        return f"return {outer_cast}{start}\n{step}\n    {outer.java};"
    results = f"int[] results = {start}\n{step}\n    .toArray();\n"
    if outer.key == "spread":
        ends = "Arrays.stream(results).max().getAsInt() - Arrays.stream(results).min().getAsInt()"
        return f"{results}return {ends};"
    return (
        f"{results}int best = 0;\n"
        "for (int i = 1; i < results.length; i++) {\n"
        "    if (results[i] > results[best]) best = i;\n"
        "}\n"
        "return best;"
    )


def _cpp(line: str, measure: _Measure, outer: _Outer) -> str:
    if line == "row":
        loop = f"for (const auto& row : grid) {{\n    results.push_back({measure.cpp_row});\n}}"
    else:
        loop = (
            "for (size_t j = 0; j < grid[0].size(); j++) {\n"
            f"    int result = {measure.cpp_start};\n"
            f"    for (const auto& row : grid) {measure.cpp_step}\n"
            "    results.push_back(result);\n"
            "}"
        )
    return f"vector<int> results;\n{loop}\nreturn {outer.cpp};"


def _task(family: str, line: str, measure: _Measure, outer: _Outer) -> Task:
    def solve(grid: Grid, *limit: int) -> Any:
        columns = [[row[j] for row in grid] for j in range(len(grid[0]))]
        return outer.apply([measure.apply(r) for r in (grid if line == "row" else columns)], *limit)

    words: list[str] = []
    for word in outer.words:
        words.extend(measure.words if word == "MEASURE" else [word.replace("LINE", line)])
    texts = []
    for i in range(3):
        noun = measure.nouns[i % 2]
        compute = ("For each {} compute the {}", "Find the {1} of every {0}")[i % 2]
        step = outer.steps[i % len(outer.steps)]
        title = outer.titles[i].format(line=line, measure=noun)
        texts.append((title, (compute.format(line, noun), step)))
    params = [Param("grid", "grid", min_size=1, max_size=4)]
    if outer.limited:
        params.append(Param("limit", "int", low=measure.limits[0], high=measure.limits[1]))
    return Task(
        family=family,
        slug=f"{outer.key}.{line}.{measure.key}",
        words=tuple(words),
        params=tuple(params),
        returns=outer.returns,
        texts=tuple(texts),
        bodies={
            "python": _python(line, measure, outer),
            "javascript": _javascript(line, measure, outer),
            "java": _java(line, measure, outer),
            "cpp": _cpp(line, measure, outer),
        },
        solve=solve,
    )


def line_tasks(family: str) -> Iterator[Task]:
    for line in ("row", "column"):
        for measure in _MEASURES:
            for outer in _OUTERS:
                # These say the same of rows, of columns and of the grid's single numbers.
                if (outer.key, measure.key) in (("largest", "maximum"), ("smallest", "minimum")):
                    continue
                yield _task(family, line, measure, outer)
