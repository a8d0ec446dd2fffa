"""The words that families compose: predicates and maps on integers, said in English and in code.

Every expression holds for negative numbers as well: remainders are only compared with zero, or
taken of an absolute value, because `%` of a negative number differs between Python and the others.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class IntPredicate:
    """A condition on one integer `{x}`."""

    key: str
    words: tuple[str, ...]  # in a function's name
    nouns: tuple[str, ...]  # plural, interchangeable: "even numbers"
    python: str
    c_like: str  # Java and C++; JavaScript too, with === and !==
    holds: Callable[[int], bool]

    def code(self, language: str, x: str) -> str:
        """The condition as source text about the expression `x`."""
        if language == "python":
            return self.python.replace("{x}", x)
        return c_like(self.c_like.replace("{x}", x), language)


@dataclass(frozen=True)
class IntMap:
    """A function of one integer `{x}`; `identity` is the map that does nothing."""

    key: str
    words: tuple[str, ...]  # plural, in a function's name: ("squares",)
    phrases: tuple[str, ...]  # "the square of {}", {} is a noun such as "each even number"
    python: str
    c_like: str
    apply: Callable[[int], int]

    def code(self, language: str, x: str) -> str:
        if language == "python":
            return self.python.replace("{x}", x)
        return c_like(self.c_like.replace("{x}", x), language)


def c_like(text: str, language: str) -> str:
    """Text written for Java and C++ as `language` has it: strict equality, Math."""
    if language == "javascript":
        text = text.replace("==", "===").replace("!=", "!==")
    if language in ("java", "javascript"):
        for name in ("abs(", "max(", "min("):
            text = text.replace(name, f"Math.{name}")
    return text


def _multiple(n: int, word: str) -> IntPredicate:
    return IntPredicate(
        f"multiple{n}",
        ("multiples", "of", word),
        (f"multiples of {n}", f"numbers divisible by {n}"),
        f"{{x}} % {n} == 0",
        f"{{x}} % {n} == 0",
        lambda x: x % n == 0,
    )


def _above(n: int, word: str) -> IntPredicate:
    return IntPredicate(
        f"above{n}",
        ("above", word),
        (f"numbers greater than {n}", f"values above {n}"),
        f"{{x}} > {n}",
        f"{{x}} > {n}",
        lambda x: x > n,
    )


def _below(n: int, word: str) -> IntPredicate:
    return IntPredicate(
        f"below{n}",
        ("below", word),
        (f"numbers less than {n}", f"values below {n}"),
        f"{{x}} < {n}",
        f"{{x}} < {n}",
        lambda x: x < n,
    )


INT_PREDICATES = (
    IntPredicate("even", ("even",), ("even numbers", "even values"),
                 "{x} % 2 == 0", "{x} % 2 == 0", lambda x: x % 2 == 0),
    IntPredicate("odd", ("odd",), ("odd numbers", "odd values"),
                 "{x} % 2 == 1", "{x} % 2 != 0", lambda x: x % 2 == 1),
    IntPredicate("positive", ("positive",), ("positive numbers", "numbers above zero"),
                 "{x} > 0", "{x} > 0", lambda x: x > 0),
    IntPredicate("negative", ("negative",), ("negative numbers", "numbers below zero"),
                 "{x} < 0", "{x} < 0", lambda x: x < 0),
    IntPredicate("nonzero", ("nonzero",), ("nonzero numbers", "numbers other than zero"),
                 "{x} != 0", "{x} != 0", lambda x: x != 0),
    _multiple(3, "three"),
    _multiple(4, "four"),
    _multiple(5, "five"),
    IntPredicate("notmultiple3", ("not", "multiples", "of", "three"),
                 ("numbers not divisible by 3", "values that 3 does not divide"),
                 "{x} % 3 != 0", "{x} % 3 != 0", lambda x: x % 3 != 0),
    _above(5, "five"),
    _above(10, "ten"),
    _below(5, "five"),
    _below(10, "ten"),
    IntPredicate("between2and12", ("between", "two", "and", "twelve"),
                 ("numbers between 2 and 12", "values from 2 to 12"),
                 "2 <= {x} <= 12", "{x} >= 2 && {x} <= 12", lambda x: 2 <= x <= 12),
)  # fmt: skip

INT_MAPS = (
    IntMap("identity", (), ("{}",), "{x}", "{x}", lambda x: x),
    IntMap("square", ("squares",), ("the square of {}", "{} squared"),
           "{x} * {x}", "{x} * {x}", lambda x: x * x),
    IntMap("cube", ("cubes",), ("the cube of {}", "{} cubed"),
           "{x} ** 3", "{x} * {x} * {x}", lambda x: x**3),
    IntMap("double", ("doubles",), ("twice {}", "the double of {}"),
           "2 * {x}", "2 * {x}", lambda x: 2 * x),
    IntMap("triple", ("triples",), ("three times {}", "the triple of {}"),
           "3 * {x}", "3 * {x}", lambda x: 3 * x),
    IntMap("absolute", ("absolutes",), ("the absolute value of {}", "the magnitude of {}"),
           "abs({x})", "abs({x})", abs),
    IntMap("plusone", ("successors",), ("{} plus one", "one more than {}"),
           "{x} + 1", "{x} + 1", lambda x: x + 1),
    IntMap("minustwo", ("minus", "two"), ("{} minus two", "two less than {}"),
           "{x} - 2", "{x} - 2", lambda x: x - 2),
    IntMap("lastdigit", ("last", "digits"), ("the last digit of {}", "the units digit of {}"),
           "abs({x}) % 10", "abs({x}) % 10", lambda x: abs(x) % 10),
)  # fmt: skip
