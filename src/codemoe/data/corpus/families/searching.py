"""Find an item: one that meets a condition by going through, or a bound by halving sorted data."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.bound_search import bound_tasks
from codemoe.data.corpus.task import Param, Task
from codemoe.data.corpus.vocabulary import INT_PREDICATES, IntPredicate, c_like

FAMILY = "searching"


@dataclass(frozen=True)
class _Condition:
    """A condition on an item `{x}`, perhaps about the parameter `target`."""

    key: str
    words: tuple[str, ...]
    nouns: tuple[str, ...]  # singular: "even number"
    python: str
    c_like: str
    holds: Callable[[int, int], bool]  # of the item and the target
    targets: tuple[int, int] | None = None  # the target's domain, None without one

    def code(self, language: str, x: str) -> str:
        if language == "python":
            return self.python.replace("{x}", x)
        return c_like(self.c_like.replace("{x}", x), language)


def _plain(chosen: IntPredicate, words: tuple[str, ...], nouns: tuple[str, ...]) -> _Condition:
    return _Condition(
        chosen.key, words, nouns, chosen.python, chosen.c_like, lambda x, _: chosen.holds(x)
    )


_BY_KEY = {chosen.key: chosen for chosen in INT_PREDICATES}
_CONDITIONS = (
    _plain(_BY_KEY["even"], ("even",), ("even number", "even value")),
    _plain(_BY_KEY["odd"], ("odd",), ("odd number", "odd value")),
    _plain(_BY_KEY["positive"], ("positive",), ("positive number", "number above zero")),
    _plain(_BY_KEY["negative"], ("negative",), ("negative number", "number below zero")),
    _plain(_BY_KEY["multiple3"], ("multiple", "of", "three"),
           ("multiple of 3", "number divisible by 3")),
    _plain(_BY_KEY["multiple5"], ("multiple", "of", "five"),
           ("multiple of 5", "number divisible by 5")),
    _plain(_BY_KEY["above10"], ("above", "ten"), ("number greater than 10", "value above 10")),
    _plain(_BY_KEY["below5"], ("below", "five"), ("number less than 5", "value below 5")),
    _plain(_BY_KEY["between2and12"], ("between", "two", "and", "twelve"),
           ("number between 2 and 12", "value from 2 to 12")),
    _Condition("abovetarget", ("above", "target"),
               ("number greater than the target", "value above the target"),
               "{x} > target", "{x} > target", lambda x, t: x > t, (-5, 15)),
    _Condition("belowtarget", ("below", "target"),
               ("number less than the target", "value below the target"),
               "{x} < target", "{x} < target", lambda x, t: x < t, (-3, 18)),
    _Condition("multipleoftarget", ("multiple", "of", "target"),
               ("multiple of the target", "number divisible by the target"),
               "{x} % target == 0", "{x} % target == 0", lambda x, t: x % t == 0, (1, 6)),
    _Condition("withintarget", ("within", "target"),
               ("number of magnitude up to the target",
                "value within the target of zero"),
               "abs({x}) <= target", "abs({x}) <= target", lambda x, t: abs(x) <= t, (0, 12)),
)  # fmt: skip


@dataclass(frozen=True)
class _Search:
    """Which of the items that meet the condition `{c}` (of x), `{v}` (of values[i])."""

    key: str
    result: str  # index or value
    titles: tuple[str, ...]
    steps: tuple[tuple[str, ...], tuple[str, ...]]
    python: str
    javascript: str
    java: str
    cpp: str  # {lambda} is the condition as a lambda
    choose: Callable[[list[int], list[int]], int]  # of the values and the indices that meet it


def _loop(head: str, inner: str, end: str, before: str = "") -> str:
    return f"{before}for ({head}) {{\n    if ({{v}}) {inner}\n}}\nreturn {end};"


_UP = "int i = 0; i < values.length; i++"
_CPP_UP = "size_t i = 0; i < values.size(); i++"
_SECOND = "{\n        count++;\n        if (count == 2) return %s;\n    }"
_EXTREME = "for (%s) {\n    if ({v} && (best < 0 || values[i] %s values[best])) best = i;\n}\n"
_FIRST_STEPS = (
    ("Go through the array from the start", "Return the index of the first {} , or -1"),
    ("Check the items in order", "Stop at the first {} , return -1 if there is none"),
)
_LAST_STEPS = (
    ("Go through the array from the end", "Return the index of the {} , or -1"),
    ("Check the items from back to front", "Stop at a {} , return -1 if there is none"),
)


def _extreme(word: str, other: str, sign: str, pick: str) -> _Search:
    loop = _EXTREME % (_UP, sign)
    cpp_loop = _EXTREME % ("int i = 0; i < (int) values.size(); i++", sign)
    return _Search(
        word, "index",
        (f"Index of the {word} {{}}", f"Find where the {other} {{}} is",
         f"Position of the {word} {{}}"),
        ((f"Keep the index of the {word} so far", "Of ties return the first , -1 if there is none"),
         (f"Compare each one with the {other} so far", "Of ties take the first , or -1 if none")),
        f"matches = [i for i, x in enumerate(values) if {{c}}]\n"
        f"return {pick}(matches, key=lambda i: values[i], default=-1)",
        "let best = -1;\nvalues.forEach((x, i) => {\n"
        f"    if ({{c}} && (best < 0 || x {sign} values[best])) best = i;\n}});\nreturn best;",
        f"int best = -1;\n{loop}return best;",
        f"int best = -1;\n{cpp_loop}return best;",
        lambda values, found: next(
            (i for v in sorted((values[i] for i in found), reverse=sign == ">")
             for i in found if values[i] == v), -1),
    )  # fmt: skip


_SEARCHES = (
    _Search("first", "index",
            ("Index of the first {}", "Find where the first {} is", "Position of the first {}"),
            _FIRST_STEPS,
            "return next((i for i, x in enumerate(values) if {c}), -1)",
            "return values.findIndex((x) => {c});",
            _loop(_UP, "return i;", "-1"),
            "auto it = find_if(values.begin(), values.end(), {lambda});\n"
            "return it == values.end() ? -1 : it - values.begin();",
            lambda values, found: found[0] if found else -1),
    _Search("last", "index",
            ("Index of the last {}", "Find where the last {} is", "Position of the last {}"),
            _LAST_STEPS,
            "return max((i for i, x in enumerate(values) if {c}), default=-1)",
            "return values.findLastIndex((x) => {c});",
            _loop("int i = values.length - 1; i >= 0; i--", "return i;", "-1"),
            _loop("int i = (int) values.size() - 1; i >= 0; i--", "return i;", "-1"),
            lambda values, found: found[-1] if found else -1),
    _Search("second", "index",
            ("Index of the second {}", "Find where the second {} is", "Position of the second {}"),
            (("Go through the array and count each {}", "Return the index at the second , or -1"),
             ("Collect the index of each {}", "Return the second index , -1 if there is none")),
            "matches = [i for i, x in enumerate(values) if {c}]\n"
            "return matches[1] if len(matches) > 1 else -1",
            "const matches = [...values.keys()].filter((i) => {v});\nreturn matches[1] ?? -1;",
            _loop(_UP, _SECOND % "i", "-1", "int count = 0;\n"),
            _loop(_CPP_UP, _SECOND % "i", "-1", "int count = 0;\n"),
            lambda values, found: found[1] if len(found) > 1 else -1),
    _extreme("largest", "greatest", ">", "max"),
    _extreme("smallest", "least", "<", "min"),
    _Search("first", "value",
            ("First {} of an array", "Find the first {}", "The first {} in the array"),
            (("Go through the array from the start", "Return the first {} , or 0"),
             ("Check the items in order", "Stop at the first {} , return 0 if there is none")),
            "return next((x for x in values if {c}), 0)",
            "return values.find((x) => {c}) ?? 0;",
            "for (int x : values) {\n    if ({c}) return x;\n}\nreturn 0;",
            "auto it = find_if(values.begin(), values.end(), {lambda});\n"
            "return it == values.end() ? 0 : *it;",
            lambda values, found: values[found[0]] if found else 0),
    _Search("last", "value",
            ("Last {} of an array", "Find the last {}", "The last {} in the array"),
            (("Go through the array from the end", "Return the {} , or 0"),
             ("Check the items from back to front", "Stop at a {} , return 0 if there is none")),
            "return next((x for x in reversed(values) if {c}), 0)",
            "return values.findLast((x) => {c}) ?? 0;",
            _loop("int i = values.length - 1; i >= 0; i--", "return values[i];", "0"),
            "auto it = find_if(values.rbegin(), values.rend(), {lambda});\n"
            "return it == values.rend() ? 0 : *it;",
            lambda values, found: values[found[-1]] if found else 0),
    _Search("second", "value",
            ("Second {} of an array", "Find the second {}", "The second {} in the array"),
            (("Go through the array and count each {}", "Return the second one , or 0"),
             ("Collect each {}", "Return the second of them , 0 if there is none")),
            "matches = [x for x in values if {c}]\nreturn matches[1] if len(matches) > 1 else 0",
            "return values.filter((x) => {c})[1] ?? 0;",
            "int count = 0;\nfor (int x : values) {\n    if ({c}) "
            + _SECOND % "x" + "\n}\nreturn 0;",
            "int count = 0;\nfor (int x : values) {\n    if ({c}) "
            + _SECOND % "x" + "\n}\nreturn 0;",
            lambda values, found: values[found[1]] if len(found) > 1 else 0),
)  # fmt: skip


def _body(search: _Search, condition: _Condition, language: str) -> str:
    text: str = getattr(search, language)
    about_x = condition.code(language, "x")
    capture = "[&]" if condition.targets else "[]"
    text = text.replace("{lambda}", f"{capture}(int x) {{ return {about_x}; }}")
    return text.replace("{c}", about_x).replace("{v}", condition.code(language, "values[i]"))


def _task(search: _Search, condition: _Condition) -> Task:
    def solve(values: list[int], target: int = 0) -> int:
        found = [i for i in range(len(values)) if condition.holds(values[i], target)]
        return search.choose(values, found)

    texts = []
    for i in range(3):
        noun = condition.nouns[i % 2]
        steps = tuple(step.format(noun) for step in search.steps[(0, 1, 1)[i]])
        texts.append((search.titles[i].format(noun), steps))
    params = [Param("values", "ints")]
    if condition.targets:
        params.append(Param("target", "int", low=condition.targets[0], high=condition.targets[1]))
    named = ("index", "of", search.key) if search.result == "index" else ("find", search.key)
    return Task(
        family=FAMILY,
        slug=f"{search.key}{search.result}.{condition.key}",
        words=(*named, *condition.words),
        params=tuple(params),
        returns="int",
        texts=tuple(texts),
        bodies={
            language: _body(search, condition, language)
            for language in ("python", "javascript", "java", "cpp")
        },
        solve=solve,
    )


def tasks() -> Iterator[Task]:
    for search in _SEARCHES:
        for condition in _CONDITIONS:
            yield _task(search, condition)
    yield from bound_tasks(FAMILY)
