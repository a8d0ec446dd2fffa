"""Recursive functions of n: terms in steps, linear recurrences, digits in a base."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.render import camel_case, snake_case
from codemoe.data.corpus.task import CORPUS_LANGUAGES, Param, Task
from codemoe.data.corpus.vocabulary import c_like

FAMILY = "recursion"


@dataclass(frozen=True)
class _Term:
    key: str
    words: tuple[str, ...]
    plurals: tuple[str, str]  # in a title: "the squares of {}"
    singles: tuple[str, str]  # in a comment
    code: str
    apply: Callable[[int], int]


_TERMS = (
    _Term("identity", ("numbers",), ("{}", "{}"), ("n", "n"), "n", lambda n: n),
    _Term("square", ("squares",), ("the squares of {}", "the squared values of {}"),
          ("the square of n", "n squared"), "n * n", lambda n: n * n),
    _Term("cube", ("cubes",), ("the cubes of {}", "the cubed values of {}"),
          ("the cube of n", "n cubed"), "n * n * n", lambda n: n**3),
    _Term("double", ("doubles",), ("the doubles of {}", "twice each of {}"),
          ("twice n", "the double of n"), "2 * n", lambda n: 2 * n),
    _Term("increment", ("successors",), ("the successors of {}", "one more than each of {}"),
          ("n plus one", "one more than n"), "n + 1", lambda n: n + 1),
    _Term("oddterm", ("double", "plus", "ones"),
          ("twice plus one of {}", "one more than twice each of {}"),
          ("twice n plus one", "one more than twice n"), "2 * n + 1", lambda n: 2 * n + 1),
    _Term("pronic", ("pronics",), ("n times n + 1 of {}", "the pronic numbers of {}"),
          ("n times n + 1", "the product of n and n + 1"), "n * (n + 1)", lambda n: n * (n + 1)),
    _Term("lastdigit", ("last", "digits"), ("the last digits of {}", "the units digits of {}"),
          ("the last digit of n", "the units digit of n"), "n % 10", lambda n: n % 10),
)  # fmt: skip


@dataclass(frozen=True)
class _Fold:
    """How a term and the result for the smaller number make the result."""

    key: str
    words: tuple[str, ...]
    titles: tuple[str, str, str]
    step: str  # {t} is the term, {m} the smaller number
    base: int
    code: str  # {t} and {f}, the recursive call
    tight: bool  # a term with + needs parentheses
    high: int
    apply: Callable[[int, int], int]


_FOLDS = (
    _Fold("sum", ("sum",),
          ("Recursive sum of {}", "Add up {} by recursion", "Recursively total {}"),
          "Add {t} to the result for {m}", 0, "{t} + {f}", False, 25, lambda t, r: t + r),
    _Fold("product", ("product",),
          ("Recursive product of {}", "Multiply {} by recursion", "Recursively multiply {}"),
          "Multiply {t} by the result for {m}", 1, "{t} * {f}", True, 7, lambda t, r: t * r),
    _Fold("alternating", ("alternating", "sum"),
          ("Recursive alternating sum of {}", "Add and subtract {} by recursion",
           "Recursively alternate the signs of {}"),
          "Subtract the result for {m} from {t}", 0, "{t} - {f}", False, 25,
          lambda t, r: t - r),
    _Fold("doubling", ("doubling", "sum"),
          ("Recursive doubling sum of {}", "Double and add {} by recursion",
           "Recursively double and add {}"),
          "Add {t} to twice the result for {m}", 0, "2 * {f} + {t}", False, 12,
          lambda t, r: t + 2 * r),
)  # fmt: skip

_STEPS = {1: "one", 2: "two", 3: "three"}


def _body(language: str, base: str, returned: str, stop: str) -> str:
    """The two cases of a recursion, in each language's habit."""
    if language == "python":
        return f"if {stop}:\n    return {base}\nreturn {returned}"
    if language == "javascript":
        return f"return {stop} ? {base} : {returned};"
    return f"if ({stop}) {{\n    return {base};\n}}\nreturn {returned};"


