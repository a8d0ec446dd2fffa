"""codemoe's own suites: `{id, language, prompt, solution, tests, entry_point}`."""

from codemoe.evaluate.suites.fields import Fields
from codemoe.evaluate.suites.problem import Problem


def read(fields: Fields) -> Problem:
    return Problem(
        id=fields.identity("id"),
        language=fields.language(fields.text("language")),
        prompt=fields.text("prompt"),
        tests=fields.text("tests"),
        solution=fields.optional("solution"),
        entry_point=fields.optional("entry_point"),
    )
