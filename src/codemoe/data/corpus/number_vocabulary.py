"""What the number families share: conditions, changes and aggregates, in English and in code.

Nouns are plural ("digits of n"), so that one phrase serves digits, divisors and ranges alike.
Every expression is about non-negative integers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from codemoe.data.corpus.vocabulary import c_like


@dataclass(frozen=True)
class Condition:
    """A condition on one integer `{x}`; `all` is the one that always holds."""

    key: str
    before: tuple[str, ...]  # words of a function's name before the noun: ("even",)
    after: tuple[str, ...]  # and after it: ("divisible", "by", "three")
    phrases: tuple[str, ...]  # "{} divisible by 3", {} is a plural noun
    python: str
    other: str  # Java and C++; JavaScript too, with === and !==
    holds: Callable[[int], bool]

    def code(self, language: str, x: str) -> str:
        """The condition as source text about the expression `x`; empty for `all`."""
        text = self.python if language == "python" else c_like(self.other, language)
        return text.replace("{x}", x)

    def words(self, *noun: str) -> tuple[str, ...]:
        return (*self.before, *noun, *self.after)

    def phrase(self, noun: str, i: int) -> str:
        return self.phrases[i % len(self.phrases)].format(noun)


@dataclass(frozen=True)
class Change:
    """A function of one integer `{x}`; `identity` is the one that does nothing."""

    key: str
    words: tuple[str, ...]  # stand before the noun in a function's name: ("squared",)
    plurals: tuple[str, ...]  # "the squares of {}", {} is "the even digits of n"
    singles: tuple[str, ...]  # "the square of each {}", {} is "digit"
    code: str  # the same in every language
    apply: Callable[[int], int]

    def of(self, x: str) -> str:
        return self.code.replace("{x}", x)


@dataclass(frozen=True)
class Aggregate:
    """What becomes of the chosen and changed items."""

    key: str
    titles: tuple[str, str, str]  # "Sum of {}", {} is plural
    steps: tuple[str, str]  # "Add {} to the total", {} is one item: "each digit"
    none: tuple[str, str]  # what is returned when nothing is chosen, where that needs saying
    reduce: Callable[[list[int]], Any]


def _all(_: int) -> bool:
    return True


CONDITIONS = {
    c.key: c
    for c in (
        Condition("all", (), (), ("{}",), "", "", _all),
        Condition("even", ("even",), (), ("even {}", "{} that are even"),
                  "{x} % 2 == 0", "{x} % 2 == 0", lambda x: x % 2 == 0),
        Condition("odd", ("odd",), (), ("odd {}", "{} that are odd"),
                  "{x} % 2 == 1", "{x} % 2 == 1", lambda x: x % 2 == 1),
        Condition("nonzero", ("nonzero",), (), ("nonzero {}", "{} other than zero"),
                  "{x} != 0", "{x} != 0", lambda x: x != 0),
        Condition("multiple3", (), ("divisible", "by", "three"),
                  ("{} divisible by 3", "{} that are multiples of 3"),
                  "{x} % 3 == 0", "{x} % 3 == 0", lambda x: x % 3 == 0),
        Condition("multiple4", (), ("divisible", "by", "four"),
                  ("{} divisible by 4", "{} that are multiples of 4"),
                  "{x} % 4 == 0", "{x} % 4 == 0", lambda x: x % 4 == 0),
        Condition("multiple5", (), ("divisible", "by", "five"),
                  ("{} divisible by 5", "{} that are multiples of 5"),
                  "{x} % 5 == 0", "{x} % 5 == 0", lambda x: x % 5 == 0),
        Condition("notmultiple3", (), ("not", "divisible", "by", "three"),
                  ("{} not divisible by 3", "{} that 3 does not divide"),
                  "{x} % 3 != 0", "{x} % 3 != 0", lambda x: x % 3 != 0),
        Condition("onemod4", (), ("one", "modulo", "four"),
                  ("{} with remainder 1 modulo 4", "{} equal to 1 modulo 4"),
                  "{x} % 4 == 1", "{x} % 4 == 1", lambda x: x % 4 == 1),
        Condition("above1", (), ("above", "one"), ("{} greater than 1", "{} above 1"),
                  "{x} > 1", "{x} > 1", lambda x: x > 1),
        Condition("above5", (), ("above", "five"), ("{} greater than 5", "{} above 5"),
                  "{x} > 5", "{x} > 5", lambda x: x > 5),
        Condition("above10", (), ("above", "ten"), ("{} greater than 10", "{} above 10"),
                  "{x} > 10", "{x} > 10", lambda x: x > 10),
        Condition("below5", (), ("below", "five"), ("{} less than 5", "{} below 5"),
                  "{x} < 5", "{x} < 5", lambda x: x < 5),
        Condition("below15", (), ("below", "fifteen"), ("{} less than 15", "{} below 15"),
                  "{x} < 15", "{x} < 15", lambda x: x < 15),
        Condition("between2and7", (), ("between", "two", "and", "seven"),
                  ("{} between 2 and 7", "{} from 2 to 7"),
                  "2 <= {x} <= 7", "{x} >= 2 && {x} <= 7", lambda x: 2 <= x <= 7),
        Condition("primedigit", ("prime",), (), ("prime {}", "{} that are prime"),
                  "{x} in (2, 3, 5, 7)", "{x} == 2 || {x} == 3 || {x} == 5 || {x} == 7",
                  lambda x: x in (2, 3, 5, 7)),
    )
}  # fmt: skip

CHANGES = {
    c.key: c
    for c in (
        Change("identity", (), ("{}",), ("each {}",), "{x}", lambda x: x),
        Change("square", ("squared",), ("the squares of {}", "the square of each of {}"),
               ("the square of each {}", "each {} squared"), "{x} * {x}", lambda x: x * x),
        Change("double", ("doubled",), ("the doubles of {}", "twice each of {}"),
               ("twice each {}", "the double of each {}"), "2 * {x}", lambda x: 2 * x),
        Change("increment", ("incremented",), ("the successors of {}", "one more than each of {}"),
               ("each {} plus one", "one more than each {}"), "{x} + 1", lambda x: x + 1),
        Change("complement", ("complemented",),
               ("the complements to 9 of {}", "nine minus each of {}"),
               ("9 minus each {}", "the difference of 9 and each {}"), "9 - {x}",
               lambda x: 9 - x),
        Change("lastdigit", ("last", "digit"),
               ("the last digits of {}", "the units digit of each of {}"),
               ("the last digit of each {}", "the units digit of each {}"), "{x} % 10",
               lambda x: x % 10),
    )
}  # fmt: skip

_MINUS_ONE = (" , -1 if there is none", " , -1 if nothing is found")

AGGREGATES = {
    a.key: a
    for a in (
        Aggregate("sum", ("Sum of {}", "Add up {}", "Total of {}"),
                  ("Add {} to the total", "Sum up {}"), ("", ""), sum),
        Aggregate("product", ("Product of {}", "Multiply {} together", "Multiply all of {}"),
                  ("Multiply the result by {}", "Start from 1 and multiply by {}"), ("", ""),
                  prod),
        Aggregate("count", ("Count of {}", "Count {}", "Count up {}"),
                  ("Increase the count for {}", "Count {}"), ("", ""), len),
        Aggregate("largest", ("Largest of {}", "Maximum of {}", "Find the greatest of {}"),
                  ("Keep the maximum of {}", "Remember the largest of {}"),
                  _MINUS_ONE, lambda items: max(items, default=-1)),
        Aggregate("smallest", ("Smallest of {}", "Minimum of {}", "Find the least of {}"),
                  ("Keep the minimum of {}", "Remember the smallest of {}"),
                  _MINUS_ONE, lambda items: min(items, default=-1)),
        Aggregate("list", ("List of {}", "Collect {}", "Get all of {}"),
                  ("Append {} to the list", "Add {} to the result in order"), ("", ""), list),
    )
}  # fmt: skip

# Greatest common divisors and primes, where the language has no such function.
GCD_HELPER = {
    "java": "static int gcd(int a, int b) {\n    return b == 0 ? a : gcd(b, a % b);\n}",
    "javascript": "function gcd(a, b) {\n    return b === 0 ? a : gcd(b, a % b);\n}",
}

_IS_PRIME_BODY = (
    "    for ({int} d = 2; d * d <= n; d++) {\n"
    "        if (n % d {equal} 0) {\n"
    "            return false;\n"
    "        }\n"
    "    }\n"
    "    return n > 1;\n"
    "}"
)
_IS_PRIME_C = _IS_PRIME_BODY.replace("{int}", "int").replace("{equal}", "==")
_IS_PRIME_JS = _IS_PRIME_BODY.replace("{int}", "let").replace("{equal}", "===")

IS_PRIME_HELPER = {
    "python": "def is_prime(n: int) -> bool:\n"
    "    return n > 1 and all(n % d != 0 for d in range(2, math.isqrt(n) + 1))",
    "java": "static boolean isPrime(int n) {\n" + _IS_PRIME_C,
    "javascript": "function isPrime(n) {\n" + _IS_PRIME_JS,
    "cpp": "bool isPrime(int n) {\n" + _IS_PRIME_C,
}


def when(condition: str, statement: str) -> str:
    """`statement` inside an `if` of a brace language; bare where the condition is empty."""
    return f"if ({condition}) {{\n    {statement}\n}}" if condition else statement


def suffix_if(condition: str) -> str:
    """The condition as the end of a Python comprehension."""
    return f" if {condition}" if condition else ""
