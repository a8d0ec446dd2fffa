"""The function that a problem asks for: its name, and where some code defines it."""

import re

from codemoe.evaluate.suites.problem import Problem

# What stands before the name in languages that announce a function, and how a method looks in
# those that do not. A method's match ends with the brace that opens its body.
_ANNOUNCED = {
    "python": r"^[ \t]*(?:async[ \t]+)?def[ \t]+{name}\b",
    "javascript": r"(?:\bfunction\*?\s+{name}\b|\b(?:const|let|var)\s+{name}\b\s*=)",
    "typescript": r"(?:\bfunction\*?\s+{name}\b|\b(?:const|let|var)\s+{name}\b\s*(?::[^=]+)?=)",
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
    for match in _pattern(r"(\w+)", problem.language).finditer(problem.prompt):
        names += [name for name in match.groups() if name]
    return names[-1] if names else None


def find_definition(code: str, name: str, language: str) -> tuple[int, int] | None:
    """(start of the line it begins in, end of what announces it) of the function `name`."""
    match = _pattern(re.escape(name), language).search(code)
    if match is None:
        return None
    return code.rfind("\n", 0, match.start()) + 1, match.end()
