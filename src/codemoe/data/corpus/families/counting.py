"""Count how often each key occurs: numbers, words or characters, by themselves or by a property."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from textwrap import indent
from typing import Any

from codemoe.data.corpus.counting_vocabulary import QUESTIONS, Question
from codemoe.data.corpus.task import Param, Task

FAMILY = "counting"


@dataclass(frozen=True)
class _Key:
    """What is counted: a function of the items of the parameter.

    `kind` is the key's type, "int" or "str"; the expressions are of the item `x` ("c" is the
    character in Java and C++ texts).
    """

    key: str
    words: tuple[str, ...]  # plural, in a function's name
    nouns: tuple[str, ...]  # plural, "numbers" or "last digits of the numbers"
    param: Param
    kind: str
    python: str
    javascript: str
    java: str
    cpp: str
    of: Callable[[Any], Any]


_VALUES = Param("values", "ints", low=-6, high=6, max_size=9)
_NATURALS = Param("values", "ints", low=0, high=60, max_size=9)
_WORDS = Param("words", "strs", max_size=4, alphabet="abAB")
_TEXT = Param("text", "str", max_size=10, alphabet="aabcABCx")


def _int_key(key: str, words: str, nouns: tuple[str, str], param: Param, python: str,
             javascript: str, c_like: str, of: Callable[[int], int]) -> _Key:  # fmt: skip
    java = c_like.replace("abs(", "Math.abs(")
    return _Key(
        key, tuple(words.split()), nouns, param, "int", python, javascript, java, c_like, of
    )


_KEYS = (
    _int_key("self", "values", ("values", "numbers"), _VALUES, "x", "x", "x", lambda x: x),
    _int_key("abs", "absolutes", ("absolute values", "magnitudes of the numbers"), _VALUES,
             "abs(x)", "Math.abs(x)", "abs(x)", abs),
    _int_key("half", "halves", ("halves rounded down", "numbers divided by 2 and rounded down"),
             _NATURALS, "x // 2", "Math.floor(x / 2)", "x / 2", lambda x: x // 2),
    _int_key("lastdigit", "last digits", ("last digits", "units digits of the numbers"), _NATURALS,
             "x % 10", "x % 10", "x % 10", lambda x: x % 10),
    _int_key("mod3", "remainders by three", ("remainders by 3", "remainders of the division by 3"),
             _NATURALS, "x % 3", "x % 3", "x % 3", lambda x: x % 3),
    _int_key("mod4", "remainders by four", ("remainders by 4", "remainders of the division by 4"),
             _NATURALS, "x % 4", "x % 4", "x % 4", lambda x: x % 4),
    _int_key("tens", "tens", ("tens of the numbers", "numbers divided by 10 and rounded down"),
             _NATURALS, "x // 10", "Math.floor(x / 10)", "x / 10", lambda x: x // 10),
    _int_key("digitsum", "digit sums", ("digit sums", "sums of the tens and the last digit"),
             _NATURALS, "x // 10 + x % 10", "Math.floor(x / 10) + x % 10", "x / 10 + x % 10",
             lambda x: x // 10 + x % 10),
    _Key("word", ("words",), ("words", "texts of the array"), _WORDS, "str", "x", "x", "x", "x",
         lambda w: w),
    _Key("length", ("word", "lengths"), ("lengths of the words", "word lengths"), _WORDS, "int",
         "len(x)", "x.length", "x.length()", "x.size()", len),
    _Key("first", ("first", "letters"), ("first letters of the words", "initial letters"), _WORDS,
         "str", "x[0]", "x[0]", "x.substring(0, 1)", "x.substr(0, 1)", lambda w: w[0]),
    _Key("last", ("last", "letters"), ("last letters of the words", "final letters"), _WORDS,
         "str", "x[-1]", "x[x.length - 1]", "x.substring(x.length() - 1)",
         "x.substr(x.size() - 1)", lambda w: w[-1]),
    _Key("prefix", ("prefixes",), ("prefixes of up to two letters",
                                   "beginnings of at most 2 letters"), _WORDS, "str",
         "x[:2]", "x.slice(0, 2)", "x.substring(0, Math.min(2, x.length()))", "x.substr(0, 2)",
         lambda w: w[:2]),
    _Key("char", ("characters",), ("characters", "characters of the text"), _TEXT, "str",
         "x", "x", "String.valueOf(x)", "string(1, x)", lambda c: c),
    _Key("lower", ("letters", "ignoring", "case"), ("letters turned to lower case",
                                                   "lower case forms of the letters"),
         _TEXT, "str", "x.lower()", "x.toLowerCase()",
         "String.valueOf(Character.toLowerCase(x))", "string(1, tolower(x))", str.lower),
)  # fmt: skip


def _python_parts(key: _Key) -> dict[str, str]:
    name = key.param.name
    plain = key.python == "x"
    generator = f"{key.python} for x in {name}"
    return {
        "Counter(KEYS)": f"Counter({name})" if plain else f"Counter({generator})",
        "SET": f"set({name})" if plain else f"{{{generator}}}",
        "KEYS": name if plain else f"({generator})",
        "LET\n": "" if plain else f"keys = [{generator}]\n",
        "(keys)": f"({name})" if plain else "(keys)",
        "NONE": "0" if key.kind == "int" else '""',
    }


def _javascript_parts(key: _Key) -> dict[str, str]:
    name = key.param.name
    plain = key.javascript == "x"
    array = f"[...{name}]" if key.param.type == "str" else name
    items = name if plain else f"{array}.map((x) => {key.javascript})"
    return {
        "JSLET\n": "" if plain else f"const keys = {items};\n",
        "(keys)": f"({name})" if plain else "(keys)",
        "keys.length": f"{name}.length" if plain else "keys.length",
        "ITEMS": items,
        "SORT": "sort((a, b) => a - b)" if key.kind == "int" else "sort()",
        "NONE": "0" if key.kind == "int" else "''",
    }


def _loop_body(key: _Key, language: str, text: str) -> str:
    """The body with its LOOP written out, then the names of types filled in."""
    name = key.param.name
    expression = key.java if language == "java" else key.cpp
    item = {"ints": "value", "strs": "word", "str": "c"}[key.param.type]
    expression = expression.replace("x.", f"{item}.").replace("(x)", f"({item})")
    expression = expression.replace(", x)", f", {item})")
    if key.param.type == "ints" or expression == "x":
        expression = " ".join(item if part == "x" else part for part in expression.split())
    if language == "java":
        head = {
            "ints": f"for (int value : {name})",
            "strs": f"for (String word : {name})",
            "str": f"for (char c : {name}.toCharArray())",
        }[key.param.type]
    else:
        head = {
            "ints": f"for (int value : {name})",
            "strs": f"for (const auto& word : {name})",
            "str": f"for (char c : {name})",
        }[key.param.type]
    if "LOOP(" in text:
        start = text.index("LOOP(")
        depth, end = 0, start + 4
        while True:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if depth == 0:
                break
            end += 1
        inner = text[start + 5 : end].replace("KEY", expression)
        text = f"{text[:start]}{head} {{\n{indent(inner, '    ')}\n}}{text[end + 1 :]}"
    integer = key.kind == "int"
    names = {"java": ("int", "Integer", "0") if integer else ("String", "String", '""'),
             "cpp": ("int", "int", "0") if integer else ("string", "string", '""')}  # fmt: skip
    plain, boxed, none = names[language]
    text = text.replace("map<T", f"map<{plain}").replace("set<T", f"set<{plain}")
    text = text.replace("vector<T", f"vector<{plain}").replace("BOX", boxed).replace("NONE", none)
    text = text.replace("T best{}", "int best = 0" if integer else "string best")
    return text.replace("T best", f"{plain} best").replace("T key", f"{plain} key")


def _bodies(question: Question, key: _Key) -> dict[str, str]:
    python, javascript = question.bodies["python"], question.bodies["javascript"]
    for mark, text in _python_parts(key).items():
        python = python.replace(mark, text)
    for mark, text in _javascript_parts(key).items():
        javascript = javascript.replace(mark, text)
    return {
        "python": python,
        "javascript": javascript,
        "java": _loop_body(key, "java", question.bodies["java"]),
        "cpp": _loop_body(key, "cpp", question.bodies["cpp"]),
    }


def tasks() -> Iterator[Task]:
    for question in QUESTIONS:
        for key in _KEYS:
            yield _task(question, key)


def _task(question: Question, key: _Key) -> Task:
    none: Any = 0 if key.kind == "int" else ""

    def solve(items: Any, *rest: int) -> Any:
        keys = [key.of(item) for item in items]
        return question.solve(keys, *rest, *([none] if question.returns == "key" else []))

    texts = []
    for i in range(3):
        noun = key.nouns[i % 2]
        step = question.steps[i].replace("{}", noun)
        step = step.replace("{none}", "0" if key.kind == "int" else "an empty text")
        first = ("Count how often each of the {} occurs", "Count the {} in a table",
                 "Make a table of counts of the {}")[i].format(noun)  # fmt: skip
        source = {"ints": "numbers", "strs": "words", "str": "characters"}[key.param.type]
        if not question.counted:
            first = (f"Go through the {source}", f"Look at each of the {source}",
                     f"Take the {source} one by one")[i]  # fmt: skip
        texts.append((question.titles[i].format(noun), (first, step)))
    returns = {"key": key.kind, "keys": f"{key.kind}list"}.get(question.returns, question.returns)
    k = (Param("k", "int", low=1, high=3),) if question.k else ()
    return Task(
        family=FAMILY,
        slug=f"{question.key}.{key.key}",
        words=(*question.before, *key.words, *question.after),
        params=(key.param, *k),
        returns=returns,
        texts=tuple(texts),
        bodies=_bodies(question, key),
        solve=solve,
    )
