"""Cut XLCoST's released token streams into tokens, with string literals restored.

The release joins tokens with blanks. Inside string literals it also puts blanks around
punctuation, writes a real blank as U+2581 and a line break as STRNEWLINE (or NEW_LINE glued to
its neighbour), a tab as TABSYMBOL. Line structure survives as NEW_LINE, INDENT and DEDENT in
Python and as NEW_LINE after preprocessor lines elsewhere.
"""

import re
from typing import NamedTuple

BLANK = "\u2581"


def word_set(text: str) -> frozenset[str]:
    """The words of a text, for tables that read as one line."""
    return frozenset(text.split())


_MARKERS = {"NEW_LINE": "newline", "INDENT": "indent", "DEDENT": "dedent"}
_MARKER = re.compile(r"(?<!\S)(NEW_LINE|INDENT|DEDENT)(?!\S)")
_SKIP = re.compile(rf"[\s{BLANK}]+")
_NUMBER = re.compile(
    r"0[xX][0-9a-fA-F_]+\w*|(?:\d[\d_]*(?:\.(?!\.)[\d_]*)?|\.\d[\d_]*)(?:[eE][+-]?\d+)?\w*"
)
_WORD = re.compile(r"(?:\$\s*|#)?[^\W\d][\w$]*")
_QUOTE = re.compile(r"(?P<prefix>[A-Za-z@$]{0,3}\s?)(?P<quote>\"\"\"|'''|\"|'|`)")
_PREFIXES = word_set("f r b u fr rf br rb l u8 @ $ $@ @$")
_INCLUDE = re.compile(r"#\s*include\s*(?:<[^>]*>|\"[^\"]*\")")
_DIRECTIVE = re.compile(r"#\s*[a-z]+(?:\s+\w+)?(?:\s+\S+)?")

_PYTHON_OPERATORS = "**= //= >>= <<= ... -> := ** // << >> == != <= >= += -= *= /= %= &= |= ^= @="
_BRACE_OPERATORS = (
    ">>>= <<= >>= >>> ... <=> -> => :: ++ -- << >> == != <= >= += -= *= /= %= &= |= ^= && ||"
)
_EXTRA_OPERATORS = {
    "javascript": "**= ??= &&= ||= === !== ** ?? ?.",
    "php": "?-> **= ??= === !== ** ?? .= <>",
    "csharp": "??= ?? ?.",
}
# Marker, a one-character stand-in for it (no letter: blanks beside it go), what it stands for.
_ESCAPES = {
    "STRNEWLINE": ("\x01", r"\n"),
    "NEW_LINE": ("\x01", r"\n"),
    "TABSYMBOL": ("\x02", r"\t"),
}
# Some rows of the release split a two-character operator: no language has "! =" otherwise.
_SPLIT_OPERATOR = r"[!<>=+*/%^|&-] =(?! ?=)"


class Token(NamedTuple):
    """kind: word, number, string, op, newline, indent, dedent, or line (preprocessor, PHP tag).

    The repair of lost line ends adds the kind break.
    """

    kind: str
    text: str


def _operator_pattern(language: str) -> re.Pattern[str]:
    if language == "python":
        names = _PYTHON_OPERATORS.split()
    else:
        names = (_EXTRA_OPERATORS.get(language, "") + " " + _BRACE_OPERATORS).split()
    names.sort(key=len, reverse=True)
    return re.compile("|".join([_SPLIT_OPERATOR, *map(re.escape, names), r"\S"]))


def tokenize(code: str, language: str) -> list[Token]:
    """The tokens of one released program; unknown characters become operators of their own."""
    operator = _operator_pattern(language)
    tokens: list[Token] = []
    at = 0
    while at < len(code):
        if skip := _SKIP.match(code, at):
            at = skip.end()
            continue
        if marker := _MARKER.match(code, at):
            tokens.append(Token(_MARKERS[marker[1]], ""))
            at = marker.end()
        elif found := _special(code, at, language, tokens):
            token, at = found
            tokens.append(token)
        elif number := _NUMBER.match(code, at):
            tokens.append(Token("number", number[0]))
            at = number.end()
        elif word := _WORD.match(code, at):
            tokens.append(Token("word", re.sub(r"\s", "", word[0])))
            at = word.end()
        else:
            match = operator.match(code, at)
            assert match is not None  # the pattern ends in \S
            tokens.append(Token("op", match[0].replace(" ", "")))
            at = match.end()
    return tokens


