"""Recursion that walks: over the letters of a string, or from number to number until it stops."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from codemoe.data.corpus.render import camel_case, snake_case
from codemoe.data.corpus.task import CORPUS_LANGUAGES, Param, Task
from codemoe.data.corpus.vocabulary import c_like

FAMILY = "recursive_walks"


def _own_name(words: tuple[str, ...], language: str) -> str:
    return snake_case(words) if language == "python" else camel_case(words)


def _guard(language: str, stop: str, base: str, rest: str) -> str:
    """The base case, then the rest of the body."""
    if language == "python":
        return f"if {stop}:\n    return {base}\n{rest}"
    return f"if ({c_like(stop, language)}) {{\n    return {base};\n}}\n{rest}"


@dataclass(frozen=True)
class _Letters:
    words: tuple[str, ...]
    plurals: tuple[str, str]
    single: str  # "the first letter is ..."
    python: str
    java: str  # `first` is a string of one letter
    javascript: str
    cpp: str
    holds: Callable[[str], bool]


def _letter(x: str) -> _Letters:
    return _Letters(("letter", x), (f"letters equal to {x}", f"characters {x}"), f"equal to {x}",
                    f's[0] == "{x}"', f'first.equals("{x}")', f's[0] === "{x}"',
                    f"s[0] == '{x}'", lambda c: c == x)  # fmt: skip


def _compared(word: str, sign: str, x: str, holds: Callable[[str], bool]) -> _Letters:
    return _Letters(("letters", word, x), (f"letters {word} {x}", f"characters {word} {x}"),
                    f"{word} {x}", f's[0] {sign} "{x}"', f'first.compareTo("{x}") {sign} 0',
                    f's[0] {sign} "{x}"', f"s[0] {sign} '{x}'", holds)  # fmt: skip


_LETTERS = (
    _Letters(("vowels",), ("vowels", "vowels a , e , i , o , u"), "a vowel",
             's[0] in "aeiou"', '"aeiou".contains(first)', '"aeiou".includes(s[0])',
             'string("aeiou").find(s[0]) != string::npos', lambda c: c in "aeiou"),
    _Letters(("capitals",), ("capital letters", "upper-case letters"), "a capital",
             "s[0].isupper()", "Character.isUpperCase(s.charAt(0))", "/[A-Z]/.test(s[0])",
             "isupper(s[0])", str.isupper),
    _Letters(("small", "letters"), ("small letters", "lower-case letters"), "a small letter",
             "s[0].islower()", "Character.isLowerCase(s.charAt(0))", "/[a-z]/.test(s[0])",
             "islower(s[0])", str.islower),
    _letter("a"),
    _letter("b"),
    _letter("x"),
    _compared("after", ">", "c", lambda c: c > "c"),
    _compared("before", "<", "d", lambda c: c < "d"),
)  # fmt: skip


@dataclass(frozen=True)
class _Edit:
    """What becomes of a letter that is chosen (`yes`), and of one that is not (`no`)."""

    words: tuple[str, ...]
    titles: tuple[str, str, str]
    step: str  # "If the first letter is {}, ..."
    yes: str  # {c} is the letter, {r} the result for the rest
    no: str
    apply: Callable[[str, bool, Any], Any]


_EDITS = (
    _Edit(("count",), ("Recursive count of the {}", "Count the {} by recursion",
                       "Recursively count the {}"),
          "Add one to the result for the rest if the first letter is {}", "{r} + 1", "{r}",
          lambda c, yes, r: r + int(yes)),
    _Edit(("remove",), ("Recursive removal of the {}", "Remove the {} by recursion",
                        "Recursively remove the {}"),
          "Leave the first letter out if it is {}", "{r}", "{c} + {r}",
          lambda c, yes, r: r if yes else c + r),
    _Edit(("double",), ("Recursive doubling of the {}", "Write the {} twice by recursion",
                        "Recursively double the {}"),
          "Put the first letter twice if it is {}", "{c} + {c} + {r}", "{c} + {r}",
          lambda c, yes, r: c + c + r if yes else c + r),
    _Edit(("star",), ("Recursive masking of the {}", "Replace the {} with stars by recursion",
                      "Recursively turn the {} into stars"),
          "Put a star for the first letter if it is {}", '"*" + {r}', "{c} + {r}",
          lambda c, yes, r: "*" + r if yes else c + r),
    _Edit(("send", "back"), ("Recursive move of the {} to the end in reverse",
                                "Move the {} behind the others in reverse by recursion",
                                "Recursively send the {} to the end in reverse"),
          "Put the first letter behind the rest if it is {}", "{r} + {c}", "{c} + {r}",
          lambda c, yes, r: r + c if yes else c + r),
    _Edit(("reverse", "without"), ("Recursive reverse without the {}",
                                   "Reverse the string and drop the {} by recursion",
                                   "Recursively reverse all but the {}"),
          "Put the first letter behind the rest unless it is {}", "{r}", "{r} + {c}",
          lambda c, yes, r: r if yes else r + c),
    _Edit(("dash",), ("Recursive dashes after the {}",
                              "Put a dash after the {} by recursion",
                              "Recursively add a dash after the {}"),
          "Put a dash behind the first letter if it is {}", '{c} + "-" + {r}', "{c} + {r}",
          lambda c, yes, r: c + "-" + r if yes else c + r),
    _Edit(("mirror",), ("Recursive mirror of the {} at the end",
                        "Repeat the {} at the end in reverse by recursion",
                        "Recursively mirror the {} at the end"),
          "Put the first letter also behind the rest if it is {}", "{c} + {r} + {c}",
          "{c} + {r}", lambda c, yes, r: c + r + c if yes else c + r),
)  # fmt: skip


def _string_body(edit: _Edit, letters: _Letters, language: str, name: str) -> str:
    count = edit.words == ("count",)
    base = "0" if count else '""'
    first = "first" if language in ("java", "cpp") else "s[0]"
    yes, no = edit.yes.format(c=first, r="rest"), edit.no.format(c=first, r="rest")
    if language == "python":
        rest = f"rest = {name}(s[1:])\nreturn {yes} if {letters.python} else {no}"
        return _guard(language, "not s", base, rest)
    condition = getattr(letters, language)
    returned = f"return {condition} ? {yes} : {no};"
    if language == "javascript":
        rest = f"const rest = {name}(s.slice(1));\n{returned}"
        return _guard(language, 's == ""', base, rest)
    kind = "String" if language == "java" else "string"
    call = f"{name}(s.substring(1))" if language == "java" else f"{name}(s.substr(1))"
    lines = [f"{'int' if count else kind} rest = {call};", returned]
    if "first" in returned:
        part = "s.substring(0, 1)" if language == "java" else "s.substr(0, 1)"
        lines.insert(0, f"{kind} first = {part};")
    stop = "s.isEmpty()" if language == "java" else "s.empty()"
    return _guard(language, stop, base, "\n".join(lines))


def _string_task(edit: _Edit, letters: _Letters) -> Task:
    def solve(s: str) -> Any:
        result: Any = 0 if edit.words == ("count",) else ""
        for c in reversed(s):
            result = edit.apply(c, letters.holds(c), result)
        return result

    # Other families do some of these in loops; the name says which one is meant.
    words = ("recursively", *edit.words, *letters.words)
    texts = []
    for i in range(3):
        title = edit.titles[i].format(f"{letters.plurals[i % 2]} of s")
        nothing = "0" if edit.words == ("count",) else "the empty string"
        stop = (f"Return {nothing} if s is empty", f"The base case is {nothing} for no letters")
        texts.append((title, (stop[i % 2], edit.step.format(letters.single))))
    return Task(
        family=FAMILY,
        slug=f"string.{'_'.join(edit.words)}.{'_'.join(letters.words)}",
        words=words,
        params=(Param("s", "str", max_size=8),),
        returns="int" if edit.words == ("count",) else "str",
        texts=tuple(texts),
        bodies={
            language: _string_body(edit, letters, language, _own_name(words, language))
            for language in CORPUS_LANGUAGES
        },
        solve=solve,
    )


@dataclass(frozen=True)
class _Walk:
    """A rule that leads from a number, or a pair of them, to the next."""

    words: tuple[str, ...]
    title: str
    rule: str  # in a comment: "go on with ..."
    params: tuple[Param, ...]
    stop: str
    seen: str  # the number that is seen at each step: n, or a of a pair
    python: str  # the arguments of the recursive call
    other: str
    after: Callable[..., tuple[int, ...] | None]  # None where the walk stops


def _number_walk(words: tuple[str, ...], title: str, rule: str, python: str, other: str,
                 after: Callable[[int], int]) -> _Walk:  # fmt: skip
    # 27 is the first number whose Collatz walk climbs high: its squares leave 32 bits.
    high = 24 if words == ("collatz",) else 200
    return _Walk(words, title, rule, (Param("n", "int", low=1, high=high),), "n == 1", "n",
                 python, other, lambda n: None if n == 1 else (after(n),))  # fmt: skip


_PAIR = (Param("a", "int", low=1, high=40), Param("b", "int", low=1, high=40))

_WALKS = (
    _number_walk(("collatz",), "the Collatz walk of n", "n / 2 if n is even , else 3 * n + 1",
                 "n // 2 if n % 2 == 0 else 3 * n + 1", "n % 2 == 0 ? n / 2 : 3 * n + 1",
                 lambda n: n // 2 if n % 2 == 0 else 3 * n + 1),
    _number_walk(("halve", "or", "decrement"), "the halve or decrement walk of n",
                 "n / 2 if n is even , else n - 1",
                 "n // 2 if n % 2 == 0 else n - 1", "n % 2 == 0 ? n / 2 : n - 1",
                 lambda n: n // 2 if n % 2 == 0 else n - 1),
    _number_walk(("halve", "or", "increment"), "the halve or increment walk of n",
                 "n / 2 if n is even , else n + 1",
                 "n // 2 if n % 2 == 0 else n + 1", "n % 2 == 0 ? n / 2 : n + 1",
                 lambda n: n // 2 if n % 2 == 0 else n + 1),
    _number_walk(("third", "or", "decrement"), "the third or decrement walk of n",
                 "n / 3 if 3 divides n , else n - 1",
                 "n // 3 if n % 3 == 0 else n - 1", "n % 3 == 0 ? n / 3 : n - 1",
                 lambda n: n // 3 if n % 3 == 0 else n - 1),
    _number_walk(("halving",), "the halving walk of n", "n / 2 rounded down", "n // 2", "n / 2",
                 lambda n: n // 2),
    _Walk(("euclid",), "the Euclid walk of a and b", "b and a modulo b", _PAIR, "b == 0", "a",
          "b, a % b", "b, a % b", lambda a, b: None if b == 0 else (b, a % b)),
    _Walk(("subtraction",), "the subtraction walk of a and b",
          "the difference and the minimum of a and b", _PAIR, "b == 0", "a",
          "abs(a - b), min(a, b)", "abs(a - b), min(a, b)",
          lambda a, b: None if b == 0 else (abs(a - b), min(a, b))),
    _Walk(("doubling",), "the doubling walk of a and b", "2 * a and b / 2 rounded down", _PAIR,
          "b == 0", "a", "2 * a, b // 2", "2 * a, b / 2",
          lambda a, b: None if b == 0 else (2 * a, b // 2)),
)  # fmt: skip


@dataclass(frozen=True)
class _Measure:
    words: tuple[str, ...]
    titles: tuple[str, str, str]
    step: str  # {} is the number that is seen
    python: str  # {v} is that number, {f} the recursive call
    other: str
    measure: Callable[[list[int]], Any]


_MEASURES = (
    _Measure(("steps",), ("Recursive count of steps of", "Number of steps by recursion of",
                          "Recursively count the steps of"),
             "Add one to the result for these", "1 + {f}", "1 + {f}", len),
    _Measure(("sum",), ("Recursive sum of the numbers of", "Add up by recursion the numbers of",
                        "Recursively total the numbers of"),
             "Add {} to the result for these", "{v} + {f}", "{v} + {f}", sum),
    _Measure(("square", "sum"), ("Recursive sum of the squares of",
                                 "Add up by recursion the squares of",
                                 "Recursively total the squares of"),
             "Add the square of {} to the result for these", "{v} ** 2 + {f}", "{v} * {v} + {f}",
             lambda seen: sum(x * x for x in seen)),
    _Measure(("even", "count"), ("Recursive count of the even numbers of",
                                 "Count by recursion the even numbers of",
                                 "Recursively count the even numbers of"),
             "Add one to the result for these if {} is even",
             "int({v} % 2 == 0) + {f}", "({v} % 2 == 0 ? 1 : 0) + {f}",
             lambda seen: sum(x % 2 == 0 for x in seen)),
    _Measure(("odd", "count"), ("Recursive count of the odd numbers of",
                                "Count by recursion the odd numbers of",
                                "Recursively count the odd numbers of"),
             "Add one to the result for these if {} is odd", "{v} % 2 + {f}", "{v} % 2 + {f}",
             lambda seen: sum(x % 2 for x in seen)),
    _Measure(("even", "sum"), ("Recursive sum of the even numbers of",
                               "Add up by recursion the even numbers of",
                               "Recursively total the even numbers of"),
             "Add {} to the result for these if it is even",
             "({v} if {v} % 2 == 0 else 0) + {f}", "({v} % 2 == 0 ? {v} : 0) + {f}",
             lambda seen: sum(x for x in seen if x % 2 == 0)),
    _Measure(("odd", "sum"), ("Recursive sum of the odd numbers of",
                              "Add up by recursion the odd numbers of",
                              "Recursively total the odd numbers of"),
             "Add {} to the result for these if it is odd",
             "({v} if {v} % 2 == 1 else 0) + {f}", "({v} % 2 == 1 ? {v} : 0) + {f}",
             lambda seen: sum(x for x in seen if x % 2 == 1)),
    _Measure(("list",), ("Recursive list of the numbers of", "Collect by recursion the numbers of",
                         "Recursively list the numbers of"),
             "Put {} before the result for these", "[{v}, *{f}]", "[{v}, ...{f}]", list),
)  # fmt: skip


def _walk_body(how: _Measure, walk: _Walk, language: str, name: str) -> str:
    arguments = walk.python if language == "python" else c_like(walk.other, language)
    if language == "javascript" and "?" not in arguments:
        # A division that may leave a remainder: the others are guarded by a test.
        arguments = re.sub(r"(\w) / 2", r"Math.floor(\1 / 2)", arguments)
    call = f"{name}({arguments})"
    if how.words == ("list",) and language in ("java", "cpp"):
        lines = {
            "java": f"List<Integer> seen = new ArrayList<>();\nseen.add({walk.seen});\n"
            f"seen.addAll({call});\nreturn seen;",
            "cpp": f"vector<int> seen = {call};\nseen.insert(seen.begin(), {walk.seen});\n"
            "return seen;",
        }[language]
        base = "new ArrayList<>()" if language == "java" else "{}"
        return _guard(language, walk.stop, base, lines)
    code = how.python if language == "python" else c_like(how.other, language)
    returned = f"return {code.format(v=walk.seen, f=call)}"
    base = "[]" if how.words == ("list",) else "0"
    return _guard(language, walk.stop, base, returned + ("" if language == "python" else ";"))


def _walk_task(how: _Measure, walk: _Walk) -> Task:
    def solve(*start: int) -> Any:
        seen, now = [], start
        while (following := walk.after(*now)) is not None:
            seen.append(now[0])
            now = following
        return how.measure(seen)

    words = (*walk.words, *how.words)
    base = "an empty list" if how.words == ("list",) else "0"
    stop = walk.stop.replace("==", "is")
    texts = tuple(
        (f"{how.titles[i]} {walk.title}",
         (f"Return {base} if {stop}" if i % 2 == 0 else f"Stop with {base} when {stop}",
          f"Else go on with {walk.rule}", how.step.format(walk.seen)))
        for i in range(3)
    )  # fmt: skip
    return Task(
        family=FAMILY,
        slug=f"walk.{'_'.join(how.words)}.{'_'.join(walk.words)}",
        words=words,
        params=walk.params,
        returns="intlist" if how.words == ("list",) else "int",
        texts=texts,
        bodies={
            language: _walk_body(how, walk, language, _own_name(words, language))
            for language in CORPUS_LANGUAGES
        },
        solve=solve,
    )


def tasks() -> Iterator[Task]:
    for edit in _EDITS:
        for letters in _LETTERS:
            yield _string_task(edit, letters)
    for how in _MEASURES:
        for walk in _WALKS:
            yield _walk_task(how, walk)