def _term_task(fold: _Fold, term: _Term, step: int) -> Task:
    def solve(n: int) -> int:
        result = fold.base
        for m in range(1 + (n - 1) % step, n + 1, step):
            result = fold.apply(term.apply(m), result)
        return result

    words = (*fold.words, *term.words, "by", _STEPS[step])
    code = f"({term.code})" if fold.tight and term.code.endswith("+ 1") else term.code
    bodies = {}
    for language in CORPUS_LANGUAGES:
        name = snake_case(words) if language == "python" else camel_case(words)
        own = "n ** 3" if language == "python" and term.key == "cube" else code
        returned = fold.code.format(t=own, f=f"{name}(n - {step})")
        bodies[language] = _body(language, str(fold.base), returned, "n <= 0")
    texts = []
    for i in range(3):
        numbers = f"the numbers from n down in steps of {step}"
        title = fold.titles[i].format(term.plurals[i % 2].format(numbers))
        stop = (
            f"Return {fold.base} if n is not positive",
            f"The base case is {fold.base} for n at most 0",
        )[i % 2]
        texts.append((title, (stop, fold.step.format(t=term.singles[i % 2], m=f"n - {step}"))))
    return Task(
        family=FAMILY,
        slug=f"{fold.key}.{term.key}.step{step}",
        words=words,
        params=(Param("n", "int", low=0, high=fold.high),),
        returns="int",
        texts=tuple(texts),
        bodies=bodies,
        solve=solve,
    )


_NUMBERS = ("zero", "one", "two", "three")
_SEEDS = ((0, 1), (1, 1), (2, 1), (1, 3))
_FACTORS = ((1, 1), (2, 1), (1, 2), (3, 1), (2, 3))
_ADDENDS = ("", "1", "n")


def _times(factor: int, code: str) -> str:
    return code if factor == 1 else f"{factor} * {code}"


_TIMES_WORDS = {1: "", 2: "twice ", 3: "three times "}


def _recurrence_task(seeds: tuple[int, int], factors: tuple[int, int], addend: str) -> Task:
    def solve(n: int) -> int:
        before, last = seeds
        for m in range(2, n + 1):
            extra = m if addend == "n" else int(addend or "0")
            before, last = last, factors[0] * last + factors[1] * before + extra
        return before if n == 0 else last

    words = ("recur", *(_NUMBERS[s] for s in seeds), "by",
             *(_NUMBERS[f] for f in factors))  # fmt: skip
    if addend:
        words = (*words, "plus", "n" if addend == "n" else "one")
    tail = f" + {addend}" if addend else ""
    bodies = {}
    for language in CORPUS_LANGUAGES:
        name = snake_case(words) if language == "python" else camel_case(words)
        calls = (f"{name}(n - 1)", f"{name}(n - 2)")
        returned = f"{_times(factors[0], calls[0])} + {_times(factors[1], calls[1])}{tail}"
        stop = c_like("n == 0", language)
        if seeds == (0, 1):
            bodies[language] = _body(language, "n", returned, "n < 2")
        elif seeds == (1, 1):
            bodies[language] = _body(language, "1", returned, "n < 2")
        elif language == "javascript":
            bodies[language] = (
                f"if (n < 2) {{\n    return {stop} ? {seeds[0]} : {seeds[1]};\n}}\n"
                f"return {returned};"
            )
        elif language == "python":
            bodies[language] = (
                f"if n < 2:\n    return {seeds[0]} if {stop} else {seeds[1]}\nreturn {returned}"
            )
        else:
            first = f"if ({stop}) {{\n    return {seeds[0]};\n}}\n"
            bodies[language] = first + _body(language, str(seeds[1]), returned, "n == 1")
    formula = f"{_times(factors[0], 'f(n - 1)')} + {_times(factors[1], 'f(n - 2)')}{tail}"
    plus = f" and {addend}" if addend else ""
    many = [_TIMES_WORDS[factor] for factor in factors]
    comma = " , " if addend else " and "
    texts = (
        (f"Recursive sequence f(n) = {formula}",
         (f"Return {seeds[0]} for n = 0 and {seeds[1]} for n = 1",
          f"Add {many[0]}f(n - 1){comma}{many[1]}f(n - 2){plus}")),
        (f"Term n of the recurrence with seeds {seeds[0]} and {seeds[1]}",
         ("The first two terms are the seeds", f"Return {formula} by recursion")),
        (f"Linear recurrence that starts with {seeds[0]} and {seeds[1]}",
         (f"f(0) = {seeds[0]} and f(1) = {seeds[1]}",
          f"Sum {many[0]}the last term{comma}{many[1]}the one before{plus}")),
    )  # fmt: skip
    return Task(
        family=FAMILY,
        slug=f"recurrence.seeds{seeds[0]}{seeds[1]}.times{factors[0]}{factors[1]}"
        f".plus{addend or '0'}",
        words=words,
        params=(Param("n", "int", low=0, high=12),),
        returns="int",
        texts=texts,
        bodies=bodies,
        solve=solve,
    )


@dataclass(frozen=True)
class _DigitFold:
    words: tuple[str, ...]
    titles: tuple[str, str, str]
    step: str
    base: int
    python: str  # {d} is the last digit, {f} the call on the rest
    other: str
    apply: Callable[[int, int], int]


