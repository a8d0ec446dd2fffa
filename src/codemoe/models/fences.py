"""Notice when a text that is being written opens a fenced block in another language."""

import re
from collections.abc import Sequence
from typing import Any

from codemoe.languages import find_language

# "```java" and its line end, at the start of a line, as the last thing written.
_OPENED = re.compile(r"(?:^|\n)[ \t]*(?:```|~~~)[ \t]*([\w+#.-]+)[ \t]*\n$")
_TAIL_TOKENS = 24  # more than any tokenizer needs for one fence line


def opened_language(text: str) -> str | None:
    """The language whose fence the last line of `text` opened, by its canonical name."""
    found = _OPENED.search(text)
    language = find_language(found.group(1)) if found else None
    return language.name if language else None


def opened_by_tokens(tokenizer: Any, token_ids: Sequence[int]) -> str | None:
    """As `opened_language`, for an answer in tokens; cheap unless the last one ends a line."""
    if not str(tokenizer.decode([token_ids[-1]])).endswith("\n"):
        return None
    text = str(tokenizer.decode(list(token_ids[-_TAIL_TOKENS:])))
    # A cut tail must not look like the start of a line.
    return opened_language(text if len(token_ids) <= _TAIL_TOKENS else f"?{text}")
