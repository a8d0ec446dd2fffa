"""MBPP (arXiv:2108.07732), original and sanitised: a task in words, asserts, a whole program."""

import re

from codemoe.errors import UserError
from codemoe.evaluate.suites.fields import Fields
from codemoe.evaluate.suites.problem import Problem
from codemoe.evaluate.suites.stops import WHOLE_PROGRAM

_CALL = re.compile(r"assert\s+(?:not\s+)?\(*\s*(?:set|sorted|list|tuple|math\.isclose)?\(*(\w+)\(")


def read(fields: Fields) -> Problem:
    asserts = fields.texts("test_list")
    if not asserts:
        raise UserError(f"{fields.place}: 'test_list' is empty: every program would pass")
    words = fields.text("text" if "text" in fields.row else "prompt")
    setup = fields.optional("test_setup_code") or ""
    before = [*fields.texts("test_imports"), *([setup] if setup.strip() else [])]
    call = _CALL.match(asserts[0])
    return Problem(
        id=fields.identity("task_id"),
        language="python",
        prompt="",
        # The set-up uses classes of the program, so it comes after it.
        tests="\n" + "\n".join([*before, *asserts]) + "\n",
        solution=fields.optional("code"),
        entry_point=call.group(1) if call else None,
        # The tests name the function and its arguments; the words do not (section 2 of the paper).
        task=f"{words.strip()}\nYour code should pass these tests:\n" + "\n".join(asserts),
        stop=WHOLE_PROGRAM,
        suite_format="mbpp",
    )
