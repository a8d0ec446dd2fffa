"""MultiPL-E (arXiv:2208.08227): `{name, language, prompt, tests, stop_tokens}`, no solutions.

Its tests begin with what ends the function (`}` in C++, Java, C# and Rust), so a completion is what
stands between: it ends before the first stop token.
"""

from codemoe.evaluate.suites import javatuples
from codemoe.evaluate.suites.fields import Fields
from codemoe.evaluate.suites.problem import Problem, continue_prompt

# Its own words for languages, beside those of the table.
_NAMES = {"go_test.go": "go"}


def read(fields: Fields) -> Problem:
    found = fields.text("language")
    language = fields.language(_NAMES.get(found, found))
    return Problem(
        id=fields.identity("name", "task_id"),
        language=language,
        prompt=fields.text("prompt"),
        tests="\n" + fields.text("tests"),
        solution=fields.optional("canonical_solution"),
        entry_point=fields.optional("entry_point"),
        stop=fields.texts("stop_tokens"),
        suite_format="multipl-e",
        assemble=javatuples.assemble if language == "java" else continue_prompt,
    )
