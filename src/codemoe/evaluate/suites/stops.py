"""What ends a completion, a language at a time.

Python functions end where a line stands at the left margin again: the list of arXiv:2107.03374 with
decorators and fences. In brace languages the closing brace of the function ends it (see
`answers.cut`), so only what no function body holds is listed here.
"""

FENCE = "\n```"
WHOLE_PROGRAM = (FENCE, "\n[DONE]", "\n### ")
_PYTHON = ("\nclass ", "\ndef ", "\n#", "\n@", "\nif ", "\nprint(", "\nassert ", FENCE)
_BRACED = (FENCE,)


def for_language(language: str) -> tuple[str, ...]:
    return _PYTHON if language == "python" else _BRACED
