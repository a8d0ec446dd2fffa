"""Where the blocks of brace languages end: braces in strings and comments do not count."""

import re

# A quote opens a character in these, and a text in the others (Rust has lifetimes as well).
_CHARACTERS = r"'(?:\\[^\n]{1,9}?|[^\\'\n])'"
_TEXTS = r"'(?:\\.|[^'\\\n])*'"
_COMMON = (
    r"/\*.*?(?:\*/|\Z)|//[^\n]*"
    r'|"""(?:\\.|[^\\])*?"""'
    r'|"(?:\\.|[^"\\])*"'
)
_BRACES = r"|[{}]"


def _pattern(*more: str) -> re.Pattern[str]:
    return re.compile("|".join((_COMMON, *more)) + _BRACES, re.DOTALL)


_C_LIKE = _pattern(_CHARACTERS)
_PATTERNS = {
    "javascript": _pattern(_TEXTS, r"`(?:\\.|[^`\\])*`"),
    "typescript": _pattern(_TEXTS, r"`(?:\\.|[^`\\])*`"),
    "php": _pattern(_TEXTS, r"\#[^\n]*"),
    "go": _pattern(_CHARACTERS, "`[^`]*`"),
    "rust": _pattern(_CHARACTERS, r'r#+".*?"#+'),
    "cpp": _pattern(_CHARACTERS, r'R"(\w*)\(.*?\)\1"'),
}


def find_closer(code: str, language: str, levels: int = 1) -> int | None:
    """Index of the brace that closes the `levels`-th block that was open before `code`."""
    depth = 0
    for match in _PATTERNS.get(language, _C_LIKE).finditer(code):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth -= 1
            if depth == -levels:
                return match.start()
    return None


def blank_texts(code: str, language: str) -> str:
    """The code with its comments and strings as blanks, line ends kept: every place is the same."""

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        return found if found in ("{", "}") else re.sub(r"[^\n]", " ", found)

    return _PATTERNS.get(language, _C_LIKE).sub(blank, code)


def count_open(code: str, language: str) -> int:
    """How many blocks `code` leaves open; closers of blocks it did not open do not count."""
    depth = 0
    for match in _PATTERNS.get(language, _C_LIKE).finditer(code):
        if match.group() == "{":
            depth += 1
        elif match.group() == "}":
            depth = max(0, depth - 1)
    return depth
