"""Texts made from one number n: word lists in the manner of FizzBuzz, and triangles of rows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from codemoe.data.corpus.sequence_vocabulary import COUNTING_LOOP, append, block, branch, new_list
from codemoe.data.corpus.task import CORPUS_LANGUAGES, Param, Task
from codemoe.data.corpus.vocabulary import c_like

FAMILY = "range_texts"

# --- Word lists in the manner of FizzBuzz ---------------------------------------------------------


@dataclass(frozen=True)
class _WordPair:
    first: str
    second: str
    p: int
    q: int


_WORD_PAIRS = (
    _WordPair("Fizz", "Buzz", 3, 5),
    _WordPair("Tick", "Tock", 2, 3),
    _WordPair("Ping", "Pong", 2, 5),
    _WordPair("Hip", "Hop", 4, 6),
    _WordPair("Foo", "Bar", 3, 4),
)

# What stands for a number that neither of the two divides.
_FALLBACKS = {
    "numbers": (("numbers",), ("write the number itself", "write the number")),
    "dots": (("dots",), ("write a dot", "put a dot")),
    "omitted": (("skips",), ("skip the number", "write nothing")),
}
_NUMBER = {"python": "str(i)", "javascript": "String(i)", "java": "String.valueOf(i)",
           "cpp": "to_string(i)"}  # fmt: skip


def _word_body(language: str, pair: _WordPair, both: bool, fallback: str, joined: bool) -> str:
    first = c_like(f"i % {pair.p} == 0", language) if language != "python" else f"i % {pair.p} == 0"
    second = first.replace(str(pair.p), str(pair.q), 1)
    one, two = f'"{pair.first}"', f'"{pair.second}"'
    other = {"numbers": _NUMBER[language], "dots": '"."', "omitted": ""}[fallback]
    start = [new_list(language, "words", "str")]
    as_text = language == "cpp" and joined
    if as_text:
        start = ["string text;"]

    def add(word: str) -> str:
        if as_text:
            return f'text += (text.empty() ? "" : " ") + {word};'
        return append(language, "words", word)

    if both or as_text:
        lines = _combined_word(language, (first, one), (second, two), both)
        empty = {"python": "not word", "javascript": 'word === ""', "java": "word.isEmpty()",
                 "cpp": "word.empty()"}[language]  # fmt: skip
        if not other:
            filled = {"python": "word", "javascript": 'word !== ""'}.get(language, f"!{empty}")
            lines += branch(language, filled, [add("word")])
        elif language in ("python", "javascript"):
            lines += [add(f"word {'or' if language == 'python' else '||'} {other}")]
        elif language == "java":
            lines += [add(f"{empty} ? {other} : word")]
        else:
            lines += [*branch(language, empty, [f"word = {other};"]), add("word")]
    elif language == "python":
        lines = [*block(language, f"if {first}", [add(one)]),
                 *block(language, f"elif {second}", [add(two)])]  # fmt: skip
        lines += block(language, "else", [add(other)]) if other else []
    else:
        inner = branch(language, second, [add(two)], [add(other)] if other else [])
        lines = block(language, f"if ({first})", [add(one)])
        lines = [*lines[:-1], f"}} else {inner[0]}", *inner[1:]]
    joins = {"python": '" ".join(words)', "javascript": 'words.join(" ")',
             "java": 'String.join(" ", words)', "cpp": "text"}  # fmt: skip
    result = joins[language] if joined else "words"
    end = "" if language == "python" else ";"
    return "\n".join(
        [*start, *block(language, COUNTING_LOOP[language], lines), f"return {result}{end}"]
    )


def _combined_word(
    language: str, first: tuple[str, str], second: tuple[str, str], both: bool
) -> list[str]:
    """Statements that set `word` to the words that apply, or to the first one of them."""
    if language == "python":
        return [f"word = {first[1]} * ({first[0]}) + {second[1]} * ({second[0]})"]
    if language == "cpp":
        inner = branch(language, second[0], [f"word += {second[1]};"])
        outer = branch(language, first[0], [f"word += {first[1]};"])
        if both:
            return ["string word;", *outer, *inner]
        return ["string word;", *outer[:-1], f"}} else {inner[0]}", *inner[1:]]
    kind = "const" if language == "javascript" else "String"
    one, two = (f'({condition} ? {word} : "")' for condition, word in (first, second))
    return [f"{kind} word = {one} + {two};"]


def _word_task(pair: _WordPair, both: bool, fallback: str, joined: bool) -> Task:
    tail, phrases = _FALLBACKS[fallback]

    def solve(n: int) -> str | list[str]:
        words = []
        for i in range(1, n + 1):
            parts = [pair.first] * (i % pair.p == 0) + [pair.second] * (i % pair.q == 0)
            if parts:
                words.append("".join(parts) if both else parts[0])
            elif fallback != "omitted":
                words.append(str(i) if fallback == "numbers" else ".")
        return " ".join(words) if joined else words

    name = f"{pair.first} {pair.second}"
    titles = (
        (f"{name} text up to n joined by spaces", f"Space separated {name} string from 1 to n",
         f"Join by spaces the {name} words from 1 to n")
        if joined
        else (f"{name} list up to n", f"Collect the {name} words from 1 to n",
              f"List of the {name} words from 1 to n")
    )  # fmt: skip
    rules = (
        ("Write both words if both divide", "Join the words if both divide")
        if both
        else (f"Write only {pair.first} if both divide", f"Use {pair.first} alone if both divide")
    )
    texts = []
    for i in range(3):
        what = (
            f"Multiples of {pair.p} give {pair.first} and of {pair.q} {pair.second}",
            f"Write {pair.first} if {pair.p} divides and {pair.second} if {pair.q} does",
        )[i % 2]
        comment = f"{rules[i % 2]} and {phrases[i % 2]} if neither does"
        texts.append((titles[i], (what, comment)))
    return Task(
        family=FAMILY,
        slug=f"words.{pair.first}.{'both' if both else 'first'}.{fallback}."
        f"{'text' if joined else 'list'}",
        words=("text" if joined else "list", pair.first.lower(), pair.second.lower(),
               "both" if both else "either", *tail),
        params=(Param("n", "int", low=0, high=24),),
        returns="str" if joined else "strlist",
        texts=tuple(texts),
        bodies={x: _word_body(x, pair, both, fallback, joined) for x in CORPUS_LANGUAGES},
        solve=solve,
    )  # fmt: skip


# --- Triangles: one string a row ------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """What row i is made of."""

    key: str
    titles: tuple[str, str]
    notes: tuple[str, str]
    apply: Callable[[int], str]
    code: dict[str, str]  # one expression, in the languages that need no inner loop
    each: str = ""  # the number that the inner loop over j adds in the others
    downward: bool = False


_ALPHABET = '"ABCDEFGHIJKLMNOPQRSTUVWXYZ"'

_ROWS = (
    _Row("stars", ("stars", "asterisks"), ("Row i has i stars", "Repeat a star i times in row i"),
         lambda i: "*" * i,
         {"python": '"*" * i', "javascript": '"*".repeat(i)', "java": '"*".repeat(i)',
          "cpp": "string(i, '*')"}),
    _Row("repeats", ("repeated numbers", "repeated row numbers"),
         ("Row i has i times the number i", "Repeat the number i in row i i times"),
         lambda i: str(i) * i,
         {"python": "str(i) * i", "javascript": "String(i).repeat(i)",
          "java": "String.valueOf(i).repeat(i)"},
         "i"),
    _Row("counts", ("counted numbers", "numbers counting up"),
         ("Row i has the numbers from 1 to i", "Write the numbers 1 to i in row i"),
         lambda i: "".join(str(j) for j in range(1, i + 1)),
         {"python": '"".join(str(j) for j in range(1, i + 1))',
          "javascript": 'Array.from({ length: i }, (_, k) => k + 1).join("")'},
         "j"),
    _Row("countdowns", ("counted down numbers", "numbers counting down"),
         ("Row i has the numbers from i down to 1", "Write the numbers i to 1 in row i"),
         lambda i: "".join(str(j) for j in range(i, 0, -1)),
         {"python": '"".join(str(j) for j in range(i, 0, -1))',
          "javascript": 'Array.from({ length: i }, (_, k) => i - k).join("")'},
         "j", True),
    _Row("letters", ("letters", "first letters"),
         ("Row i has the first i letters from A", "Write the letters from A to number i in row i"),
         lambda i: "".join(chr(64 + j) for j in range(1, i + 1)),
         {"python": f"{_ALPHABET}[:i]", "javascript": f"{_ALPHABET}.slice(0, i)",
          "java": f"{_ALPHABET}.substring(0, i)", "cpp": f"string({_ALPHABET}).substr(0, i)"}),
    _Row("odds", ("odd counts of stars", "odd counts of asterisks"),
         ("Row i has 2 times i minus 1 stars", "Repeat a star 2 * i - 1 times in row i"),
         lambda i: "*" * (2 * i - 1),
         {"python": '"*" * (2 * i - 1)', "javascript": '"*".repeat(2 * i - 1)',
          "java": '"*".repeat(2 * i - 1)', "cpp": "string(2 * i - 1, '*')"}),
    _Row("bits", ("ones and zeros", "alternating ones and zeros"),
         ("Row i has i digits 1 and 0 in turn", "Write i digits 1 0 1 0 in row i"),
         lambda i: ("10" * i)[:i],
         {"python": '("10" * i)[:i]', "javascript": '"10".repeat(i).slice(0, i)',
          "java": '"10".repeat(i).substring(0, i)'},
         "j % 2"),
    _Row("evens", ("even numbers", "even numbers counting up"),
         ("Row i has the even numbers from 2 to 2 times i", "Write 2 4 6 up to 2 * i in row i"),
         lambda i: "".join(str(2 * j) for j in range(1, i + 1)),
         {"python": '"".join(str(2 * j) for j in range(1, i + 1))',
          "javascript": 'Array.from({ length: i }, (_, k) => 2 * k + 2).join("")'},
         "2 * j"),
)  # fmt: skip


def _row_statements(language: str, row: _Row, indent: bool) -> tuple[list[str], str]:
    """Statements before the row's expression, and the expression."""
    pad = {"python": '" " * (n - i)', "javascript": '" ".repeat(n - i)',
           "java": '" ".repeat(n - i)', "cpp": "string(n - i, ' ')"}[language]  # fmt: skip
    if language in row.code:
        return [], f"{pad} + {row.code[language]}" if indent else row.code[language]
    head = "for (int j = i; j >= 1; j--)" if row.downward else "for (int j = 1; j <= i; j++)"
    if language == "cpp":
        start = f"string row{f'(n - i, {chr(39)} {chr(39)})' if indent else ''};"
        return [start, *block(language, head, [f"row += to_string({row.each});"])], "row"
    start = f"StringBuilder row = new StringBuilder({pad if indent else ''});"
    return [start, *block(language, head, [f"row.append({row.each});"])], "row.toString()"


