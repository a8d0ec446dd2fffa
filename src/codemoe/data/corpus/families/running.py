"""Prefix results as a list: running sums, extremes, products, counts, and steps between items."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from codemoe.data.corpus.array_vocabulary import (
    MAPS,
    PREDICATES,
    cpp_vector,
    java_list,
    javascript_chain,
)
from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import IntMap, IntPredicate

FAMILY = "running"

_MODULUS = 97
_EVERYTHING = IntPredicate("all", (), ("numbers", "values"), "", "", lambda x: True)
_SELECTIONS = (
    _EVERYTHING,
    *(PREDICATES[key] for key in ("even", "odd", "positive", "negative", "above5", "below10")),
)
_MAPS = tuple(MAPS[key] for key in ("identity", "square", "double", "plusone", "lastdigit"))
_BACKWARD = (" from the right", " from right to left")


@dataclass(frozen=True)
class _Operation:
    key: str
    words: tuple[str, ...]
    titles: tuple[str, str, str]  # {v} is what is taken, "the squares of the even numbers"
    steps: tuple[str, str]  # {m} is the map of "the value"
    apply: Callable[[list[int]], list[int]]


_SUM = _Operation(
    "sum", ("running", "sum"),
    ("Running sum of {v}", "Cumulative sum of {v}", "Sum so far of {v}"),
    ("Add {m} to the total and append the total", "List each total after adding {m}"),
    lambda items: list(accumulate(items)),
)  # fmt: skip
_MAX = _Operation(
    "max", ("running", "max"),
    ("Running maximum of {v}", "Largest so far of {v}", "Cumulative maximum of {v}"),
    ("Append the larger one of the best so far and {m}",
     "Update the best with {m} and append the best"),
    lambda items: list(accumulate(items, max)),
)  # fmt: skip
_MIN = _Operation(
    "min", ("running", "min"),
    ("Running minimum of {v}", "Smallest so far of {v}", "Cumulative minimum of {v}"),
    ("Append the smaller one of the best so far and {m}",
     "Update the best with {m} and append the best"),
    lambda items: list(accumulate(items, min)),
)  # fmt: skip
_PRODUCT = _Operation(
    "product", ("running", "product"),
    (f"Running product mod {_MODULUS} of {{v}}",
     f"Cumulative product mod {_MODULUS} of {{v}}",
     f"Product so far mod {_MODULUS} of {{v}}"),
    (f"Multiply by {{m}} mod {_MODULUS} and append it",
     f"List each product with {{m}} mod {_MODULUS}"),
    lambda items: list(accumulate(items, lambda a, b: a * b % _MODULUS, initial=1))[1:],
)  # fmt: skip
_STEP = _Operation(
    "difference", ("neighbour", "differences"),
    ("Differences of neighbours of {v}", "Steps between neighbours of {v}",
     "Changes between neighbours of {v}"),
    ("Append {m} minus the previous one , nothing for the first",
     "Subtract the one before from {m} , skip the first"),
    lambda items: [b - a for a, b in pairwise(items)],
)  # fmt: skip
_COUNT = _Operation(
    "count", ("running", "count"),
    ("Running count of {v}", "Cumulative count of {v}", "Count so far of {v}"),
    ("Append the count after every value , whether it counts or not",
     "List how many there are up to each of all values"),
    lambda items: items,
)  # fmt: skip


@dataclass(frozen=True)
class _Choice:
    """Which items an operation sees, in which direction."""

    chosen: IntPredicate
    mapped: IntMap
    backward: bool

    @property
    def everything(self) -> bool:
        return self.chosen is _EVERYTHING

    @property
    def untouched(self) -> bool:
        return self.everything and self.mapped.key == "identity"

    def items(self, values: list[int]) -> list[int]:
        ordered = values[::-1] if self.backward else values
        return [self.mapped.apply(v) for v in ordered if self.chosen.holds(v)]


def _python(operation: _Operation, choice: _Choice) -> str:
    source = "reversed(values)" if choice.backward else "values"
    test = choice.chosen.code("python", "x")
    item = choice.mapped.code("python", "x")
    if operation.key == "count":
        return (
            f"count = 0\nresult = []\nfor x in {source}:\n    if {test}:\n        count += 1\n"
            "    result.append(count)\nreturn result"
        )
    if operation.key == "product":
        steps = [f"product = product * {_factor(item)} % {_MODULUS}", "result.append(product)"]
        return (
            f"product = 1\nresult = []\nfor x in {source}:\n"
            f"{_guarded(steps, '' if choice.everything else f'if {test}:', '')}\nreturn result"
        )
    items = f"{item} for x in {source}" + ("" if choice.everything else f" if {test}")
    if operation.key == "difference":
        if choice.untouched:
            pairs = "values[::-1]" if choice.backward else "values"
            return f"return [b - a for a, b in pairwise({pairs})]"
        return f"items = [{items}]\nreturn [b - a for a, b in pairwise(items)]"
    if operation.key == "sum":
        return f"return list(accumulate({source if choice.untouched else items}))"
    items = source if choice.untouched else f"({items})"
    return f"return list(accumulate({items}, {operation.key}))"


def _factor(item: str) -> str:
    """An expression fit to stand in a product."""
    return f"({item})" if " " in item else item


def _guarded(statements: list[str], head: str, tail: str) -> str:
    """Statements of a loop's body, behind the condition `head` if there is one."""
    if not head:
        return "\n".join(f"    {line}" for line in statements)
    lines = [f"    {head}", *(f"        {line}" for line in statements)]
    return "\n".join([*lines, f"    {tail}"] if tail else lines)


