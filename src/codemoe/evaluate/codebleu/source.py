"""What is done to a text before it is parsed as code."""

import re

# XLCoST (arXiv:2206.08474) releases code as tokens; these stand for its lines and blanks.
_XLCOST = re.compile(r"(?<!\S)(?:NEW_LINE|INDENT|DEDENT)(?!\S)")
_IN_STRINGS = {"\u2581": " ", "STRNEWLINE": r"\n", "TABSYMBOL": r"\t"}
_PHP_TAG = "<?"


def source_text(code: str, language: str) -> str:
    """Code as its grammar reads it; real code comes back as it is, but for white space around.

    XLCoST's marks become the line ends, indentation and blanks that they stand for; PHP without a
    tag gets one (a PHP file is text up to it).
    """
    if "NEW_LINE" in code or "\u2581" in code:
        code = _without_marks(code)
    # White space around says nothing, but Python's first indentation does.
    code = code.rstrip() if language == "python" else code.strip()
    if language == "python" and code[:1] in "\r\n":
        code = code.lstrip("\r\n")
    if language == "php" and _PHP_TAG not in code and code.strip():
        code = "<?php " + code
    return code


def code_start(code: str) -> int:
    """Where a text's first character stands that is no white space in its source text."""
    found = (_BEFORE if "NEW_LINE" in code or "\u2581" in code else _BLANK).match(code)
    return found.end() if found else 0


_BLANK = re.compile(r"\s*")
_BEFORE = re.compile(r"(?:[\s\u2581]|(?:NEW_LINE|INDENT|DEDENT)(?![^\s\u2581]))*")


def has_xlcost_marks(code: str) -> bool:
    """Whether a text is in XLCoST's released form (layout as words)."""
    return _XLCOST.search(code) is not None


def _without_marks(code: str) -> str:
    for word, meaning in _IN_STRINGS.items():
        code = code.replace(word, meaning)
    depth = done = 0
    parts: list[str] = []
    fresh = True  # at the start of a line
    for mark in _XLCOST.finditer(code):
        text = code[done : mark.start()]
        if fresh:
            text = text.lstrip()
        if text.strip():
            parts.append("    " * depth + text if fresh else text)
            fresh = False
        done = mark.end()
        if mark[0] == "NEW_LINE":
            parts.append("\n")
            fresh = True
        else:
            depth = max(0, depth + (1 if mark[0] == "INDENT" else -1))
    text = code[done:]
    if fresh and depth and text.strip():
        text = "    " * depth + text.lstrip()
    return "".join([*parts, text])
