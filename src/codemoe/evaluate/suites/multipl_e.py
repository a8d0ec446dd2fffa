"""MultiPL-E (arXiv:2208.08227): `{name, language, prompt, tests, stop_tokens}`, no solutions.

Its tests begin with what ends the function (`}` in C++, Java, C# and Rust), so a completion is what
stands between: it ends before the first stop token.
"""

from codemoe.evaluate.suites.fields import Fields
from codemoe.evaluate.suites.problem import Problem

# Its own words for languages, beside those of the table.
_NAMES = {"go_test.go": "go"}


def read(fields: Fields) -> Problem:
    found = fields.text("language")
    return Problem(
        id=fields.identity("name", "task_id"),
        language=fields.language(_NAMES.get(found, found)),
        prompt=fields.text("prompt"),
        tests="\n" + fields.text("tests"),
        solution=fields.optional("canonical_solution"),
        entry_point=fields.optional("entry_point"),
        stop=fields.texts("stop_tokens"),
        suite_format="multipl-e",
    )
