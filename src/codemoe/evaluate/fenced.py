"""The code of an answer in Markdown, without the words around it."""

import re

# To the end of the text where an answer is cut off in its code.
_BLOCK = re.compile(
    r"^[ \t]{0,3}(?P<fence>`{3,}+)[^`\n]*+\n"
    r"(?P<code>.*?)"
    r"(?:^[ \t]{0,3}(?P=fence)|\Z)",
    re.DOTALL | re.MULTILINE,
)


def parts_of(text: str) -> list[str]:
    """The longest fenced block, and what is around the blocks (the prompt may have opened the
    first one); the text itself where nothing is fenced in."""
    if "```" not in text:
        return [text]
    blocks = list(_BLOCK.finditer(text))
    if not blocks or _is_in_comment(text[: blocks[0].start()]):
        return [text]
    return [max((block["code"] for block in blocks), key=len), _BLOCK.sub("", text)]


def _is_in_comment(before: str) -> bool:
    """Whether a fence behind a text is an example in a comment."""
    pairs = ("/*", "*/"), ("=begin", "=end")
    return any(before.count(quotes) % 2 for quotes in ('"""', "'''")) or any(
        before.rfind(opener) > before.rfind(closer) for opener, closer in pairs
    )
