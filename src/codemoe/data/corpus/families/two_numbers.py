"""Functions of two numbers: ranges from a to b reduced, and pairs of gcd, lcm, maximum, sum."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import gcd, lcm
from textwrap import indent

from codemoe.data.corpus.number_vocabulary import (
    AGGREGATES,
    CHANGES,
    CONDITIONS,
    GCD_HELPER,
    Aggregate,
    Change,
    Condition,
    suffix_if,
    when,
)
from codemoe.data.corpus.task import Param, Task

FAMILY = "two_numbers"

_CONDITIONS = tuple(
    CONDITIONS[key]
    for key in (
        "all",
        "even",
        "odd",
        "multiple3",
        "multiple4",
        "notmultiple3",
        "onemod4",
        "above10",
    )
)
_CHANGES = tuple(CHANGES[k] for k in ("identity", "square", "double", "increment", "lastdigit"))
_AGGREGATES = tuple(AGGREGATES.values())


@dataclass(frozen=True)
class _Span:
    """Which of its ends a range has."""

    key: str
    words: tuple[str, ...]  # in the function's name
    titles: tuple[str, str]  # "{} from a to b", {} is "the even numbers"
    steps: tuple[str, str]
    python: str
    java: str
    head: str  # of the loop in JavaScript and C++
    numbers: Callable[[int, int], range]


_SPANS = (
    _Span("inclusive", ("inclusive",), ("{} from a to b", "{} from a to b inclusive"),
          ("Loop from a to b inclusive over {}", "Visit {} with both a and b"),
          "range(a, b + 1)", "IntStream.rangeClosed(a, b)", "i = a; i <= b; i++",
          lambda a, b: range(a, b + 1)),
    _Span("half", ("half", "open"), ("{} from a up to b", "{} from a to b excluding b"),
          ("Loop from a while less than b over {}", "Visit {} with a but without b"),
          "range(a, b)", "IntStream.range(a, b)", "i = a; i < b; i++", range),
    _Span("exclusive", ("exclusive",), ("{} strictly between a and b", "{} after a and before b"),
          ("Loop from a + 1 while less than b over {}", "Visit {} without a and b"),
          "range(a + 1, b)", "IntStream.range(a + 1, b)", "i = a + 1; i < b; i++",
          lambda a, b: range(a + 1, b)),
)  # fmt: skip

# The loop's variable, start and statement in JavaScript and C++; {v} is the changed number.
_LOOPS = {
    "sum": ("total", "0", "total += {v};"),
    "product": ("result", "1", "result *= {v};"),
    "count": ("count", "0", "count++;"),
    "largest": ("best", "-1", "best = max(best, {v});"),
    "smallest": ("best", "-1", "best = best == -1 ? {v} : min(best, {v});"),
}


def _python(span: _Span, how: Aggregate, chosen: Condition, change: Change) -> str:
    items = f"{change.of('x')} for x in {span.python}{suffix_if(chosen.code('python', 'x'))}"
    plain = change.key == "identity" and chosen.key == "all"
    if how.key == "list":
        return f"return list({span.python})" if plain else f"return [{items}]"
    if how.key == "count":
        return f"return len({span.python})" if plain else f"return sum(1{items[1:]})"
    name = {"sum": "sum", "product": "math.prod", "largest": "max", "smallest": "min"}[how.key]
    if how.key in ("largest", "smallest"):
        return f"return {name}({span.python if plain else f'({items})'}, default=-1)"
    return f"return {name}({span.python if plain else items})"


def _java(span: _Span, how: Aggregate, chosen: Condition, change: Change) -> str:
    links = [span.java]
    if chosen.key != "all":
        links.append(f".filter(x -> {chosen.code('java', 'x')})")
    if change.key != "identity":
        links.append(f".map(x -> {change.of('x')})")
    end = {
        "sum": ".sum()",
        "product": ".reduce(1, (x, y) -> x * y)",
        "count": ".count()",
        "largest": ".max().orElse(-1)",
        "smallest": ".min().orElse(-1)",
        "list": ".boxed().collect(Collectors.toList())",
    }[how.key]
    line = "".join([*links, end])
    cast = "(int) " if how.key == "count" else ""
    return f"return {cast}{line if len(line) <= 64 else (chr(10) + '    ').join([*links, end])};"


def _loop(span: _Span, how: Aggregate, chosen: Condition, change: Change, language: str) -> str:
    value = change.of("i")
    if how.key == "list":
        name = "result"
        start = "const result = [];" if language == "javascript" else "vector<int> result;"
        call = "push" if language == "javascript" else "push_back"
        statement = f"result.{call}({value});"
    else:
        name, zero, statement = _LOOPS[how.key]
        start = f"{'let' if language == 'javascript' else 'int'} {name} = {zero};"
        statement = statement.replace("{v}", value)
    if language == "javascript":
        statement = statement.replace("max(", "Math.max(").replace("min(", "Math.min(")
        statement = statement.replace("==", "===")
    step = when(chosen.code(language, "i"), statement)
    head = f"for ({'let' if language == 'javascript' else 'int'} {span.head})"
    return f"{start}\n{head} {{\n{indent(step, '    ')}\n}}\nreturn {name};"


def _domain(how: Aggregate, chosen: Condition) -> tuple[tuple[int, int], tuple[int, int]]:
    """The least and greatest a, and b; products stay inside 32 bits."""
    if how.key != "product":
        return (0, 20), (10, 50)
    if chosen.key == "all":
        return (4, 8), (6, 12)
    if chosen.key in ("even", "odd", "notmultiple3"):
        return (1, 6), (5, 14)
    return (1, 8), (8, 20)


def _range_task(span: _Span, how: Aggregate, chosen: Condition, change: Change) -> Task:
    def solve(a: int, b: int) -> object:
        return how.reduce([change.apply(x) for x in span.numbers(a, b) if chosen.holds(x)])

    texts = []
    for i in range(3):
        noun = span.titles[i % 2].format(f"the {chosen.phrase('numbers', i)}")
        title = how.titles[i].format(change.plurals[i % 2 % len(change.plurals)].format(noun))
        noun = chosen.phrase("numbers", i + 1)
        first = span.steps[i % 2].format(f"the {noun}")
        single = change.singles[i % 2 % len(change.singles)].format("number")
        texts.append((title, (first, how.steps[i % 2].format(single) + how.none[i % 2])))
    (a_low, a_high), (b_low, b_high) = _domain(how, chosen)
    noun_words = ("numbers",) if chosen.key == "all" else ()
    return Task(
        family=FAMILY,
        slug=f"{how.key}.{chosen.key}.{change.key}.{span.key}",
        words=(how.key, *change.words, *chosen.words(*noun_words), *span.words),
        params=(
            Param("a", "int", low=a_low, high=a_high),
            Param("b", "int", low=b_low, high=b_high),
        ),
        returns="intlist" if how.key == "list" else "int",
        texts=tuple(texts),
        bodies={
            "python": _python(span, how, chosen, change),
            "java": _java(span, how, chosen, change),
            "javascript": _loop(span, how, chosen, change, "javascript"),
            "cpp": _loop(span, how, chosen, change, "cpp"),
        },
        solve=solve,
    )


@dataclass(frozen=True)
class _Part:
    """One function of a and b, an operand of the pairs."""

    word: str
    nouns: tuple[str, str]
    python: str
    java: str
    javascript: str
    cpp: str
    apply: Callable[[int, int], int]

    def code(self, language: str) -> str:
        return {"python": self.python, "java": self.java, "javascript": self.javascript,
                "cpp": self.cpp}[language]  # fmt: skip


_PARTS = (
    _Part("gcd", ("gcd", "greatest common divisor"), "math.gcd(a, b)", "gcd(a, b)", "gcd(a, b)",
          "gcd(a, b)", gcd),
    _Part("lcm", ("lcm", "least common multiple"), "math.lcm(a, b)", "a / gcd(a, b) * b",
          "(a / gcd(a, b)) * b", "lcm(a, b)", lcm),
    _Part("maximum", ("maximum", "larger one"), "max(a, b)", "Math.max(a, b)", "Math.max(a, b)",
          "max(a, b)", max),
    _Part("minimum", ("minimum", "smaller one"), "min(a, b)", "Math.min(a, b)", "Math.min(a, b)",
          "min(a, b)", min),
    _Part("difference", ("difference", "distance"), "abs(a - b)", "Math.abs(a - b)",
          "Math.abs(a - b)", "abs(a - b)", lambda a, b: abs(a - b)),
    _Part("product", ("product", "product"), "a * b", "a * b", "a * b", "a * b",
          lambda a, b: a * b),
    _Part("sum", ("sum", "total"), "a + b", "a + b", "a + b", "a + b", lambda a, b: a + b),
)  # fmt: skip


@dataclass(frozen=True)
class _Join:
    word: str
    titles: tuple[str, str, str]
    step: str
    sign: str
    apply: Callable[[int, int], int]


_JOINS = (
    _Join("plus", ("{x} plus {y}", "Sum of the {x} and the {y}", "Add the {x} and the {y}"),
          "Add the two results", "+", lambda x, y: x + y),
    _Join("minus", ("{x} minus {y}", "Subtract the {y} from the {x}", "The {x} less the {y}"),
          "Subtract the second result from the first", "-", lambda x, y: x - y),
    _Join("times", ("{x} times {y}", "Product of the {x} and the {y}",
                    "Multiply the {x} by the {y}"),
          "Multiply the two results", "*", lambda x, y: x * y),
)  # fmt: skip


def _operand(code: str, sign: str, second: bool) -> str:
    """Parentheses where the sign would bind tighter, or where they help the reader."""
    if code == "a + b" and (sign == "*" or (sign == "-" and second)):
        return f"({code})"
    return f"({code})" if sign == "*" and second and "/" in code else code


def _pair_task(first: _Part, second: _Part, join: _Join) -> Task:
    def solve(a: int, b: int) -> int:
        return join.apply(first.apply(a, b), second.apply(a, b))

    texts = []
    for i in range(3):
        x, y = first.nouns[i % 2], second.nouns[(i + 1) % 2]
        title = join.titles[i].format(x=x, y=y) + " of a and b"
        step = f"Compute the {first.nouns[(i + 1) % 2]} and the {second.nouns[i % 2]} of a and b"
        texts.append((title[:1].upper() + title[1:], (step, join.step)))
    bodies = {}
    for language in ("python", "java", "javascript", "cpp"):
        x = _operand(first.code(language), join.sign, second=False)
        y = _operand(second.code(language), join.sign, second=True)
        bodies[language] = f"return {x} {join.sign} {y};".rstrip(
            ";" if language == "python" else ""
        )
    needs_gcd = "gcd" in bodies["java"]
    return Task(
        family=FAMILY,
        slug=f"{join.word}.{first.word}.{second.word}",
        words=(first.word, join.word, second.word),
        params=(Param("a", "int", low=1, high=40), Param("b", "int", low=1, high=40)),
        returns="int",
        texts=tuple(texts),
        bodies=bodies,
        solve=solve,
        helpers={lang: (text,) for lang, text in GCD_HELPER.items() if needs_gcd},
    )


def tasks() -> Iterator[Task]:
    for k, how in enumerate(_AGGREGATES):
        for i, chosen in enumerate(_CONDITIONS):
            for j, change in enumerate(_CHANGES):
                for m, span in enumerate(_SPANS):
                    # A count sees no change; products of squares or doubles leave 32 bits.
                    if how.key == "count" and change.key != "identity":
                        continue
                    if how.key == "product" and (
                        change.key in ("square", "double") or chosen.key == "above10"
                    ):
                        continue
                    if how.key == "count" or (i + j + 2 * m + k) % 4 == 0:
                        yield _range_task(span, how, chosen, change)
    for join in _JOINS:
        for i, first in enumerate(_PARTS):
            for second in _PARTS[i + 1 :]:
                yield _pair_task(first, second, join)