def _triangle_body(language: str, row: _Row, growing: bool, indent: bool, joined: bool) -> str:
    before, expression = _row_statements(language, row, indent)
    numbers = "range(1, n + 1)" if growing else "range(n, 0, -1)"
    if language == "python":
        rows = f"{expression} for i in {numbers}"
        return f'return "/".join({rows})' if joined else f"return [{rows}]"
    head = COUNTING_LOOP[language] if growing else (
        f"for ({'let' if language == 'javascript' else 'int'} i = n; i >= 1; i--)"
    )  # fmt: skip
    start, name = [new_list(language, "rows", "str")], "rows"
    step = append(language, "rows", expression)
    if joined and language == "cpp":
        start, name = ["string text;"], "text"
        step = f'text += (text.empty() ? "" : "/") + {expression};'
    elif joined:
        name = {"javascript": 'rows.join("/")', "java": 'String.join("/", rows)'}[language]
    return "\n".join([*start, *block(language, head, [*before, step]), f"return {name};"])


def _triangle_task(row: _Row, growing: bool, indent: bool, joined: bool) -> Task:
    def solve(n: int) -> str | list[str]:
        order = range(1, n + 1) if growing else range(n, 0, -1)
        rows = [" " * (n - i if indent else 0) + row.apply(i) for i in order]
        return "/".join(rows) if joined else rows

    order_titles = ("Growing", "Ascending", "Growing") if growing else (
        "Shrinking", "Descending", "Shrinking")  # fmt: skip
    order_notes = ("for i from 1 to n", "from row 1 to row n") if growing else (
        "for i from n down to 1", "from row n to row 1")  # fmt: skip
    side = (
        ("right aligned", "indented", "right aligned") if indent else ("plain", "simple", "plain")
    )
    kinds = ("as rows joined by slashes", "as slash separated text",
             "as text joined by slashes") if joined else (
        "as a list of rows", "as rows in a list", "as a list")  # fmt: skip
    texts = []
    for i in range(3):
        title = f"{order_titles[i]} {side[i]} triangle of {row.titles[i % 2]} {kinds[i]}"
        note = f"{row.notes[(i // 2 + i) % 2]} {order_notes[(i + i // 2) % 2]}"
        spaces = "n minus i spaces" if indent else "no spaces"
        texts.append(
            (title, (note, (f"Put {spaces} before row i", f"Row i starts with {spaces}")[i % 2]))
        )
    return Task(
        family=FAMILY,
        slug=f"triangle.{row.key}.{'up' if growing else 'down'}.{'right' if indent else 'left'}."
        f"{'text' if joined else 'list'}",
        words=("text" if joined else "list", "growing" if growing else "shrinking",
               "right" if indent else "left", row.key, "triangle"),
        params=(Param("n", "int", low=0, high=9),),
        returns="str" if joined else "strlist",
        texts=tuple(texts),
        bodies={x: _triangle_body(x, row, growing, indent, joined) for x in CORPUS_LANGUAGES},
        solve=solve,
    )  # fmt: skip


def tasks() -> Iterator[Task]:
    flags = (False, True)
    for joined in flags:
        for pair in _WORD_PAIRS:
            for both in flags:
                for fallback in _FALLBACKS:
                    yield _word_task(pair, both, fallback, joined)
        for row in _ROWS:
            for growing in flags:
                for indent in flags:
                    yield _triangle_task(row, growing, indent, joined)