_DIGIT_FOLDS = (
    _DigitFold(("sum", "digits"), ("sum of the digits", "digit sum", "total of the digits"),
               "Add the last digit to the result for {}", 0, "{d} + {f}", "{d} + {f}",
               lambda d, r: d + r),
    _DigitFold(("sum", "squared", "digits"),
               ("sum of the squares of the digits", "sum of the squared digits",
                "total of the squares of the digits"),
               "Add the square of the last digit to the result for {}", 0,
               "({d}) ** 2 + {f}", "({d}) * ({d}) + {f}", lambda d, r: d * d + r),
    _DigitFold(("largest", "digit"), ("largest digit", "maximum digit", "greatest digit"),
               "Return the maximum of the last digit and the result for {}", 0,
               "max({d}, {f})", "max({d}, {f})", max),
    _DigitFold(("count", "zero", "digits"),
               ("count of the zero digits", "number of zeros", "count of the zeros"),
               "Add one to the result for {} if the last digit is zero", 0,
               "int({d} == 0) + {f}", "({d} == 0 ? 1 : 0) + {f}", lambda d, r: int(d == 0) + r),
    _DigitFold(("count", "one", "digits"),
               ("count of the digits equal to 1", "number of ones", "count of the ones"),
               "Add one to the result for {} if the last digit is 1", 0,
               "int({d} == 1) + {f}", "({d} == 1 ? 1 : 0) + {f}", lambda d, r: int(d == 1) + r),
    _DigitFold(("alternating", "sum", "digits"),
               ("alternating sum of the digits", "alternating digit sum",
                "sum with alternating signs of the digits"),
               "Subtract the result for {} from the last digit", 0, "{d} - {f}",
               "{d} - {f}", lambda d, r: d - r),
    _DigitFold(("product", "incremented", "digits"),
               ("product of the incremented digits", "product of one more than each digit",
                "multiplied successors of the digits"),
               "Multiply the last digit plus one by the result for {}", 1,
               "({d} + 1) * {f}", "({d} + 1) * {f}", lambda d, r: (d + 1) * r),
    _DigitFold(("decimal", "spelling", "digits"),
               ("decimal number spelled by the digits", "digits read as a decimal number",
                "decimal number with the digits"),
               "Add the last digit to 10 times the result for {}", 0, "10 * {f} + {d}",
               "10 * {f} + {d}", lambda d, r: 10 * r + d),
)  # fmt: skip

_BASES = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six", 7: "seven", 8: "eight", 9: "nine"}


def _digit_task(fold: _DigitFold, base: int) -> Task:
    def solve(n: int) -> int:
        digits = []
        while n:
            digits.append(n % base)
            n //= base
        result = fold.base
        for digit in reversed(digits):
            result = fold.apply(digit, result)
        return result

    words = (*fold.words, "base", _BASES[base])
    bodies = {}
    for language in CORPUS_LANGUAGES:
        name = snake_case(words) if language == "python" else camel_case(words)
        rest = {"python": f"n // {base}", "javascript": f"Math.floor(n / {base})"}.get(
            language, f"n / {base}"
        )
        code = fold.python if language == "python" else c_like(fold.other, language)
        returned = code.format(d=f"n % {base}", f=f"{name}({rest})")
        stop = c_like("n == 0", language)
        bodies[language] = _body(language, str(fold.base), returned, stop)
    texts = []
    for i in range(3):
        lead = ("Recursive {} of n in base {}", "{} of n in base {} by recursion",
                "Recursively find the {} of n in base {}")[i]  # fmt: skip
        title = lead.format(fold.titles[i], base)
        first = (f"Return {fold.base} if n is zero", f"The base case is {fold.base} for n = 0")
        texts.append((title[:1].upper() + title[1:],
                      (first[i % 2], fold.step.format(f"n divided by {base}"))))  # fmt: skip
    return Task(
        family=FAMILY,
        slug=f"digits.{'_'.join(fold.words)}.base{base}",
        words=words,
        params=(Param("n", "int", low=0, high=250),),
        returns="int",
        texts=tuple(texts),
        bodies=bodies,
        solve=solve,
    )


def tasks() -> Iterator[Task]:
    for fold in _FOLDS:
        for term in _TERMS:
            for step in _STEPS:
                # Products of cubes leave 32 bits; small numbers are their own last digits.
                if fold.key == "product" and term.key in ("cube", "lastdigit"):
                    continue
                yield _term_task(fold, term, step)
    for seeds in _SEEDS:
        for factors in _FACTORS:
            for addend in _ADDENDS:
                yield _recurrence_task(seeds, factors, addend)
    for digit_fold in _DIGIT_FOLDS:
        for base in _BASES:
            yield _digit_task(digit_fold, base)