def _special(code: str, at: int, language: str, tokens: list[Token]) -> tuple[Token, int] | None:
    """A directive, PHP tag, string or regular expression at this place, and where it ends."""
    if code[at] == "#" and language in ("c", "cpp", "csharp"):
        return _directive(code, at)
    if language == "php" and (tag := re.compile(r"<\s*\?\s*php\b|\?\s*>\s*$").match(code, at)):
        return Token("line", re.sub(r"\s", "", tag[0])), tag.end()
    quote = _QUOTE.match(code, at)
    prefix = quote["prefix"].strip().lower() if quote else ""
    # A word is a string prefix only in front of a quote: in "if ' a '" it is no prefix.
    if quote and (not prefix or prefix in _PREFIXES) and (found := _string(code, quote, language)):
        return found
    if language == "javascript" and code[at] == "/" and _starts_expression(tokens):
        regex = re.compile(r"/(?![/*=])(?:\\.|[^/\\])+/\s?[dgimsuvy]*\b").match(code, at)
        if regex:
            return Token("string", regex[0].replace("/ ", "/").replace(" /", "/")), regex.end()
    return None


def _starts_expression(tokens: list[Token]) -> bool:
    return not tokens or (tokens[-1].kind == "op" and tokens[-1].text not in (")", "]", "}"))


def _directive(code: str, at: int) -> tuple[Token, int] | None:
    """A preprocessor line: up to its NEW_LINE, or as much as is sure when the marker is missing."""
    end = _MARKER.search(code, at)
    include = _INCLUDE.match(code, at)
    if include and (end is None or include.end() < end.start()):
        name = include[0].split("include", 1)[1].strip()
        return Token("line", f"#include {name[0]}{_inner(name[1:-1])}{name[-1]}"), include.end()
    if end is not None:
        text, stop = code[at : end.start()], end.end()
    elif match := _DIRECTIVE.match(code, at):
        text, stop = match[0], match.end()
    else:
        return None
    text = re.sub(r"^#\s+", "#", " ".join(text.split()))
    return Token("line", text), stop


def _string(code: str, quote: re.Match[str], language: str) -> tuple[Token, int] | None:
    """The literal whose opening quote was matched; None when it never closes (a lost quote)."""
    mark = quote["quote"]
    limit = len(code)
    if language == "python" and len(mark) == 1 and (stop := _MARKER.search(code, quote.end())):
        limit = stop.start()
    at = quote.end()
    while at < limit:
        if code[at] == "\\":
            # An escape may be released as "\ n": the blank is the tokeniser's.
            at += 3 if code[at + 1 : at + 2] == " " else 2
        elif code.startswith(mark, at):
            inner = _inner(code[quote.end() : at])
            if mark == "'" and not inner and language in ("c", "cpp", "java", "csharp"):
                inner = " "  # no character literal is empty
            return Token("string", quote["prefix"].strip() + mark + inner + mark), at + len(mark)
        else:
            at += 1
    return None


def _inner(text: str) -> str:
    """The inside of a literal: the tokeniser's blanks out, real blanks and escapes back."""
    for marker, (stand_in, _) in _ESCAPES.items():
        text = text.replace(marker, stand_in)
    if BLANK in text or not text.strip(" "):
        text = " " if len(text) > 1 and not text.strip(" ") else text.replace(" ", "")
    elif text[0] == " " or text[-1] == " ":
        # No mark for blanks at all: between two words there must have been one.
        text = re.sub(r"(?<![^\W_]) +| +(?![^\W_])", "", text)
    for stand_in, escape in _ESCAPES.values():
        text = text.replace(stand_in, escape)
    return text.replace(BLANK, " ")
