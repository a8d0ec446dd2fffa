"""The code of an answer in Markdown, without the words around it."""

import re

# To the end of the text where an answer is cut off in its code.
_BLOCK = re.compile(
    r"^[ \t]{0,3}(?P<fence>`{3,}+)[^`\n]*+\n"
    r"(?P<code>.*?)"
    r"(?:^[ \t]{0,3}(?P=fence)|\Z)",
    re.DOTALL | re.MULTILINE,
)
# A fence behind one of these is an example in a comment.
_COMMENTS = ('"""', "'''", "/*", "=begin")


def fenced_code(text: str) -> str:
    """The longest fenced block; the text itself where nothing is fenced in."""
    if "```" not in text:
        return text
    blocks = list(_BLOCK.finditer(text))
    if not blocks or any(mark in text[: blocks[0].start()] for mark in _COMMENTS):
        return text
    return max((block["code"] for block in blocks), key=len)
