"""What the package takes for comments and removes before it parses."""

import io
import re
import tokenize

# Comments, and literals so that what looks like a comment inside one stays.
_LINE = re.compile(r"//[^\n]*")
_QUOTED = {
    "'": re.compile(r"'(?:\\.|[^\\'])*'", re.DOTALL),
    '"': re.compile(r'"(?:\\.|[^\\"])*"', re.DOTALL),
}
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_STARTS = re.compile(r"//|/\*|'|\"")
# Of text full of quotes that never close only the first are tried: each try reads to the end.
_MAX_UNCLOSED = 100


def remove_comments(code: str, language: str) -> str:
    """Code, without white space around, as the package parses it: without comments, blank lines
    and Python documentation.

    Where Python's own tokenizer fails the package leaves the code as it is, and Ruby always.
    """
    if language == "ruby" or (has_no_comments(code, language) and not _BLANK_LINE.search(code)):
        return code
    if language == "python":
        return _without_python_comments(code)
    return _without_blank_lines(_without_slash_comments(code))


def has_no_comments(code: str, language: str) -> bool:
    """Whether blank lines are all that may be removed.

    No tree of sound code has them; that of broken code may hang on them.
    """
    if language == "python":
        return _has_nothing_to_remove(code)
    return language == "ruby" or not ("//" in code or "/*" in code)


def _without_blank_lines(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if line.strip())


def _without_slash_comments(code: str) -> str:
    """Every comment becomes one blank; literals may span lines, as in the package's pattern."""
    kept: list[str] = []
    done = at = 0
    unclosed = 0
    while found := _STARTS.search(code, at):
        start = found.start()
        if found[0] == "//":
            end = _LINE.match(code, start).end()  # type: ignore[union-attr]
        elif found[0] == "/*":
            end = code.find("*/", start + 2) + 2
            if end == 1:
                at = start + 1
                if unclosed > _MAX_UNCLOSED:
                    break
                unclosed += 1
                continue
        else:
            quoted = _QUOTED[found[0]].match(code, start)
            if quoted is None:
                at = start + 1
                if unclosed > _MAX_UNCLOSED:
                    break
                unclosed += 1
            else:
                at = quoted.end()
            continue
        kept += [code[done:start], " "]
        done = at = end
    return "".join([*kept, code[done:]])


def _without_python_comments(code: str) -> str:
    """Comments go, and every string that begins a line or statement; spacing is rebuilt."""
    parts: list[str] = []
    before = tokenize.INDENT
    last_line, last_column = -1, 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            line, column = token.start
            if line > last_line:
                last_column = 0
            parts.append(" " * (column - last_column))
            is_documentation = token.type == tokenize.STRING and (
                before in (tokenize.INDENT, tokenize.NEWLINE) or column == 0
            )
            if token.type != tokenize.COMMENT and not is_documentation:
                parts.append(token.string)
            before = token.type
            last_line, last_column = token.end
    except (tokenize.TokenError, SyntaxError):
        return code
    return _without_blank_lines("".join(parts))


def _has_nothing_to_remove(code: str) -> bool:
    """Whether Python's tokens would be put together as they stand, but for blank lines.

    Of lines indented by tabs all but a block's first come back with blanks.
    """
    if any(mark in code for mark in ("#", "\\\n", "\r", "\f", "\t", "'''", '"""')):
        return False
    return not _STRING_FIRST.search(code)


_STRING_FIRST = re.compile(r"^[ \t]*[A-Za-z]{0,2}['\"]", re.MULTILINE)
