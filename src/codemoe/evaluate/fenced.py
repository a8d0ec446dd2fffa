"""Fenced blocks in the Markdown of answers, and what is around them."""

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^([ \t]*)(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*$", re.MULTILINE)
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]")
_MOST_LINES = 20  # between the line of a list's item and a fence that belongs to it


@dataclass(frozen=True)
class Block:
    """A fenced block: the language it names ("" for none), its code, and where its fences begin
    and end."""

    tag: str
    code: str
    start: int
    end: int


def fenced_blocks(text: str) -> list[Block]:
    """Every block in order; the last may lack its closing fence (the answer was cut off)."""
    blocks = []
    position = 0
    while (opened := _FENCE.search(text, position)) is not None:
        indent, mark = len(opened.group(1).expandtabs(4)), re.escape(opened.group(2))
        if indent > 3 and not _is_in_list(text, opened.start(), indent):
            position = opened.end()  # code, of which Markdown's may be a part
            continue
        deepest = max(3, indent)
        close = re.compile(rf"^[ \t]{{0,{deepest}}}{mark}[ \t]*$", re.MULTILINE)
        closed = close.search(text, opened.end())
        end = closed.start() if closed else len(text)
        code = text[opened.end() + 1 : end]
        if opened.group(1):  # in a list: its lines stand as far to the right
            code = re.sub(rf"^{opened.group(1)}", "", code, flags=re.MULTILINE)
        position = closed.end() if closed else len(text)
        blocks.append(Block(opened.group(3), code, opened.start(), position))
    return blocks


def _is_in_list(text: str, start: int, indent: int) -> bool:
    """Whether what is indented so far, at a place, belongs to an item of a list."""
    for _ in range(_MOST_LINES):
        end = start - 1  # of the line before
        if end < 0:
            break
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end]
        if line.strip() and len(line) - len(line.lstrip()) < indent:
            return _ITEM.match(line) is not None
    return False


def parts_of(text: str) -> list[str]:
    """The longest fenced block, and what is around the blocks (the prompt may have opened the
    first one); the text itself where nothing is fenced in."""
    blocks = fenced_blocks(text) if "```" in text else []
    if not blocks or _is_in_comment(text[: blocks[0].start]):
        return [text]
    ends = [0, *[block.end for block in blocks]]
    starts = [*[block.start for block in blocks], len(text)]
    around = "".join([text[end:start] for end, start in zip(ends, starts, strict=True)])
    return [max((block.code for block in blocks), key=len), around]


def _is_in_comment(before: str) -> bool:
    """Whether a fence behind a text is an example in a comment."""
    pairs = ("/*", "*/"), ("=begin", "=end")
    return any(before.count(quotes) % 2 for quotes in ('"""', "'''")) or any(
        before.rfind(opener) > before.rfind(closer) for opener, closer in pairs
    )