def _javascript(operation: _Operation, choice: _Choice) -> str:
    test = choice.chosen.code("javascript", "x")
    item = choice.mapped.code("javascript", "x")
    start = "[...values]" if choice.everything and choice.backward else "values"
    calls = [] if choice.everything else [f".filter((x) => {test})"]
    calls += [".reverse()"] if choice.backward else []
    if operation.key == "count":
        start = "[...values].reverse()" if choice.backward else "values"
        chain = javascript_chain(start, [f".map((x) => ({test} ? ++count : count))"])
        return f"let count = 0;\nreturn {chain};"
    if operation.key == "difference":
        if choice.untouched and not choice.backward:
            return "return values.slice(1).map((x, i) => x - values[i]);"
        calls += [] if choice.mapped.key == "identity" else [f".map((x) => {item})"]
        return (
            f"const items = {javascript_chain(start, calls)};\n"
            "return items.slice(1).map((x, i) => x - items[i]);"
        )
    if operation.key == "product":
        source = "[...values].reverse()" if choice.backward else "values"
        steps = [f"product = (product * {_factor(item)}) % {_MODULUS};", "result.push(product);"]
        body = _guarded(steps, "" if choice.everything else f"if ({test}) {{", "}")
        return (
            f"let product = 1;\nconst result = [];\nfor (const x of {source}) {{\n{body}\n}}\n"
            "return result;"
        )
    name, first, step = {
        "sum": ("total", "0", f"total += {item}"),
        "max": ("best", "-Infinity", f"best = Math.max(best, {item})"),
        "min": ("best", "Infinity", f"best = Math.min(best, {item})"),
    }[operation.key]
    chain = javascript_chain(start, [*calls, f".map((x) => ({step}))"])
    return f"let {name} = {first};\nreturn {chain};"


def _java(operation: _Operation, choice: _Choice) -> str:
    value = "values[i]" if choice.backward else "value"
    head = "for (int value : values) {"
    if choice.backward:
        head = "for (int i = values.length - 1; i >= 0; i--) {"
    test = choice.chosen.code("java", value)
    item = choice.mapped.code("java", value)
    guard = "" if choice.everything else f"if ({test}) {{"
    if operation.key == "difference":
        if choice.untouched:
            if choice.backward:
                return java_list(
                    "for (int i = values.length - 1; i > 0; i--) {\n"
                    "    result.add(values[i - 1] - values[i]);\n}"
                )
            return java_list(
                "for (int i = 1; i < values.length; i++) {\n"
                "    result.add(values[i] - values[i - 1]);\n}"
            )
        fill = f"{head}\n{_guarded([f'items.add({item});'], guard, '}')}\n}}"
        return (
            f"List<Integer> items = new ArrayList<>();\n{fill}\n"
            + java_list(
                "for (int i = 1; i < items.size(); i++) {\n"
                "    result.add(items.get(i) - items.get(i - 1));\n}"
            )
        )  # fmt: skip
    if operation.key == "count":
        lines = f"    {guard}\n        count++;\n    }}\n    result.add(count);"
        return "int count = 0;\n" + java_list(f"{head}\n{lines}\n}}")
    name, first, step = {
        "sum": ("total", "0", f"total += {item};"),
        "max": ("best", "Integer.MIN_VALUE", f"best = Math.max(best, {item});"),
        "min": ("best", "Integer.MAX_VALUE", f"best = Math.min(best, {item});"),
        "product": ("product", "1", f"product = product * {_factor(item)} % {_MODULUS};"),
    }[operation.key]
    body = _guarded([step, f"result.add({name});"], guard, "}")
    return f"int {name} = {first};\n" + java_list(f"{head}\n{body}\n}}")


