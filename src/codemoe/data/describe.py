"""Find the comment or docstring a source file begins with: its description."""

import re

# Comments that say nothing about what the code does.
_NOT_ABOUT = re.compile(
    r"copyright|licen[cs]ed?\b|all rights reserved|spdx-|coding[:=]|^\s*!|@file\b|eslint|"
    r"vim:|-\*-|pylint|flake8|noqa|created (by|on)|author",
    re.IGNORECASE,
)
_BLOCK = re.compile(r"\s*/\*(.*?)\*/", re.DOTALL)
_SLASHES = re.compile(r"\s*((?:[ \t]*//[^\n]*(?:\n|$))+)")
_HASHES = re.compile(r"\s*((?:[ \t]*#[^\n]*(?:\n|$))+)")
_DOCSTRING = re.compile(r"\s*[rRuU]?(\"\"\"|''')(.*?)\1", re.DOTALL)
_PREAMBLE = re.compile(r"\s*(?:<\?php\b|\"use strict\";?|'use strict';?)")
MIN_WORDS = 3


def split_description(content: str, language: str) -> tuple[str, str]:
    """(description, the code without it); ("", content) when the file begins with no description.

    Walks over leading comments; licence headers, encoding lines and editor settings are no
    descriptions (and stay out of the code), nor are comments of fewer than three words.
    """
    at = 0
    kept = ""
    while True:
        if preamble := _PREAMBLE.match(content, at):
            kept += preamble[0].strip() + "\n"
            at = preamble.end()
            continue
        found = _comment(content, at, language)
        if found is None:
            return "", content
        comment, end = found
        text = _plain(comment)
        if len(text.split()) >= MIN_WORDS and not _NOT_ABOUT.search(text):
            return text, (kept + content[end:].strip("\n")).rstrip()
        at = end


def _comment(content: str, at: int, language: str) -> tuple[str, int] | None:
    """The comment at this place and where it ends."""
    patterns = {"python": (_HASHES,), "ruby": (_HASHES,)}.get(language, (_BLOCK, _SLASHES))
    if language == "php":
        patterns = (*patterns, _HASHES)
    if language == "python" and (match := _DOCSTRING.match(content, at)):
        return match[2], match.end()
    for pattern in patterns:
        if match := pattern.match(content, at):
            return match[1], match.end()
    return None


def _plain(comment: str) -> str:
    """The comment's words, without its marks and decoration, line by line."""
    lines = []
    for line in comment.split("\n"):
        line = re.sub(r"^\s*(?:/{2,}!?|#+|\*+)?\s?", "", line).rstrip(" \t*/#=-")
        lines.append(line.rstrip())
    return "\n".join(lines).strip()
