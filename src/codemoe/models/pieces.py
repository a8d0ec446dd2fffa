"""The text of an answer, piece by piece: never half a character, never the start of a stop string.

The pieces, put together, are the decoded answer up to its first stop string.
"""

from collections.abc import Sequence
from typing import Any

# Stands for bytes that are no character, or not yet.
_UNFINISHED = "\ufffd"


class Pieces:
    """Takes the tokens of one answer, gives what may be shown of them."""

    def __init__(self, tokenizer: Any, stops: Sequence[str] = ()) -> None:
        self.tokenizer = tokenizer
        self.stops = tuple(stops)
        self.stopped = False
        # Where each token's own text begins in the answer's; within a character, at its start.
        self.starts: list[int] = []
        self._ids: list[int] = []
        # Tokens before `_read` have become text; those from `_context` on are decoded along with
        # new ones, as a tokenizer may write a token differently at the start of a text.
        self._context = 0
        self._read = 0
        self._held = ""  # text that may be the start of a stop string
        self._length = 0  # of all text so far, the held one included

    @property
    def shown(self) -> int:
        """Characters given out so far."""
        return self._length - len(self._held)

    def push(self, token: int) -> str:
        """The text that this token makes certain; "" where it leaves it open."""
        self._ids.append(token)
        self.starts.append(self._length)
        text = self._new_text()
        if text.endswith(_UNFINISHED):
            return ""
        self._context, self._read = self._read, len(self._ids)
        return self._take(text)

    def finish(self) -> str:
        """The rest, when no token follows: half a character is shown as what it is."""
        if self.stopped:
            return ""
        rest = self._take(self._new_text())
        if not self.stopped:
            rest, self._held = rest + self._held, ""
        return rest

    def _new_text(self) -> str:
        before = self._decode(self._ids[self._context : self._read])
        return self._decode(self._ids[self._context :])[len(before) :]

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(list(ids), skip_special_tokens=True)) if ids else ""

    def _take(self, text: str) -> str:
        self._length += len(text)
        text = self._held + text
        if not self.stops:
            return text
        found = [at for stop in self.stops if (at := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._length -= len(text) - min(found)
            self._held = ""
            return text[: min(found)]
        keep = max((_overlap(text, stop) for stop in self.stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that begins `stop`, but is not all of it."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
