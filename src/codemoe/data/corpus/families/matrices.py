"""Grids: a region's chosen cells reduced to a number or a list, and results of rows or columns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from codemoe.data.corpus.grid_lines import line_tasks
from codemoe.data.corpus.grid_vocabulary import REGIONS, Grid, Loop, Region, cells_of
from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import INT_PREDICATES, IntPredicate, c_like

FAMILY = "matrices"

_ANY = IntPredicate("any", ("all",), ("numbers", "values"), "", "", lambda x: True)
_PREDICATES = (
    _ANY,
    *(p for p in INT_PREDICATES if p.key in ("even", "odd", "multiple3", "above10", "below5")),
)


@dataclass(frozen=True)
class _Aggregate:
    key: str
    word: str
    returns: str
    titles: tuple[str, ...]  # "Sum of the {}"
    steps: tuple[str, ...]
    python: tuple[str, str]  # around the comprehension
    javascript: str  # {items} is an array
    start: str  # the first line in Java; `{cpp_start}` replaces it in C++
    cpp_start: str
    java: str  # the loop's statement, {v} is the cell
    cpp: str
    result: str
    reduce: Callable[[list[int]], Any]


_AGGREGATES = (
    _Aggregate("sum", "sum", "int", ("Sum of the {}", "Add up the {}", "Total of the {}"),
               ("Add them to the total", "Keep a running total of them"),
               ("sum(", ")"), "{items}.reduce((total, x) => total + x, 0)",
               "int total = 0;", "int total = 0;", "total += {v};", "total += {v};", "total", sum),
    _Aggregate("count", "count", "int",
               ("Count of the {}", "Count the {}", "Number of {}"),
               ("Count one for each of them", "Increase the count at each one"),
               ("sum(", ")"), "{items}.length",
               "int count = 0;", "int count = 0;", "count++;", "count++;", "count", len),
    _Aggregate("largest", "largest", "int",
               ("Largest of the {}", "Maximum of the {}", "Greatest of the {}"),
               ("Keep the largest of them , 0 if there is none",
                "Start from 0 and keep the maximum"),
               ("max((", "), default=0)"), "Math.max(0, ...{items})",
               "int best = 0;", "int best = 0;", "best = Math.max(best, {v});",
               "best = max(best, {v});", "best", lambda items: max(items, default=0)),
    _Aggregate("list", "list", "intlist",
               ("List of the {}", "Collect the {}", "Find all {}"),
               ("Append them to a list row by row", "Collect them in the order of rows"),
               ("[", "]"), "{items}",
               "List<Integer> items = new ArrayList<>();", "vector<int> items;",
               "items.add({v});", "items.push_back({v});", "items", list),
)  # fmt: skip


def _python(region: Region, chosen: IntPredicate, aggregate: _Aggregate) -> str:
    loop = region.python
    plain = chosen is _ANY
    condition = "" if plain else chosen.code("python", loop.cell)
    if loop.where:
        where = loop.where if plain else f"({loop.where})"
        condition = where if plain else f"{where} and {condition}"
    head, tail = aggregate.python
    if plain and not loop.where and len(loop.heads) == 1 and loop.cell == "x":
        # A whole row needs no comprehension.
        row = loop.heads[0].removeprefix("for x in ")
        whole = {"sum": f"sum({row})", "largest": f"max({row})", "list": f"list({row})"}
        return f"return {whole[aggregate.key]}"
    item = "1" if aggregate.key == "count" else loop.cell
    parts = [item, *loop.heads, *([f"if {condition}"] if condition else [])]
    line = f"return {head}{' '.join(parts)}{tail}"
    if len(line) <= 88:
        return line
    inner = "\n".join(f"    {part}" for part in parts)
    if aggregate.key == "largest":
        return f"cells = [\n{inner}\n]\nreturn max(cells, default=0)"
    return f"return {head}\n{inner}\n{tail}"


def _javascript(region: Region, chosen: IntPredicate, aggregate: _Aggregate) -> str:
    cells = region.javascript
    kept = "" if chosen is _ANY else f".filter((x) => {chosen.code('javascript', 'x')})"
    line = f"return {aggregate.javascript.replace('{items}', cells + kept)};"
    if len(line) <= 84 and "\n" not in line:
        # The caller must not share the grid's own row.
        copied = aggregate.key == "list" and not kept and cells.startswith("grid[")
        return f"return [...{cells}];" if copied else line
    if aggregate.key == "list" and not kept:
        return line
    result = aggregate.javascript.replace("{items}", f"cells{kept}")
    return f"const cells = {cells};\nreturn {result};"


def _nested(lines: tuple[str, ...] | list[str], inner: list[str], depth: int = 0) -> list[str]:
    """`inner` inside the blocks that `lines` open, closed again."""
    if not lines:
        return ["    " * depth + text for text in inner]
    pad = "    " * depth
    return [pad + lines[0], *_nested(lines[1:], inner, depth + 1), pad + "}"]


def _loops(loop: Loop, chosen: IntPredicate, aggregate: _Aggregate, language: str) -> str:
    """The body in Java or C++."""
    if language == "cpp" and aggregate.key == "list" and chosen is _ANY:
        # A vector that is a row already is copied whole.
        head = loop.heads[0]
        if head.startswith("for (int x : "):
            row = head.removeprefix("for (int x : ").removesuffix(") {")
            return f"return {row};"
    conditions = []
    before = []
    cell = loop.cell
    if loop.where:
        kind = "boolean" if language == "java" else "bool"
        if chosen is _ANY:
            conditions.append(loop.where)
        else:
            before.append(f"{kind} edge = {loop.where};")
            conditions.append("edge")
    if chosen is not _ANY:
        if cell != "x":
            before.append(f"int x = {cell};")
            cell = "x"
        conditions.append(chosen.code(language, "x"))
    statement = (aggregate.java if language == "java" else aggregate.cpp).replace("{v}", cell)
    inner = [*before, statement]
    if conditions:
        test = c_like(" && ".join(conditions), language)
        inner = [*before, f"if ({test}) {{", f"    {statement}", "}"]
    start = aggregate.start if language == "java" else aggregate.cpp_start
    return "\n".join([start, *_nested(loop.heads, inner), f"return {aggregate.result};"])


def _texts(
    region: Region, chosen: IntPredicate, aggregate: _Aggregate
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    texts = []
    for i, surface in enumerate(("grid", "matrix", "grid")):
        # Starting from 0 is right for a maximum only where no number is below zero.
        kind = f"square {surface}" if region.square else surface
        if aggregate.key == "largest":
            kind = f"non negative {kind}"
        noun = chosen.nouns[i % len(chosen.nouns)]
        place = region.phrases[(0, 1, 1)[i]]
        title = f"{aggregate.titles[i].format(noun)} {place} of a {kind}"
        texts.append((title, (region.steps[(0, 1, 1)[i]], aggregate.steps[i % 2])))
    return tuple(texts)


def _task(region: Region, chosen: IntPredicate, aggregate: _Aggregate) -> Task:
    def solve(grid: Grid) -> Any:
        return aggregate.reduce([x for x in cells_of(region, grid) if chosen.holds(x)])

    low = 0 if aggregate.key == "largest" else -9
    return Task(
        family=FAMILY,
        slug=f"{aggregate.key}.{region.key}.{chosen.key}",
        words=(aggregate.word, *chosen.words, *region.words),
        params=(Param("grid", "grid", low=low, min_size=1, max_size=5, square=region.square),),
        returns=aggregate.returns,
        texts=_texts(region, chosen, aggregate),
        bodies={
            "python": _python(region, chosen, aggregate),
            "javascript": _javascript(region, chosen, aggregate),
            "java": _loops(region.java, chosen, aggregate, "java"),
            "cpp": _loops(region.cpp, chosen, aggregate, "cpp"),
        },
        solve=solve,
    )


def tasks() -> Iterator[Task]:
    for a, aggregate in enumerate(_AGGREGATES):
        for r, region in enumerate(REGIONS):
            for p, chosen in enumerate(_PREDICATES):
                # A regular third of the product is left out to keep the family's size in bounds.
                if (a + r + p) % 3 == 0 or (chosen is _ANY and aggregate.key == "count"):
                    continue
                yield _task(region, chosen, aggregate)
    yield from line_tasks(FAMILY)
