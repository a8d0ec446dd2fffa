"""HumanEval (arXiv:2107.03374), HumanEval+ with its tests as code, and MBXP (arXiv:2210.14868).

HumanEval is Python and has no `language`; MBXP and its sister sets have one. Both keep a function's
tests in `check(candidate)` where they are Python, and call it for the entry point.
"""

import re

from codemoe.evaluate.suites.fields import Fields
from codemoe.evaluate.suites.problem import Problem
from codemoe.evaluate.suites.stops import for_language

_CHECK = re.compile(r"^def check\(", re.MULTILINE)
_CALLED = re.compile(r"^check\(", re.MULTILINE)
_LODASH = re.compile(r"""^(?:const|let|var) _ = require\((['"])lodash\1\);?[ \t]*$""", re.MULTILINE)
# MBXP compares with lodash's isEqual and uses nothing else of it. Where lodash is not installed
# (a sandbox has no packages), node's own deep comparison stands in, told that -0 equals 0.
_COMPARE = (
    'const _ = (() => { try { return require("lodash"); } catch { const { isDeepStrictEqual } = '
    'require("util"); const plain = (x) => (typeof x === "number" ? x + 0 : Array.isArray(x) '
    "? x.map(plain) : x); return { isEqual: (a, b) => isDeepStrictEqual(plain(a), plain(b)) }; "
    "} })();"
)


def read(fields: Fields) -> Problem:
    is_mbxp = "language" in fields.row
    language = fields.language(fields.text("language")) if is_mbxp else "python"
    entry_point = fields.text("entry_point")
    return Problem(
        id=fields.identity("task_id"),
        language=language,
        prompt=fields.text("prompt"),
        tests=_tests(fields.text("test"), language, entry_point),
        solution=fields.optional("canonical_solution"),
        entry_point=entry_point,
        task=fields.optional("description") or "",
        stop=for_language(language),
        suite_format="mbxp" if is_mbxp else "humaneval",
    )


def _tests(test: str, language: str, entry_point: str) -> str:
    if language == "python" and _CHECK.search(test) and not _CALLED.search(test):
        # Some functions are named `check` themselves, and would be hidden by their own tests.
        check = "check" if entry_point != "check" else "check_candidate"
        test = _CHECK.sub(f"def {check}(", test) + f"\n\n{check}({entry_point})\n"
    if language == "javascript":
        test = _LODASH.sub(lambda match: _COMPARE, test)
    return "\n" + test
