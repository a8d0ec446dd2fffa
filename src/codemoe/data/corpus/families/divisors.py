"""Numbers up to n that stand in some relation to n, such as its divisors, chosen and reduced."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count, takewhile
from math import gcd
from textwrap import indent

from codemoe.data.corpus.number_vocabulary import (
    CONDITIONS,
    GCD_HELPER,
    IS_PRIME_HELPER,
    Condition,
    when,
)
from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import c_like

FAMILY = "divisors"

_CONDITIONS = tuple(
    CONDITIONS[key]
    for key in ("all", "even", "odd", "multiple3", "notmultiple3", "onemod4", "above5", "below15")
)


@dataclass(frozen=True)
class _Kind:
    """Which numbers up to n; `python` and `other` are conditions on `i`, empty for all."""

    key: str
    words: tuple[str, ...]  # plural, in a function's name
    noun: str  # plural, in a title
    steps: tuple[str, str]  # the first comment
    python: str
    other: str
    low: int
    high: str  # the last candidate: "n" or "n - 1"; empty for the sequences below
    numbers: Callable[[int], list[int]]
    value: str = "i"  # the number that is taken, in Java, JavaScript and C++
    python_items: str = ""  # for sequences: "i * i for i in ..."
    loop: str = ""  # for sequences: the head of the loop
    helpers: Mapping[str, str] = field(default_factory=dict)


def _upto(n: int) -> range:
    return range(1, n + 1)


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, n))


def _below_or_at(n: int, terms: Iterator[int]) -> list[int]:
    return list(takewhile(lambda term: term <= n, terms))


_KINDS = (
    _Kind("divisor", ("divisors",), "divisors of n",
          ("Take each number from 1 to n that divides n",
           "Loop over i up to n with n modulo i equal to 0"),
          "n % i == 0", "n % i == 0", 1, "n", lambda n: [i for i in _upto(n) if n % i == 0]),
    _Kind("proper", ("proper", "divisors"), "proper divisors of n",
          ("Take each number from 1 to n - 1 that divides n",
           "Loop over i less than n with n modulo i equal to 0"),
          "n % i == 0", "n % i == 0", 1, "n - 1",
          lambda n: [i for i in range(1, n) if n % i == 0]),
    _Kind("nondivisor", ("non", "divisors"), "non-divisors of n",
          ("Take each number from 1 to n that does not divide n",
           "Loop over i up to n with n modulo i not equal to 0"),
          "n % i != 0", "n % i != 0", 1, "n", lambda n: [i for i in _upto(n) if n % i]),
    _Kind("coprime", ("coprimes",), "coprimes of n",
          ("Take each number from 1 to n whose gcd with n is 1",
           "Loop over i up to n with the gcd of i and n equal to 1"),
          "math.gcd(i, n) == 1", "gcd(i, n) == 1", 1, "n",
          lambda n: [i for i in _upto(n) if gcd(i, n) == 1], helpers=GCD_HELPER),
    _Kind("noncoprime", ("non", "coprimes"), "non-coprimes of n",
          ("Take each number from 1 to n whose gcd with n is above 1",
           "Loop over i up to n with the gcd of i and n greater than 1"),
          "math.gcd(i, n) > 1", "gcd(i, n) > 1", 1, "n",
          lambda n: [i for i in _upto(n) if gcd(i, n) > 1], helpers=GCD_HELPER),
    _Kind("prime", ("primes",), "primes up to n",
          ("Take each number from 2 to n that is prime",
           "Loop over i from 2 to n and test that i is prime"),
          "is_prime(i)", "isPrime(i)", 2, "n",
          lambda n: [i for i in _upto(n) if _is_prime(i)], helpers=IS_PRIME_HELPER),
    _Kind("composite", ("composites",), "composite numbers up to n",
          ("Take each number from 2 to n that is not prime",
           "Loop over i from 2 to n and test that i is not prime"),
          "not is_prime(i)", "!isPrime(i)", 2, "n",
          lambda n: [i for i in _upto(n) if i > 1 and not _is_prime(i)],
          helpers=IS_PRIME_HELPER),
    _Kind("square", ("perfect", "squares"), "perfect squares up to n",
          ("Loop over i while the square of i is at most n",
           "Go through the squares 1 , 4 , 9 up to n"),
          "", "", 1, "", lambda n: _below_or_at(n, (i * i for i in count(1))),
          value="i * i", python_items="i * i for i in range(1, math.isqrt(n) + 1)",
          loop="int i = 1; i * i <= n; i++"),
    _Kind("triangular", ("triangular", "numbers"), "triangular numbers up to n",
          ("Loop over i and keep the sum of 1 to i while it is at most n",
           "Go through the sums 1 , 3 , 6 , 10 up to n"),
          "t <= n", "", 1, "", lambda n: _below_or_at(n, (i * (i + 1) // 2 for i in count(1))),
          value="t", python_items="t for t in accumulate(range(1, n + 1))",
          loop="int i = 1, t = 1; t <= n; i++, t += i"),
)  # fmt: skip

_ZERO = (" , 0 if there is none", " , 0 if nothing is found")


@dataclass(frozen=True)
class _Result:
    key: str
    titles: tuple[str, str, str]
    steps: tuple[str, str]
    none: tuple[str, str]


_RESULTS = (
    _Result("sum", ("Sum of {}", "Add up {}", "Total of {}"),
            ("Add {} to the total", "Sum up {}"), ("", "")),
    _Result("count", ("Count of {}", "Count {}", "Number of {}"),
            ("Increase the count for {}", "Count {}"), ("", "")),
    _Result("largest", ("Largest of {}", "Maximum of {}", "Find the greatest of {}"),
            ("Return the largest of {}", "Find the maximum of {}"), _ZERO),
    _Result("smallest", ("Smallest of {}", "Minimum of {}", "Find the least of {}"),
            ("Return the first of {}", "Find the minimum of {}"), _ZERO),
    _Result("list", ("List of {}", "Collect {}", "Get all of {}"),
            ("Append {} to the list", "Add {} to the result in order"), ("", "")),
)  # fmt: skip


def _python(how: _Result, kind: _Kind, chosen: Condition) -> str:
    name = {"square": "i * i", "triangular": "t"}.get(kind.key, "i")
    end = "n" if kind.high == "n - 1" else "n + 1"
    items = kind.python_items or f"i for i in range({kind.low}, {end})"
    condition = " and ".join(filter(None, [kind.python, chosen.code("python", name)]))
    if condition:
        items += f" if {condition}"
    if how.key == "count" and not condition:
        return "return math.isqrt(n)"
    if how.key == "count":
        items = "1" + items.removeprefix(name)
    return {
        "sum": f"return sum({items})",
        "count": f"return sum({items})",
        "largest": f"return max(({items}), default=0)",
        "smallest": f"return next(({items}), 0)",
        "list": f"return [{items}]",
    }[how.key]


def _braces(how: _Result, kind: _Kind, chosen: Condition, language: str) -> str:
    """The loop of Java, JavaScript and C++, upwards, or downwards to the largest one."""
    value = kind.value
    parts = [c_like(kind.other, language), chosen.code(language, value)]
    condition = " && ".join(filter(None, parts))
    if language == "java" and how.key == "count" and kind.high:
        span = "range(" if kind.high == "n - 1" else "rangeClosed("
        links = f"return (int) IntStream.{span}{kind.low}, n)\n    .filter(i -> {condition})\n"
        return f"{links}    .count();"
    down = how.key == "largest" and bool(kind.high)
    if down:
        head = f"int i = {kind.high}; i >= {kind.low}; i--"
    else:
        head = kind.loop or f"int i = {kind.low}; i {'<=' if kind.high == 'n' else '<'} n; i++"
    if how.key == "list":
        start = {
            "java": "List<Integer> result = new ArrayList<>();",
            "javascript": "const result = [];",
            "cpp": "vector<int> result;",
        }[language]
        call = {"java": "add", "javascript": "push", "cpp": "push_back"}[language]
        statement, end = f"result.{call}({value});", "return result;"
    elif how.key == "smallest" or down:
        start, statement, end = "", f"return {value};", "return 0;"
    else:
        name, step = {"sum": ("total", "total += {};"), "count": ("count", "count++;"),
                      "largest": ("best", "best = {};")}[how.key]  # fmt: skip
        start, statement, end = f"int {name} = 0;", step.format(value), f"return {name};"
    loop = f"for ({head}) {{\n{indent(when(condition, statement), '    ')}\n}}"
    text = "\n".join(filter(None, [start, loop, end]))
    return text.replace("int ", "let ") if language == "javascript" else text


def tasks() -> Iterator[Task]:
    for k, how in enumerate(_RESULTS):
        for i, kind in enumerate(_KINDS):
            for j, chosen in enumerate(_CONDITIONS):
                if (i + j + 2 * k) % 6 == 0 or (kind.key == "prime" and 0 < j < 5 and j != 2):
                    continue
                task = _task(how, kind, chosen)
                # "The smallest divisor" says nothing: its answer hardly depends on n.
                if len({repr(task.solve(n)) for n in range(1, 61)}) > 4:
                    yield task


def _task(how: _Result, kind: _Kind, chosen: Condition) -> Task:
    def solve(n: int) -> object:
        found = [i for i in kind.numbers(n) if chosen.holds(i)]
        if how.key in ("largest", "smallest"):
            return 0 if not found else max(found) if how.key == "largest" else min(found)
        results: dict[str, object] = {"sum": sum(found), "count": len(found), "list": found}
        return results[how.key]

    texts = []
    for i in range(3):
        title = how.titles[i].format(f"the {chosen.phrase(kind.noun, i)}")
        # Singulars and plurals of the kinds differ too much: the comment says "numbers".
        item = f"the {chosen.phrase('numbers', i + 1)}" if chosen.key != "all" else "these numbers"
        texts.append(
            (title, (kind.steps[i % 2], how.steps[i % 2].format(item) + how.none[i % 2])),
        )
    single = how.key in ("largest", "smallest")
    noun = (*kind.words[:-1], kind.words[-1].removesuffix("s")) if single else kind.words
    return Task(
        family=FAMILY,
        slug=f"{how.key}.{kind.key}.{chosen.key}",
        words=(how.key, *chosen.words(*noun)),
        params=(Param("n", "int", low=1, high=60),),
        returns="intlist" if how.key == "list" else "int",
        texts=tuple(texts),
        bodies={
            "python": _python(how, kind, chosen),
            **{lang: _braces(how, kind, chosen, lang) for lang in ("java", "javascript", "cpp")},
        },
        solve=solve,
        helpers={language: (text,) for language, text in kind.helpers.items()},
    )
