"""Write Python source from XLCoST tokens: lines, indentation and the usual spacing."""

from collections.abc import Sequence

from codemoe.data.xlcost_tokens import Token, word_set
from codemoe.languages import get_language

_VALUES = word_set("None True False match type")
_UNARY = word_set("+ - * ** ~ @")
_CLOSING = {")": "(", "]": "[", "}": "{"}


def write_python(tokens: Sequence[Token]) -> str:
    """Python source of the tokens. Adds and removes nothing but white space."""
    lines: list[str] = []
    line: list[Token] = []
    depth = open_brackets = 0
    for token in [*tokens, Token("newline", "")]:
        if token.kind in ("newline", "indent", "dedent"):
            if line and open_brackets <= 0:
                _add_line(lines, "    " * depth + space_line(line))
                line, open_brackets = [], 0
            depth = max(0, depth + {"newline": 0, "indent": 1, "dedent": -1}[token.kind])
            continue
        line.append(token)
        if token.kind == "op":
            open_brackets += (token.text in "([{") - (token.text in ")]}")
    if line:  # a bracket that never closes: keep its tokens rather than lose them
        _add_line(lines, "    " * depth + space_line(line))
    return "\n".join(lines) + "\n" if lines else ""


def _add_line(lines: list[str], line: str) -> None:
    """Append the line, with blank lines around top-level and nested definitions."""
    before = lines[-1] if lines else ""
    indent, indent_before = (len(text) - len(text.lstrip()) for text in (line, before))
    opens = line.lstrip().startswith(("def ", "class ", "@", "async def "))
    decorated = before.lstrip().startswith("@")
    if before and not decorated and indent <= indent_before:
        if indent == 0 and (opens or _ends_definition(lines)):
            lines += ["", ""]
        elif opens:
            lines.append("")
    elif before and indent == 0 and opens and not decorated:
        lines += ["", ""]
    lines.append(line)


def _ends_definition(lines: Sequence[str]) -> bool:
    """Whether the last top-level block is a function or class."""
    if not lines[-1].startswith(" "):
        return False
    for line in reversed(lines):
        if line and not line.startswith(" "):
            return line.startswith(("def ", "class ", "async def "))
    return False


def space_line(line: Sequence[Token]) -> str:
    """One logical line with conventional spacing."""
    keywords = get_language("python").keywords - _VALUES
    brackets: list[str] = []  # open brackets, and "lambda" up to its colon
    parts: list[str] = []
    before: Token | None = None
    glued = False  # the token before allows no blank after it
    for token in line:
        text = token.text
        top = brackets[-1] if brackets else ""
        operator = token.kind == "op"
        operand = before is not None and (
            before.text in (")", "]", "}") or (before.kind != "op" and before.text not in keywords)
        )
        if parts and not glued and _gap(before, token, operand, keywords, top):
            parts.append(" ")
        parts.append(text)
        if text == "lambda":
            brackets.append("lambda")
        elif operator and text in "([{":
            brackets.append(text)
        elif operator and text in _CLOSING:
            while brackets and brackets.pop() != _CLOSING[text]:
                pass
        elif text == ":" and top == "lambda":
            brackets.pop()
        glued = operator and (
            text in ("(", "[", "{")
            or (text == "." and not (before and before.text in ("from", ".")))
            or (text in _UNARY and not operand)
            or (text == "=" and top in ("(", "lambda"))
            or (text == ":" and top == "[")
        )
        before = token
    return "".join(parts)


def _gap(
    before: Token | None, token: Token, operand: bool, keywords: frozenset[str], top: str
) -> bool:
    """Whether a blank stands between two tokens (when the first allows one)."""
    assert before is not None
    text = token.text
    if token.kind != "op":
        return before.text != "." or text == "import"
    if text in (")", "]", "}", ",", ";", ":"):
        return False
    if text == ".":
        return before.text in ("from", "import")
    if text == "(":
        return not operand or before.kind == "string"
    if text == "[":
        return not operand
    if text == "=":
        return top not in ("(", "lambda")
    return True
