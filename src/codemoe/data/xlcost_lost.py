"""Put back what XLCoST's release lost, where the place shows what it was.

`|` is the release's own field separator, so most `|` and `||` are gone from the code: `a == 1 ||
b == 2` reads `a == 1 b == 2`. Two operands side by side are never a program, so an operator was
there; next to a comparison it was `||`. In JavaScript the line ends of statements without a
semicolon are gone too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from codemoe.data.xlcost_braces import find_angle_brackets
from codemoe.data.xlcost_tokens import Token, word_set
from codemoe.languages import get_language

_COMPARISONS = word_set("== != < > <= >= === !==")
_CONDITIONS = word_set("if while")
_CONTROL = word_set("if for while switch catch foreach with function")
_VALUES = word_set("true false null nullptr this None True False undefined NULL")
_MODIFIERS = word_set("get set static async from as of")  # words before a name in JS


@dataclass
class _Level:
    """One open bracket and what has been seen inside it."""

    kind: str
    before: str = ""  # the token in front of the bracket
    compared: bool = False  # a comparison since the last separator
    ever_compared: bool = False
    first: str = ""  # the first token since the last separator


def restore_lost(tokens: Sequence[Token], language: str) -> list[Token]:
    """The tokens with `|`, `||` and JavaScript line ends put back where they are missing."""
    if language == "python":
        return _restore_python(tokens)
    tokens = [t for t in tokens if t.kind not in ("newline", "indent", "dedent")]
    keywords = get_language(language).keywords - _VALUES
    angles = find_angle_brackets(tokens)
    levels = [_Level("{")]
    closed: _Level | None = None  # the bracket pair that ended with the token before
    result: list[Token] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        if before is not None and _begins_operand(token):
            lost = _lost_between(before, token, closed, levels[-1], language, keywords)
            if lost is not None:
                result.append(lost)
                levels[-1].compared = levels[-1].compared and lost.text != "||"
                if lost.kind == "break":
                    levels[-1].first = ""
        result.append(token)
        closed = _step(token, before, index in angles, levels)
    return result


def _step(token: Token, before: Token | None, angle: bool, levels: list[_Level]) -> _Level | None:
    """Follow one token; the bracket pair it closed, if any."""
    level, text = levels[-1], token.text
    if not level.first:
        level.first = text
    if token.kind != "op":
        return None
    if text in ("(", "[", "{"):
        levels.append(_Level(text, before.text if before else ""))
    elif text in (")", "]", "}"):
        closed = levels.pop() if len(levels) > 1 else level
        if text == "}" or closed.before in _CONTROL:
            levels[-1].compared, levels[-1].first = False, ""
        return closed
    elif text in (";", ",", "&&", "||", "?", ":", "="):
        level.compared = False
        if text == ";":
            level.first = ""
    elif text in _COMPARISONS and not angle:
        level.compared = level.ever_compared = True
    return None


def _begins_operand(token: Token) -> bool:
    if token.kind == "word":
        return True
    return token.kind in ("number", "string") or token.text in ("(", "!")


def _lost_between(
    before: Token,
    token: Token,
    closed: _Level | None,
    level: _Level,
    language: str,
    keywords: frozenset[str],
) -> Token | None:
    """What stood between two tokens of which the second begins an operand; None for nothing."""
    plain = before.kind == "number" or (before.kind == "word" and before.text not in keywords)
    quoted = before.kind == "string"
    group = closed is not None and closed.kind == "(" and closed.ever_compared
    call = closed is not None and (closed.kind == "[" or closed.before.isidentifier())
    if (closed is not None and closed.before in _CONTROL) or before.text == "}":
        return None
    starts_word = token.kind == "word" and token.text in keywords
    if language == "javascript" and level.kind == "{" and token.kind == "word":
        breaks = plain or quoted or (closed is not None and closed.kind in "([")
        if breaks and not level.compared and before.text not in _MODIFIERS:
            operator = token.text in ("in", "of", "instanceof", "as", "from", "else")
            return None if operator else Token("break", "")
    if starts_word:
        return None
    condition = level.kind == "(" and level.before in _CONDITIONS
    if token.text in ("(", "!"):  # after a name, "(" is a call
        sure = (group and level.kind == "(" and not call) or before.kind == "number"
        if token.text == "!":
            sure = sure or (condition and (plain or call))
    elif before.kind == "number" or (plain and token.kind == "number"):
        sure = True
    elif plain or quoted or call:
        sure = level.compared or (condition and not quoted)
    else:
        sure = group and level.kind == "("
    if not sure:
        return None
    logical = level.compared or condition or group
    return Token("op", "||" if logical else "|")


def _restore_python(tokens: Sequence[Token]) -> list[Token]:
    """Python writes `or` in words, so only `|` is lost; sure next to a number."""
    keywords = get_language("python").keywords - _VALUES
    result: list[Token] = []
    for token in tokens:
        before = result[-1] if result else token
        operands = all(
            t.kind == "number" or (t.kind == "word" and t.text not in keywords)
            for t in (before, token)
        )
        number = "number" in (before.kind, token.kind)
        # "print 1" is Python 2
        if result and operands and number and before.text not in ("print", "exec"):
            result.append(Token("op", "|"))
        result.append(token)
    return result
