import time

import pytest

from codemoe.evaluate.fenced import parts_of
from codemoe.evaluate.wrong_language import CANDIDATES, language_of
from tests.evaluate.codebleu.programs import PROGRAMS

CODE = "int f() {\n    return 1;\n}\n"


@pytest.mark.parametrize(
    "text",
    [
        CODE,
        f"```java\n{CODE}```",
        f"Sure! Here it is:\n\n```java\n{CODE}```\n\nIt returns one.",
        f"```\n{CODE}```\nIt prints:\n```text\n1\n```\n",
        f"```c++  \r\n{CODE}",  # cut off
        f"``` {{.java}}\n{CODE}```\nIt returns one.",
        f"````md\n{CODE}````",
    ],
)
def test_the_words_around_are_left_out(text: str) -> None:
    assert parts_of(text)[0] == CODE


@pytest.mark.parametrize(
    "text",
    [
        '"""\n```\nf(1)\n```\n"""\ndef f(a):\n    return a\n',
        "/*\n```\na\n```\n*/ f();",
        "a = `b ```;",
    ],
)
def test_an_example_in_a_comment_is_not_the_code(text: str) -> None:
    assert parts_of(text) == [text]


@pytest.mark.parametrize(
    "unit", ["```\n", "```a", "`", " ```\n`", "```\na\n", "```" + " " * 10**6, "    ```\n  x\n"]
)
def test_time_is_linear(unit: str) -> None:
    start = time.process_time()
    parts_of(unit * (1 + 1_000_000 // len(unit)) + ".")
    assert time.process_time() - start < 5


@pytest.mark.parametrize("language", CANDIDATES)
def test_a_fenced_answer_is_in_the_language_of_its_code(language: str) -> None:
    code = PROGRAMS[language]
    text = f"Sure! This is how to do that in {language}:\n\n```{language}\n{code}\n```\n\nIt works."
    for asked in (None, *CANDIDATES):
        assert language_of(text, asked=asked) == language_of(code, asked=asked)
