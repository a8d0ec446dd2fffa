"""The function that a problem asks for: its name, and where some code defines it."""

import re

from codemoe.evaluate.suites.braces import blank_texts
from codemoe.evaluate.suites.problem import BRACED, Problem

# What stands before the name in languages that announce a function, and how a method looks in
# those that do not. A method's match ends with the brace that opens its body.
_ARROW = r"(?=\s*(?:async\s*)?(?:function\b|\([^;{{}}]*?\)\s*(?::[^=;]+)?=>|\w+\s*=>))"
_ANNOUNCED = {
    "python": r"^[ \t]*(?:async[ \t]+)?def[ \t]+{name}\b",
    "javascript": rf"(?:\bfunction\*?\s+{{name}}\b|\b(?:const|let|var)\s+{{name}}\b\s*={_ARROW})",
    "typescript": (
        rf"(?:\bfunction\*?\s+{{name}}\b|\b(?:const|let|var)\s+{{name}}\b\s*(?::[^=]+)?={_ARROW})"
    ),
    "go": r"\bfunc\s+{name}\b",
    "rust": r"\bfn\s+{name}\b",
    "php": r"\bfunction\s+{name}\b",
}
_METHOD = r"[\w>\]&*?][ \t&*]+{name}\s*\([^;{{}}]*\)[^;{{}}()]*\{{"


def _pattern(name: str, language: str) -> re.Pattern[str]:
    return re.compile(_ANNOUNCED.get(language, _METHOD).format(name=name), re.MULTILINE)


def function_name(problem: Problem) -> str | None:
    """The entry point, or else the last function that the prompt begins."""
    if problem.entry_point:
        return problem.entry_point
    names: list[str] = []
    prompt = _plain(problem.prompt, problem.language)
    for match in _pattern(r"(\w+)", problem.language).finditer(prompt):
        names += [name for name in match.groups() if name]
    return names[-1] if names else None


def find_definition(code: str, name: str, language: str) -> tuple[int, int] | None:
    """(start of the line it begins in, end of what announces it) of the function `name`."""
    match = _pattern(re.escape(name), language).search(_plain(code, language))
    if match is None:
        return None
    return code.rfind("\n", 0, match.start()) + 1, match.end()


def _plain(code: str, language: str) -> str:
    """Examples in comments call the function, too."""
    return blank_texts(code, language) if language in BRACED else code
