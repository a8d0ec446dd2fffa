"""Which fence opens a block in which language, in text and token by token."""

import pytest

from codemoe.models.fences import Fences, last_line_is_a_bare_fence, opened_language
from tests.models.tiny import tiny_tokenizer


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("```java\n", "java"),
        ("In Python:\n```python\n", "python"),
        ("then\n  ~~~ C++\n", "cpp"),
        ("```js\n", "javascript"),
        ("```\n", None),
        ("x ```java\n", None),  # in the middle of a line
        ("```java", None),  # the line is not over
        ("```java\nint x;\n", None),  # it opened before
        ("```klingon\n", None),
        ("", None),
    ],
)
def test_opened_language(text: str, language: str | None) -> None:
    assert opened_language(text) == language


def test_a_bare_fence() -> None:
    assert last_line_is_a_bare_fence("x\n```\n")
    assert not last_line_is_a_bare_fence("x\n```java\n")
    assert not last_line_is_a_bare_fence("x ```\n")


def _written(text: str) -> list[tuple[str, str]]:
    """(what had been written, who goes on) at each change, token by token."""
    tokenizer = tiny_tokenizer()
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    fences = Fences(tokenizer, {"java": "coffee", "python": "snake", "cpp": "plus"}, "snake")
    changes = []
    for end in range(1, len(ids) + 1):
        expert = fences.read(ids[:end])
        if expert is not None:
            changes.append((str(tokenizer.decode(ids[:end])), expert))
    return changes


def test_a_block_is_its_languages_until_it_closes() -> None:
    text = "a list of words that is long enough\n```java\nint x;\n```\nand then\n"
    opened, closed = _written(text)
    assert opened[0].endswith("long enough\n```java\n")
    assert opened[1] == "coffee"
    assert closed[0].endswith("int x;\n```\n")
    assert closed[1] == "snake"


def test_a_block_in_the_own_or_an_unknown_language_changes_nothing() -> None:
    assert _written("```python\nx = 1\n```\n") == []
    assert _written("```klingon\nx\n```\n```java\n")[0][1] == "coffee"
    assert _written("```\nx\n```\n") == []


def test_a_fence_inside_a_block_does_not_open_another() -> None:
    changes = _written("```java\n```cpp\nx\n```\n")
    assert [expert for _, expert in changes] == ["coffee", "snake"]