def _cpp(operation: _Operation, choice: _Choice) -> str:
    head, start = "for (int value : values) {", ""
    if choice.backward:
        head = "for (auto it = values.rbegin(); it != values.rend(); ++it) {"
        start = "    int value = *it;\n"
    test = choice.chosen.code("cpp", "value")
    item = choice.mapped.code("cpp", "value")
    guard = "" if choice.everything else f"if ({test}) {{"

    def loop(steps: list[str]) -> str:
        return f"{head}\n{start}{_guarded(steps, guard, '}')}\n}}"

    if operation.key == "difference":
        subtract = (
            "for (size_t i = 1; i < {n}.size(); i++) {{\n"
            "    result.push_back({n}[i] - {n}[i - 1]);\n}}"
        )
        if choice.untouched and not choice.backward:
            return cpp_vector(subtract.format(n="values"))
        fill = f"vector<int> items;\n{loop([f'items.push_back({item});'])}\n"
        if choice.untouched:
            fill = "vector<int> items(values.rbegin(), values.rend());\n"
        return fill + cpp_vector(subtract.format(n="items"))
    if operation.key == "count":
        lines = f"{start}    {guard}\n        count++;\n    }}\n    result.push_back(count);"
        return "int count = 0;\n" + cpp_vector(f"{head}\n{lines}\n}}")
    if operation.key in ("max", "min"):
        steps = [f"int item = {item};"] if " " in item else []
        item = "item" if steps else item
        best = f"{operation.key}(result.back(), {item})"
        return cpp_vector(loop([*steps, f"result.push_back(result.empty() ? {item} : {best});"]))
    name, first, step = {
        "sum": ("total", "0", f"total += {item};"),
        "product": ("product", "1", f"product = product * {_factor(item)} % {_MODULUS};"),
    }[operation.key]
    return f"int {name} = {first};\n" + cpp_vector(loop([step, f"result.push_back({name});"]))


def tasks() -> Iterator[Task]:
    for i, operation in enumerate((_SUM, _MAX, _MIN, _PRODUCT, _STEP)):
        for j, chosen in enumerate(_SELECTIONS):
            # Remainders of negative numbers differ between languages: no products of them.
            if operation is _PRODUCT and chosen.key == "negative":
                continue
            for k, mapped in enumerate(_MAPS):
                # One more in each item leaves their differences as they are.
                if operation is _STEP and mapped.key == "plusone":
                    continue
                for backward in (False, True):
                    # Mapped items go in one direction only, in turns.
                    if mapped.key == "identity" or (i + j + k + backward) % 2 == 0:
                        yield _task(operation, _Choice(chosen, mapped, backward))
    for chosen in _SELECTIONS[1:]:
        for backward in (False, True):
            yield _task(_COUNT, _Choice(chosen, MAPS["identity"], backward))


def _task(operation: _Operation, choice: _Choice) -> Task:
    chosen, mapped = choice.chosen, choice.mapped

    def solve(values: list[int]) -> list[int]:
        if operation is _COUNT:
            ordered = values[::-1] if choice.backward else values
            return list(accumulate(int(chosen.holds(v)) for v in ordered))
        return operation.apply(choice.items(values))

    low = 0 if operation is _PRODUCT else -9
    direction = ("backward",) if choice.backward else ()
    return Task(
        family=FAMILY,
        slug=f"{operation.key}.{chosen.key}.{mapped.key}.{'right' if choice.backward else 'left'}",
        words=(*operation.words, *chosen.words, *mapped.words, *direction),
        params=(Param("values", "ints", low=low, max_size=8),),
        returns="intlist",
        texts=_texts(operation, choice),
        bodies={
            "python": _python(operation, choice),
            "javascript": _javascript(operation, choice),
            "java": _java(operation, choice),
            "cpp": _cpp(operation, choice),
        },
        solve=solve,
    )


def _texts(operation: _Operation, choice: _Choice) -> tuple[tuple[str, tuple[str, ...]], ...]:
    texts = []
    for i in range(3):
        noun = choice.chosen.nouns[i % 2]
        phrase = choice.mapped.phrases[i % len(choice.mapped.phrases)]
        title = operation.titles[i].format(v=phrase.format(f"the {noun}"))
        if choice.backward:
            title += _BACKWARD[i % 2]
        taken = "Go from right to left" if choice.backward else "Go from left to right"
        if operation is not _COUNT and not choice.everything:
            taken += " and skip the others"
        step = operation.steps[i % 2].format(m=phrase.format("it"))
        texts.append((title, (taken, step)))
    return tuple(texts)
