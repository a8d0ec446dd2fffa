"""Follow a text that is being written into fenced blocks of other languages, and out again."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from codemoe.languages import find_language

# "```java" and its line end, or "```" alone, at the start of a line, as the last thing written.
_FENCE = re.compile(r"(?:^|\n)[ \t]*(?:```|~~~)[ \t]*([\w+#.-]*)[ \t]*\n$")
_TAIL_TOKENS = 24  # more than any tokenizer needs for one fence line


def opened_language(text: str) -> str | None:
    """The language whose fence the last line of `text` opened, by its canonical name."""
    found = _FENCE.search(text)
    language = find_language(found.group(1)) if found and found.group(1) else None
    return language.name if language else None


def last_line_is_a_bare_fence(text: str) -> bool:
    """Whether the last line of `text` is a fence without a word: inside a block, its end."""
    found = _FENCE.search(text)
    return found is not None and not found.group(1)


class Fences:
    """Whose text it is, as an answer grows: a block in another language is that language's
    expert's until it closes; then the text is its first expert's again."""

    def __init__(self, tokenizer: Any, expert_of_language: Mapping[str, str], expert: str) -> None:
        self.tokenizer = tokenizer
        self.expert_of_language = expert_of_language
        self.own = self.writing = expert
        self.inside = False

    def read(self, token_ids: Sequence[int]) -> str | None:
        """Take the answer so far, after each token; the new expert, when it changes."""
        if not str(self.tokenizer.decode([token_ids[-1]])).endswith("\n"):
            return None
        text = str(self.tokenizer.decode(list(token_ids[-_TAIL_TOKENS:])))
        # A cut tail must not look like the start of a line.
        text = text if len(token_ids) <= _TAIL_TOKENS else f"?{text}"
        before = self.writing
        if self.inside and last_line_is_a_bare_fence(text):
            self.inside, self.writing = False, self.own
        elif not self.inside and _FENCE.search(text):
            self.inside = True
            language = opened_language(text)
            self.writing = self.expert_of_language.get(language or "", self.writing)
        return None if self.writing == before else self.writing
