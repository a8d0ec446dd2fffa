"""Which fence opens a block in which language, in text and token by token."""

import pytest

from codemoe.models.fences import opened_by_tokens, opened_language
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


def test_tokens_open_where_the_text_does_and_only_there() -> None:
    tokenizer = tiny_tokenizer()
    text = "a list of words that is long enough\n```java\nint x;\n```\n"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = {
        end: language
        for end in range(1, len(ids) + 1)
        if (language := opened_by_tokens(tokenizer, ids[:end]))
    }
    assert list(found.values()) == ["java"]
    assert tokenizer.decode(ids[: next(iter(found))]).endswith("```java\n")
