"""C++ programs whose answers would decide for themselves what they are equal to.

The tests share a process with the program and compare with its operators, so three things are
refused before anything is compiled: comparison operators for what is not a class of the program's
own, an entry point that returns such a class although the suite asked for something else, and
macros that rename the words of types. An honest program does none of this; what it may do
(operators of its own classes, `#define int long long`) is left alone.
"""

import re

_NOISE = re.compile(
    r"//[^\n]*|/\*.*?\*/|R\"(\w*)\(.*?\)\1\"|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'", re.DOTALL
)
_TEMPLATE = re.compile(r"\btemplate\s*<[^<>]*(?:<[^<>]*>[^<>]*)*>")
_DEFINED = re.compile(
    r"\b(?:struct|class|union|enum(?:\s+(?:class|struct))?)\s+(\w+)"
    r"|\busing\s+(\w+)\s*=|\btypedef\b[^;]*?\b(\w+)\s*;"
)
_COMPARE = re.compile(
    r"\boperator\s*(==|!=|<=>|<=|>=|<|>|-|!|&&|\|\|)\s*(?:<[^<>()]*>\s*)?\(([^()]*(?:\([^()]*\)[^()]*)*)\)"
)
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(\([^)]*\))?[ \t]*(.*)$", re.MULTILINE)
_TYPES = (
    "int long short char bool float double void unsigned signed auto const std string vector "
    "map set pair tuple optional any unordered_map unordered_set size_t operator struct class "
    "int32_t int64_t list deque true false return if while for assert equal all_of abs fabs "
    "to_string sort min max "
)
_TYPE_WORDS = frozenset(_TYPES.split())
_HARMLESS = re.compile(
    r"(?:(?:std::)?(?:int|long|short|char|bool|float|double|unsigned|signed|"
    r"const|int32_t|int64_t|size_t|string)\s*)+"
)


def find_lie(program: str, prompt: str, entry_point: str | None) -> str | None:
    """What is refused in a program, in words for its author; None when there is nothing."""
    text = _NOISE.sub(" ", program)
    given = _NOISE.sub(" ", prompt)
    classes = _defined(text)
    own = classes - _defined(given)
    for name, parameters, meaning in _DEFINE.findall(text):
        if (name, parameters, meaning) in _DEFINE.findall(given):
            continue
        if name in _TYPE_WORDS and not _HARMLESS.fullmatch(meaning.strip() + " "):
            return f"the program redefines {name} as a macro"
        if "##" in meaning and "operator" in text.replace("##", ""):
            return "the program pastes an operator together"
    for operator, parameters in _COMPARE.findall(text):
        if (operator, parameters) in _COMPARE.findall(given):
            continue
        words = [_words(part) for part in _split(parameters)]
        if operator in ("-", "!") and len(words) < 2 and not words:
            continue  # a sign or a negation of its own
        if any(part and not (part & classes) for part in words):
            return f"the program defines operator{operator} for what is not a class of its own"
    if entry_point:
        return _lying_return(text, given, own, entry_point)
    return None


def _lying_return(text: str, given: str, own: frozenset[str], entry_point: str) -> str | None:
    pattern = re.compile(
        rf"(?:^|[;{{}}>\n])([^;{{}}()#]*?)\b{re.escape(entry_point)}\s*\(([^;{{}}]*)\)"
        r"\s*(?:const\s*)?(?:noexcept\s*)?(->[^;{]*)?\{"
    )
    for before, _, trailing in pattern.findall(text):
        words = _words(before) | _words(trailing)
        if before.strip() and words & own:
            return f"{entry_point} returns a class of the program's own"
        if "auto" in words and not trailing and not re.search(r"\bauto\b", given):
            return f"{entry_point} does not say what it returns"
    return None


def _defined(text: str) -> frozenset[str]:
    text = _TEMPLATE.sub(" ", text)  # its parameters are no classes
    return frozenset(name for found in _DEFINED.findall(text) for name in found if name)


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Za-z_]\w*", text))


def _split(parameters: str) -> list[str]:
    """Parameters at the commas outside of angle brackets and parentheses."""
    parts, depth, last = [], 0, 0
    for at, character in enumerate(parameters):
        depth += (character in "<(") - (character in ">)")
        if character == "," and depth == 0:
            parts.append(parameters[last:at])
            last = at + 1
    return [part for part in (*parts, parameters[last:]) if part.strip()]
