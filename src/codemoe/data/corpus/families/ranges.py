"""Chosen and mapped numbers from 1 to n: as a list, a text, a sum, an alternating sum, a count."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.sequence_vocabulary import (
    COUNTING_LOOP,
    append,
    block,
    branch,
    declare,
    new_list,
    plus_one,
)
from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import c_like

FAMILY = "ranges"


@dataclass(frozen=True)
class _Choice:
    """Which i from 1 to n are taken."""

    key: str
    words: tuple[str, ...]
    nouns: tuple[str, str]
    python: str
    c_like: str
    holds: Callable[[int, int], bool]  # of i and n
    step: int = 0  # where the numbers are an arithmetic sequence: its distance and first number
    first: int = 0


def _pair_choices(p: int, q: int, names: tuple[str, str]) -> list[_Choice]:
    """Numbers by their divisibility by p and q."""
    one, two = names
    return [
        _Choice(f"{p}or{q}", ("multiples", one, "or", two),
                (f"multiples of {p} or {q}", f"numbers divisible by {p} or {q}"),
                f"i % {p} == 0 or i % {q} == 0", f"i % {p} == 0 || i % {q} == 0",
                lambda i, n: i % p == 0 or i % q == 0),
        _Choice(f"{p}and{q}", ("multiples", one, "and", two),
                (f"multiples of {p} and {q}", f"numbers divisible by {p} and {q}"),
                f"i % {p} == 0 and i % {q} == 0", f"i % {p} == 0 && i % {q} == 0",
                lambda i, n: i % p == 0 and i % q == 0),
        _Choice(f"{p}not{q}", ("multiples", one, "not", two),
                (f"multiples of {p} but not of {q}", f"numbers divisible by {p} but not by {q}"),
                f"i % {p} == 0 and i % {q} != 0", f"i % {p} == 0 && i % {q} != 0",
                lambda i, n: i % p == 0 and i % q != 0),
    ]  # fmt: skip


_CHOICES = (
    _Choice("even", ("even",), ("even numbers", "even values"),
            "i % 2 == 0", "i % 2 == 0", lambda i, n: i % 2 == 0, 2, 2),
    _Choice("odd", ("odd",), ("odd numbers", "odd values"),
            "i % 2 == 1", "i % 2 == 1", lambda i, n: i % 2 == 1, 2, 1),
    _Choice("multiple3", ("multiples", "of", "three"),
            ("multiples of 3", "numbers divisible by 3"),
            "i % 3 == 0", "i % 3 == 0", lambda i, n: i % 3 == 0, 3, 3),
    _Choice("not3", ("not", "multiples", "of", "three"),
            ("numbers not divisible by 3", "values that 3 does not divide"),
            "i % 3 != 0", "i % 3 != 0", lambda i, n: i % 3 != 0),
    _Choice("divisor", ("divisors",), ("divisors of n", "numbers that divide n"),
            "n % i == 0", "n % i == 0", lambda i, n: n % i == 0),
    *_pair_choices(2, 3, ("two", "three")),
    *_pair_choices(2, 5, ("two", "five")),
    *_pair_choices(3, 5, ("three", "five")),
)  # fmt: skip


@dataclass(frozen=True)
class _Map:
    key: str
    words: tuple[str, ...]
    plurals: tuple[str, str]  # {} is "even numbers"
    singulars: tuple[str, str]  # said of the number i
    code: str
    apply: Callable[[int, int], int]  # of i and n


_MAPS = (
    _Map("identity", (), ("{}", "{}"), ("it", "the number"), "i", lambda i, n: i),
    _Map("square", ("squares",), ("squares of {}", "squared {}"), ("its square", "it squared"),
         "i * i", lambda i, n: i * i),
    _Map("double", ("doubles",), ("doubles of {}", "doubled {}"),
         ("its double", "twice the number"), "2 * i", lambda i, n: 2 * i),
    _Map("distance", ("distances",), ("distances to n of {}", "distances from n of {}"),
         ("n minus it", "n minus the number"), "n - i", lambda i, n: n - i),
)  # fmt: skip


@dataclass(frozen=True)
class _Result:
    key: str
    words: tuple[str, ...]
    returns: str
    titles: tuple[str, str, str]  # {} is plural
    steps: tuple[str, str]  # {} is singular
    separator: str = ""


_RESULTS = (
    _Result("list", ("list",), "intlist", ("List of the {}", "Collect the {}", "All of the {}"),
            ("Append {} to the result", "Add {} to the list in order")),
    _Result("sum", ("sum",), "int", ("Sum of the {}", "Add up the {}", "Total of the {}"),
            ("Add {} to the total", "Keep a running total of {}")),
    _Result("alternating", ("alternating", "sum"), "int",
            ("Alternating sum of the {}", "Add and subtract in turn the {}",
             "Sum with changing signs of the {}"),
            ("Add {} with the signs plus and minus in turn",
             "Start with plus and flip the sign after {}")),
    _Result("comma", ("commas",), "str",
            ("Text of the {} joined by commas", "Join by commas the {}",
             "Comma separated string of the {}"),
            ("Write {} after a comma", "Put a comma between and add {} to the text"), ","),
    _Result("dash", ("dashes",), "str",
            ("Text of the {} joined by dashes", "Join by dashes the {}",
             "Dash separated string of the {}"),
            ("Write {} after a dash", "Put a dash between and add {} to the text"), "-"),
    _Result("count", ("count",), "int",
            ("Count of the {}", "Count the {}", "Number of the {}"),
            ("Add one to the count", "Increase the count")),
)  # fmt: skip


def _python_items(choice: _Choice, mapped: _Map) -> str:
    """The comprehension without its brackets; a bare range comes as "range(...)"."""
    if not choice.step:
        return f"{mapped.code} for i in range(1, n + 1) if {choice.python}"
    numbers = f"range({choice.first}, n + 1, {choice.step})"
    return numbers if mapped.key == "identity" else f"{mapped.code} for i in {numbers}"


def _python_range(choice: _Choice, mapped: _Map, result: _Result) -> str:
    items = _python_items(choice, mapped)
    if result.key == "count":
        return f"return sum(1 for i in range(1, n + 1) if {choice.python})"
    if result.separator:
        call = items.replace(f"{mapped.code} for", f"str({mapped.code}) for", 1)
        text = f"map(str, {items})" if items.startswith("range") else call
        return f'return "{result.separator}".join({text})'
    if result.key == "sum":
        return f"return sum({items})"
    listed = f"list({items})" if items.startswith("range") else f"[{items}]"
    if result.key == "list":
        return f"return {listed}"
    return f"items = {listed}\nreturn sum(items[::2]) - sum(items[1::2])"


def _chain_or_loop(language: str, choice: _Choice, mapped: _Map, result: _Result) -> str:
    condition = c_like(choice.c_like, language)
    if language == "javascript" and (result.separator or result.key in ("list", "alternating")):
        lines = ["return Array.from({ length: n }, (_, k) => k + 1)",
                 f"    .filter((i) => {condition})"]  # fmt: skip
        if mapped.key != "identity":
            lines.append(f"    .map((i) => {mapped.code})")
        if result.separator:
            lines.append(f'    .join("{result.separator}")')
        if result.key == "alternating":
            lines.append("    .reduce((total, x, k) => (k % 2 === 0 ? total + x : total - x), 0)")
        return "\n".join(lines) + ";"
    if language == "java" and (result.separator or result.key == "count"):
        cast = "(int) " if result.key == "count" else ""
        lines = [f"return {cast}IntStream.rangeClosed(1, n)", f"    .filter(i -> {condition})"]
        if mapped.key != "identity":
            lines.append(f"    .map(i -> {mapped.code})")
        if result.separator:
            lines.append("    .mapToObj(String::valueOf)")
            lines.append(f'    .collect(Collectors.joining("{result.separator}"));')
        else:
            lines.append("    .count();")
        return "\n".join(lines)
    return _loop(language, choice, mapped, result)


def _loop(language: str, choice: _Choice, mapped: _Map, result: _Result) -> str:
    condition = c_like(choice.c_like, language)
    if result.separator:  # C++
        name, start = "text", ["string text;"]
        step = [f'text += (text.empty() ? "" : "{result.separator}") + to_string({mapped.code});']
    elif result.key == "alternating":
        name, start = "total", [declare(language, "total", "0"), declare(language, "sign", "1")]
        value = mapped.code if mapped.key != "distance" else f"({mapped.code})"
        step = [f"total += sign * {value};", "sign = -sign;"]
    elif result.key == "list":
        name, start = "result", [new_list(language, "result")]
        step = [append(language, "result", mapped.code)]
    elif result.key == "count":
        name, start = "count", [declare(language, "count", "0")]
        step = [plus_one(language, "count")]
    else:
        name, start = "total", [declare(language, "total", "0")]
        step = [f"total += {mapped.code};"]
    head = COUNTING_LOOP[language]
    if choice.step:
        head = head.replace("i = 1;", f"i = {choice.first};").replace("i++", f"i += {choice.step}")
    else:
        step = branch(language, condition, step)
    return "\n".join([*start, *block(language, head, step), f"return {name};"])


def _range_task(result: _Result, choice: _Choice, mapped: _Map) -> Task:
    def solve(n: int) -> int | str | list[int]:
        items = [mapped.apply(i, n) for i in range(1, n + 1) if choice.holds(i, n)]
        if result.key == "list":
            return items
        if result.separator:
            return result.separator.join(str(item) for item in items)
        if result.key == "count":
            return len(items)
        signs = (1, -1) if result.key == "alternating" else (1, 1)
        return sum(signs[k % 2] * item for k, item in enumerate(items))

    texts = []
    for i in range(3):
        noun = choice.nouns[i % 2] + ("" if "of n" in choice.nouns[i % 2] else " from 1 to n")
        title = result.titles[i].format(mapped.plurals[i % 2].format(noun))
        comment = f"Take only the {choice.nouns[(i + 1) % 2]}"
        texts.append((title, (comment, result.steps[i % 2].format(mapped.singulars[i % 2]))))
    bodies = {"python": _python_range(choice, mapped, result)}
    for language in ("java", "javascript", "cpp"):
        bodies[language] = _chain_or_loop(language, choice, mapped, result)
    return Task(
        family=FAMILY,
        slug=f"numbers.{result.key}.{choice.key}.{mapped.key}",
        words=(*result.words, *mapped.words, *choice.words),
        params=(Param("n", "int", low=0, high=99),),
        returns=result.returns,
        texts=tuple(texts),
        bodies=bodies,
        solve=solve,
    )


def tasks() -> Iterator[Task]:
    for r, result in enumerate(_RESULTS):
        for c, choice in enumerate(_CHOICES):
            if result.key == "count":
                # How many there are does not depend on what becomes of them.
                if not choice.step:
                    yield _range_task(result, choice, _MAPS[0])
                continue
            for m, mapped in enumerate(_MAPS):
                # Every other combination of the three.
                if (r + c + m) % 2 == 0:
                    yield _range_task(result, choice, mapped)
