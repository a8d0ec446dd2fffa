"""Reduce the chosen, mapped items of an array to one number: "sum of the even ones squared"."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import INT_MAPS, INT_PREDICATES, IntMap, IntPredicate, c_like

FAMILY = "array_reduce"


@dataclass(frozen=True)
class _Reducer:
    key: str
    word: str
    titles: tuple[str, ...]  # "Sum of {}"
    steps: tuple[str, ...]  # the comment that says how: "add {}"
    start: str
    python: str  # {items} is the generator expression
    javascript: str  # the body of (total, x) => ...; {v} is the mapped item
    statement: str  # the loop's statement in Java and C++
    reduce: Callable[[list[int]], int]


def _product(items: list[int]) -> int:
    result = 1
    for item in items:
        result *= item
    return result


_REDUCERS = (
    _Reducer("sum", "sum", ("Sum of {}", "Add up {}", "Total of {}"),
             ("Add {} to the total", "Keep a running total of {}"),
             "0", "sum({items})", "total + {v}", "total += {v};", sum),
    _Reducer("product", "product", ("Product of {}", "Multiply {} together", "Multiply all of {}"),
             ("Multiply the result by {}", "Start from 1 and multiply by {}"),
             "1", "math.prod({items})", "total * {v}", "total *= {v};", _product),
    _Reducer("largest", "largest", ("Largest of {}", "Maximum of {}", "Find the greatest of {}"),
             ("Keep the larger one of the best and {} , 0 if there is none",
              "Start from 0 and keep the maximum with {}"),
             "0", "max([0, *({items})])", "Math.max(total, {v})", "total = max(total, {v});",
             lambda items: max([0, *items])),
    _Reducer("smallest", "smallest", ("Smallest of {}", "Minimum of {}", "Find the least of {}"),
             ("Keep the smaller one of the best and {} , 100 if there is none",
              "Start from 100 and keep the minimum with {}"),
             "100", "min([100, *({items})])", "Math.min(total, {v})",
             "total = min(total, {v});", lambda items: min([100, *items])),
)  # fmt: skip


def _bodies(reducer: _Reducer, chosen: IntPredicate, mapped: IntMap) -> dict[str, str]:
    item = mapped.code("python", "x")
    items = f"{item} for x in values if {chosen.code('python', 'x')}"
    python = f"return {reducer.python.replace('{items}', items)}"
    condition = chosen.code("javascript", "x")
    value = mapped.code("javascript", "x")
    if reducer.key == "product" and " " in value:
        value = f"({value})"
    step = reducer.javascript.replace("{v}", value)
    javascript = (
        f"return values\n    .filter((x) => {condition})\n"
        f"    .reduce((total, x) => {step}, {reducer.start});"
    )
    loops = {}
    for language in ("java", "cpp"):
        statement = c_like(reducer.statement, language)
        statement = statement.replace("{v}", mapped.code(language, "value"))
        loops[language] = (
            f"int total = {reducer.start};\n"
            "for (int value : values) {\n"
            f"    if ({chosen.code(language, 'value')}) {{\n"
            f"        {statement}\n"
            "    }\n"
            "}\n"
            "return total;"
        )
    return {"python": python, "javascript": javascript, **loops}


def tasks() -> Iterator[Task]:
    for reducer in _REDUCERS:
        for chosen in INT_PREDICATES:
            for mapped in INT_MAPS:
                # Products of cubes leave 32 bits; small values keep the others inside.
                if reducer.key == "product" and mapped.key in ("square", "cube"):
                    continue
                yield _task(reducer, chosen, mapped)


def _task(reducer: _Reducer, chosen: IntPredicate, mapped: IntMap) -> Task:
    def solve(values: list[int]) -> int:
        return reducer.reduce([mapped.apply(v) for v in values if chosen.holds(v)])

    texts = []
    for i in range(3):
        noun = chosen.nouns[i % len(chosen.nouns)]
        phrase = mapped.phrases[i % len(mapped.phrases)]
        title = reducer.titles[i].format(phrase.format(f"the {noun}"))
        step = reducer.steps[i % len(reducer.steps)].format(phrase.format("the value"))
        texts.append((title, (f"Take only the {noun}", step)))
    small = reducer.key == "product"
    values = Param("values", "ints", low=-4 if small else -9, high=13 if small else 20,
                   max_size=4 if small else 7)  # fmt: skip
    return Task(
        family=FAMILY,
        slug=f"{reducer.key}.{chosen.key}.{mapped.key}",
        words=(reducer.word, *chosen.words, *mapped.words),
        params=(values,),
        returns="int",
        texts=tuple(texts),
        bodies=_bodies(reducer, chosen, mapped),
        solve=solve,
    )
