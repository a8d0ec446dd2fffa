"""Reduce the digits of a positive number: "sum of the squares of the even digits of n"."""

from collections.abc import Iterator
from textwrap import indent

from codemoe.data.corpus.number_vocabulary import (
    AGGREGATES,
    CHANGES,
    CONDITIONS,
    Aggregate,
    Change,
    Condition,
    suffix_if,
    when,
)
from codemoe.data.corpus.task import Param, Task

FAMILY = "digits"

_CONDITIONS = tuple(
    CONDITIONS[key]
    for key in ("all", "even", "odd", "primedigit", "nonzero", "multiple3", "notmultiple3",
                "below5", "above1", "between2and7")
)  # fmt: skip
_CHANGES = tuple(CHANGES[k] for k in ("identity", "square", "double", "increment", "complement"))


def _from_digits(digits: list[int]) -> int:
    return int("".join(map(str, reversed(digits))) or "0")


_REVERSED = Aggregate(
    "reverse",
    ("Number formed by {} in reverse", "Reverse {}", "Reversed number of {}"),
    ("Append {} to the result from right to left", "Put {} behind the result from the right"),
    (" , 0 if there is none", " , 0 if nothing is found"),
    _from_digits,
)
_FULL = tuple(AGGREGATES[k] for k in ("sum", "product", "largest", "smallest", "list"))
_AGGREGATES = (*_FULL, AGGREGATES["count"], _REVERSED)

# The loop's statement in Java and C++, with its variable and start; {v} is the changed digit.
_LOOPS = {
    "sum": ("total", "0", "total += {v};"),
    "product": ("result", "1", "result *= {v};"),
    "count": ("count", "0", "count++;"),
    "largest": ("best", "-1", "best = max(best, {v});"),
    "smallest": ("best", "-1", "best = best == -1 ? {v} : min(best, {v});"),
    "reverse": ("result", "0", "result = 10 * result + {v};"),
}


def _python(how: Aggregate, chosen: Condition, change: Change) -> str:
    value, condition = change.of("d"), chosen.code("python", "d")
    if how.key == "reverse":
        step = f"result = 10 * result + {'(9 - d)' if change.key == 'complement' else 'd'}"
        step = f"if {condition}:\n    {step}" if condition else step
        loop = "while n > 0:\n    n, d = divmod(n, 10)\n" + indent(step, "    ")
        return f"result = 0\n{loop}\nreturn result"
    if how.key == "count":
        if not condition:
            return "return len(str(n))"
        return f"return sum(1 for d in map(int, str(n)) if {condition})"
    items = f"{value} for d in map(int, str(n)){suffix_if(condition)}"
    if value == "d" and not condition:
        items = "map(int, str(n))"
    if how.key == "list":
        return f"return [{items}]" if " for " in items else "return [int(d) for d in str(n)]"
    if how.key in ("largest", "smallest"):
        name = "max" if how.key == "largest" else "min"
        return f"return {name}(({items}), default=-1)" if condition else f"return {name}({items})"
    return f"return {'sum' if how.key == 'sum' else 'math.prod'}({items})"


def _javascript(how: Aggregate, chosen: Condition, change: Change) -> str:
    condition = chosen.code("javascript", "d")
    if chosen.key == "primedigit":
        condition = "[2, 3, 5, 7].includes(d)"
    if how.key == "reverse":
        step = f"result = 10 * result + {'(9 - d)' if change.key == 'complement' else 'd'};"
        loop = f"const d = n % 10;\n{when(condition, step)}\nn = Math.floor(n / 10);"
        return "let result = 0;\nwhile (n > 0) {\n" + indent(loop, "    ") + "\n}\nreturn result;"
    links = ["[...String(n)]", ".map(Number)"]
    if condition:
        links.append(f".filter((d) => {condition})")
    if change.key != "identity":
        links.append(f".map((d) => {change.of('d')})")
    if how.key in ("largest", "smallest"):
        found = f"const found = {_chain(links)};"
        name = "Math.max" if how.key == "largest" else "Math.min"
        best = f"{name}(...found)"
        return f"{found}\nreturn {f'found.length > 0 ? {best} : -1' if condition else best};"
    if how.key == "count":
        links = [*links, ".length"] if condition else ["String(n).length"]
    elif how.key != "list":
        total = "(total, d) => total + d, 0" if how.key == "sum" else "(result, d) => result * d, 1"
        links.append(f".reduce({total})")
    return f"return {_chain(links)};"


