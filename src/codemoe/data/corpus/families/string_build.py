"""Build a text from a part of another: choose characters, change them, arrange the outcome."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from textwrap import indent

from codemoe.data.corpus.task import Param, Task

FAMILY = "string_build"


@dataclass(frozen=True)
class _Selection:
    """A slice of the text: from an index to another one in steps (`java_start` and so on)."""

    key: str
    words: tuple[str, ...]
    nouns: tuple[str, ...]
    python: str
    javascript: str
    java: str  # the part as an expression, or "" where a loop with a step collects it
    cpp: str
    choose: Callable[[str], str]
    loop: tuple[int, int] = (0, 1)  # the first index and the step of that loop


@dataclass(frozen=True)
class _Change:
    """What happens to every chosen character.

    `python` and `javascript` are expressions of `part`. `java_step` and `cpp_step` append the
    changed `c` to `result`; `java_whole` and `cpp_whole` change the whole text at once, if any can.
    """

    key: str
    words: tuple[str, ...]
    phrases: tuple[str, ...]  # the comment's sentence
    titles: tuple[str, ...]  # follows the selection in the title
    python: str
    javascript: str
    java_step: str
    cpp_step: str
    apply: Callable[[str], str]
    java_whole: str = ""
    cpp_whole: str = ""


@dataclass(frozen=True)
class _Arrangement:
    """What is made of `part` in the end; in Java and C++ lines with `return`."""

    key: str
    words: tuple[str, ...]
    titles: tuple[str, ...]
    phrases: tuple[str, ...]
    python: str
    javascript: str
    java: str  # of a String
    cpp: str
    arrange: Callable[[str, str], str]
    java_builder: str  # of a StringBuilder


def _swap(part: str) -> str:
    return "".join(c.lower() if "A" <= c <= "Z" else c.upper() for c in part)


def _shift(part: str) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    table = dict(zip(letters, letters[1:] + "a", strict=True))
    return "".join(table.get(c, c) for c in part)


_STRIDE = "[...text].filter((_, i) => {}).join('')"

_SELECTIONS = (
    _Selection("whole", ("text",), ("text", "whole text"), "text", "text", "text", "text",
               lambda t: t),
    _Selection("evens", ("even", "positions"),
               ("characters at even positions", "characters at even indexes"),
               "text[::2]", _STRIDE.format("i % 2 === 0"), "", "", lambda t: t[::2], (0, 2)),
    _Selection("odds", ("odd", "positions"),
               ("characters at odd positions", "characters at odd indexes"),
               "text[1::2]", _STRIDE.format("i % 2 === 1"), "", "", lambda t: t[1::2], (1, 2)),
    _Selection("thirds", ("every", "third"),
               ("characters at every third position", "characters at indexes divisible by 3"),
               "text[::3]", _STRIDE.format("i % 3 === 0"), "", "", lambda t: t[::3], (0, 3)),
    _Selection("firsthalf", ("first", "half"),
               ("first half of the text rounded down", "shorter first half of the text"),
               "text[:len(text) // 2]", "text.slice(0, Math.floor(text.length / 2))",
               "text.substring(0, text.length() / 2)", "text.substr(0, text.size() / 2)",
               lambda t: t[: len(t) // 2]),
    _Selection("secondhalf", ("second", "half"),
               ("second half of the text rounded up", "longer second half of the text"),
               "text[len(text) // 2:]", "text.slice(Math.floor(text.length / 2))",
               "text.substring(text.length() / 2)", "text.substr(text.size() / 2)",
               lambda t: t[len(t) // 2 :]),
    _Selection("butfirst", ("all", "but", "first"),
               ("text without its first character", "characters after the first"),
               "text[1:]", "text.slice(1)", "text.substring(1)", "text.substr(1)",
               lambda t: t[1:]),
    _Selection("butlast", ("all", "but", "last"),
               ("text without its last character", "characters before the last"),
               "text[:-1]", "text.slice(0, -1)", "text.substring(0, text.length() - 1)",
               "text.substr(0, text.size() - 1)", lambda t: t[:-1]),
    _Selection("firstthree", ("first", "three"),
               ("first three characters", "prefix of at most 3 characters"),
               "text[:3]", "text.slice(0, 3)", "text.substring(0, Math.min(3, text.length()))",
               "text.substr(0, 3)", lambda t: t[:3]),
    _Selection("lastthree", ("last", "three"),
               ("last three characters", "suffix of at most 3 characters"),
               "text[-3:]", "text.slice(-3)", "text.substring(Math.max(0, text.length() - 3))",
               "text.substr(max(0, (int)text.size() - 3))", lambda t: t[-3:]),
)  # fmt: skip

_CHANGES = (
    _Change("same", (), ("", ""), ("", ""), "part", "part", "result.append(c);", "result += c;",
            lambda s: s, "part", "part"),
    _Change("upper", ("upper",), ("Turn all letters to upper case", "Make the letters capital"),
            ("in upper case", "in capital letters"),
            "part.upper()", "part.toUpperCase()", "result.append(Character.toUpperCase(c));",
            "result += toupper(c);", str.upper, "part.toUpperCase()"),
    _Change("swap", ("swapped",),
            ("Turn small letters to capital ones and capital ones to small ones",
             "Change the case of every letter"),
            ("with the case swapped", "in the opposite case"),
            "part.swapcase()",
            "[...part]\n    .map((c) => (c === c.toUpperCase() ? c.toLowerCase() : "
            "c.toUpperCase()))\n    .join('')",
            "result.append(Character.isUpperCase(c) ? Character.toLowerCase(c) : "
            "Character.toUpperCase(c));",
            "result += isupper(c) ? tolower(c) : toupper(c);", _swap),
    _Change("doubled", ("doubled",),
            ("Write every character twice", "Write two copies of each character"),
            ("with doubled characters", "with each character twice"),
            '"".join(c * 2 for c in part)', "part.replace(/./g, '$&$&')",
            "result.append(c).append(c);", "result += string(2, c);",
            lambda s: "".join(c + c for c in s)),
    _Change("shifted", ("shifted",),
            ("Replace each small letter with the next one , z with a",
             "Shift small letters by one in the alphabet , a follows z"),
            ("with small letters shifted by one", "with the next small letters"),
            '"".join(chr((ord(c) - 96) % 26 + 97) if c.islower() else c for c in part)',
            "part\n    .replace(/[a-z]/g, (c) => "
            "String.fromCharCode((c.charCodeAt(0) - 96) % 26 + 97))",
            "result.append(Character.isLowerCase(c) ? (char) ((c - 'a' + 1) % 26 + 'a') : c);",
            "result += islower(c) ? (c - 'a' + 1) % 26 + 'a' : c;", _shift),
    _Change("starred", ("starred",),
            ("Put a star in the place of each capital letter",
             "Replace the capital letters with *"),
            ("with stars for capital letters", "with capital letters hidden"),
            '"".join("*" if c.isupper() else c for c in part)', "part.replace(/[A-Z]/g, '*')",
            "result.append(Character.isUpperCase(c) ? '*' : c);",
            "result += isupper(c) ? '*' : c;",
            lambda s: "".join("*" if "A" <= c <= "Z" else c for c in s)),
    _Change("alternating", ("alternating",),
            ("Turn its characters to upper and lower case by turns , upper first",
             "Alternate upper and lower case from the first character"),
            ("in alternating case", "with upper and lower case by turns"),
            '"".join(c.lower() if i % 2 else c.upper() for i, c in enumerate(part))',
            "[...part]\n    .map((c, i) => (i % 2 ? c.toLowerCase() : c.toUpperCase()))\n"
            "    .join('')",
            "boolean upper = result.length() % 2 == 0;\n"
            "result.append(upper ? Character.toUpperCase(c) : Character.toLowerCase(c));",
            "result += result.size() % 2 == 0 ? toupper(c) : tolower(c);",
            lambda s: "".join(c.lower() if i % 2 else c.upper() for i, c in enumerate(s))),
)  # fmt: skip

_ARRANGEMENTS = (
    _Arrangement("plain", ("take",), ("Take the {}", "Build the {}", "The {}"),
                 ("Return the outcome", "Return this text"), "part", "part",
                 "return part;", "return part;", lambda s, t: s, "return part.toString();"),
    _Arrangement("reversed", ("reverse",),
                 ("Reverse the {}", "Reverse order of the {}", "Turn round the {}"),
                 ("Return it in reverse order", "Read it from the end to the start"),
                 "part[::-1]", "[...part].reverse().join('')",
                 "return new StringBuilder(part).reverse().toString();",
                 "return string(part.rbegin(), part.rend());", lambda s, t: s[::-1],
                 "return part.reverse().toString();"),
    _Arrangement("twice", ("repeat",), ("Repeat the {}", "Two times the {}", "Write twice the {}"),
                 ("Return it two times in a row", "Return it followed by itself"),
                 "part * 2", "part.repeat(2)", "return part.repeat(2);", "return part + part;",
                 lambda s, t: s + s, "return part.toString().repeat(2);"),
    _Arrangement("mirrored", ("mirror",),
                 ("Mirror the {}", "Palindrome of the {}", "Reflect the {}"),
                 ("Return it followed by its reverse", "Append its characters in reverse order"),
                 "part + part[::-1]", "part + [...part].reverse().join('')",
                 "return part + new StringBuilder(part).reverse();",
                 "return part + string(part.rbegin(), part.rend());", lambda s, t: s + s[::-1],
                 "return part.toString() + part.reverse();"),
    _Arrangement("boxed", ("box",), ("Box the {}", "Put in brackets the {}", "Surround the {}"),
                 ("Return it between [ and ]", "Put [ before and ] behind it"),
                 'f"[{part}]"', "`[${part}]`", 'return "[" + part + "]";',
                 'return "[" + part + "]";', lambda s, t: "[" + s + "]",
                 'return "[" + part + "]";'),
    _Arrangement("dashed", ("dash",),
                 ("Dash the {}", "Separate with dashes the {}", "Spread the {}"),
                 ("Return it with a dash between each two characters",
                  "Join its characters with dashes"),
                 '"-".join(part)', "[...part].join('-')",
                 'return String.join("-", part.split(""));',
                 "string result;\nfor (char c : part) {\n    if (!result.empty()) result += '-';\n"
                 "    result += c;\n}\nreturn result;",
                 lambda s, t: "-".join(s), 'return String.join("-", part.toString().split(""));'),
    _Arrangement("padded", ("pad",), ("Pad the {}", "Extend to width 8 the {}", "Fill up the {}"),
                 ("Put dots before it up to a length of 8", "Fill it with dots on the left to "
                  "width 8"),
                 'part.rjust(8, ".")', "part.padStart(8, '.')",
                 'return ".".repeat(Math.max(0, 8 - part.length())) + part;',
                 "return string(max(0, 8 - (int)part.size()), '.') + part;",
                 lambda s, t: "." * (8 - len(s)) + s,
                 'return ".".repeat(Math.max(0, 8 - part.length())) + part;'),
    _Arrangement("appended", ("append",), ("Append the {}", "Text followed by the {}",
                                           "Put behind the text the {}"),
                 ("Return the given text followed by it", "Put it behind the given text"),
                 "text + part", "text + part", "return text + part;", "return text + part;",
                 lambda s, t: t + s, "return text + part;"),
)  # fmt: skip


def _python(selection: _Selection, change: _Change, arrangement: _Arrangement) -> str:
    outcome = arrangement.python
    value = change.python.replace("part", selection.python)
    if outcome == "part":
        return f"return {value}"
    # Short steps go into one line, a join or a value that is used twice gets a name.
    once = outcome.count("part") == 1 and "{part}" not in outcome
    if value == "text" or (once and value.startswith("text")):
        return f"return {outcome.replace('part', value)}"
    return f"part = {value}\nreturn {outcome}"


def _javascript(selection: _Selection, change: _Change, arrangement: _Arrangement) -> str:
    outcome, part = arrangement.javascript, selection.javascript
    chars = part.removesuffix(".join('')") if part.startswith("[...") else f"[...{part}]"
    value = change.javascript.replace("[...part]", chars).replace("part", part)
    if outcome == "part":
        return f"return {value};"
    if value == "text":
        return f"return {outcome.replace('part', value)};"
    return f"const part = {value};\nreturn {outcome};"


def _java(selection: _Selection, change: _Change, arrangement: _Arrangement) -> str:
    if selection.java and change.java_whole:
        value = change.java_whole.replace("part", selection.java)
        if value == "text" or arrangement.java == "return part;":
            return arrangement.java.replace("part", value)
        return f"String part = {value};\n{arrangement.java}"
    start, step = selection.loop
    if selection.java:
        head, first = f"for (char c : {selection.java}.toCharArray()) {{", ""
    else:
        head = f"for (int i = {start}; i < text.length(); i += {step}) {{"
        first = "    char c = text.charAt(i);\n"
    inner = change.java_step.replace("result", "part")
    if first and inner.count("c)") == 1 and change.key == "same":
        first, inner = "", "part.append(text.charAt(i));"
    return (
        f"StringBuilder part = new StringBuilder();\n{head}\n{first}{indent(inner, '    ')}\n}}\n"
        f"{arrangement.java_builder}"
    )


def _cpp(selection: _Selection, change: _Change, arrangement: _Arrangement) -> str:
    if selection.cpp and change.cpp_whole:
        if selection.cpp == "text" or arrangement.cpp == "return part;":
            return arrangement.cpp.replace("part", selection.cpp)
        return f"string part = {selection.cpp};\n{arrangement.cpp}"
    start, step = selection.loop
    inner = change.cpp_step.replace("result", "part")
    if selection.cpp:
        head = f"for (char c : {selection.cpp}) {{"
    else:
        head = f"for (size_t i = {start}; i < text.size(); i += {step}) {{"
        inner = "part += text[i];" if change.key == "same" else f"char c = text[i];\n{inner}"
    return f"string part;\n{head}\n{indent(inner, '    ')}\n}}\n{arrangement.cpp}"


def tasks() -> Iterator[Task]:
    for i, selection in enumerate(_SELECTIONS):
        for j, change in enumerate(_CHANGES):
            for k, arrangement in enumerate(_ARRANGEMENTS):
                # Two fifths of the product; every pair of factors still meets.
                if (i + 2 * j + 3 * k) % 5 < 2 and (i, j, k) != (0, 0, 0):
                    yield _task(selection, change, arrangement)


def _task(selection: _Selection, change: _Change, arrangement: _Arrangement) -> Task:
    def solve(text: str) -> str:
        return arrangement.arrange(change.apply(selection.choose(text)), text)

    texts = []
    for i in range(3):
        noun = selection.nouns[i % 2]
        title = arrangement.titles[i].format(noun)
        # The third phrasing mixes the first two.
        changed, end = change.phrases[min(i, 1)], arrangement.phrases[i % 2]
        comments = [f"Take the {noun}", *([changed] if changed else []), end]
        texts.append((f"{title} {change.titles[i % 2]}".rstrip(), tuple(comments)))
    # Texts shorter than a character have none to leave out.
    short = 1 if selection.key in ("butfirst", "butlast") else 0
    return Task(
        family=FAMILY,
        slug=f"{selection.key}.{change.key}.{arrangement.key}",
        words=(*arrangement.words, *change.words, *selection.words),
        params=(Param("text", "str", min_size=short, max_size=9, alphabet="abcmyzzABYZ"),),
        returns="str",
        texts=tuple(texts),
        bodies={
            "python": _python(selection, change, arrangement),
            "javascript": _javascript(selection, change, arrangement),
            "java": _java(selection, change, arrangement),
            "cpp": _cpp(selection, change, arrangement),
        },
        solve=solve,
    )