def _chain(links: list[str]) -> str:
    """Calls on one line where they fit, else one a line."""
    line = "".join(links)
    return line if len(line) <= 64 else "\n    ".join(links)


def _java(how: Aggregate, chosen: Condition, change: Change) -> str:
    if how.key == "list":
        step = when(chosen.code("java", "digit"), f"result.add({change.of('digit')});")
        return (
            "List<Integer> result = new ArrayList<>();\n"
            "for (char c : String.valueOf(n).toCharArray()) {\n"
            f"    int digit = c - '0';\n{indent(step, '    ')}\n}}\nreturn result;"
        )
    if how.key in ("largest", "smallest"):
        links = ["String.valueOf(n).chars()", ".map(c -> c - '0')"]
        if chosen.key != "all":
            links.append(f".filter(d -> {chosen.code('java', 'd')})")
        if change.key != "identity":
            links.append(f".map(d -> {change.of('d')})")
        end = ".max()" if how.key == "largest" else ".min()"
        links.append(f"{end}.{'getAsInt()' if chosen.key == 'all' else 'orElse(-1)'}")
        return "return " + "\n    ".join(links) + ";"
    return _while_loop(how, chosen, change, "java")


def _cpp(how: Aggregate, chosen: Condition, change: Change) -> str:
    if how.key == "list":
        step = when(chosen.code("cpp", "digit"), f"result.push_back({change.of('digit')});")
        return (
            "vector<int> result;\n"
            "for (char c : to_string(n)) {\n"
            f"    int digit = c - '0';\n{indent(step, '    ')}\n}}\nreturn result;"
        )
    return _while_loop(how, chosen, change, "cpp")


def _while_loop(how: Aggregate, chosen: Condition, change: Change, language: str) -> str:
    name, start, statement = _LOOPS[how.key]
    value = change.of("digit")
    if how.key == "reverse" and " " in value:
        value = f"({value})"
    condition = chosen.code(language, "digit")
    if how.key == "count" and not condition:
        lines = "count++;\nn /= 10;"
    else:
        step = when(condition, statement.replace("{v}", value))
        lines = f"int digit = n % 10;\n{step}\nn /= 10;"
    return f"int {name} = {start};\nwhile (n > 0) {{\n{indent(lines, '    ')}\n}}\nreturn {name};"


def tasks() -> Iterator[Task]:
    for k, how in enumerate(_AGGREGATES):
        for i, chosen in enumerate(_CONDITIONS):
            for j, change in enumerate(_CHANGES):
                # A count sees no change; only a changed digit that is a digit can be put in a row.
                if how.key == "count" and change.key != "identity":
                    continue
                if how.key == "reverse" and change.key not in ("identity", "complement"):
                    continue
                if how in _FULL and (i + j + k) % 3 == 0:
                    continue
                yield _task(how, chosen, change)


def _task(how: Aggregate, chosen: Condition, change: Change) -> Task:
    def solve(n: int) -> object:
        return how.reduce([change.apply(d) for d in map(int, str(n)) if chosen.holds(d)])

    texts = []
    for i in range(3):
        plural = change.plurals[i % len(change.plurals)]
        single = change.singles[i % len(change.singles)].format("digit")
        title = how.titles[i].format(plural.format(f"the {chosen.phrase('digits of n', i)}"))
        step = how.steps[i % 2].format(single)
        if how.key == "list":
            step += " from left to right"
        if chosen.key != "all":
            step += how.none[i % 2]
        take = ("Take the {}", "Look at the {}", "Go through the {}")[i]
        texts.append((title, (take.format(chosen.phrase("digits", i + 1)), step)))
    noun = "digit" if how.key in ("largest", "smallest") else "digits"
    # Digits are counted in strings as well, by another family.
    end = ("of", "n") if how.key == "count" else ()
    # Products of five squares leave 32 bits.
    high = 9999 if how.key == "product" else 99999
    return Task(
        family=FAMILY,
        slug=f"{how.key}.{chosen.key}.{change.key}",
        words=(how.key, *change.words, *chosen.words(noun), *end),
        params=(Param("n", "int", low=1, high=high),),
        returns="intlist" if how.key == "list" else "int",
        texts=tuple(texts),
        bodies={
            "python": _python(how, chosen, change),
            "java": _java(how, chosen, change),
            "javascript": _javascript(how, chosen, change),
            "cpp": _cpp(how, chosen, change),
        },
        solve=solve,
    )
