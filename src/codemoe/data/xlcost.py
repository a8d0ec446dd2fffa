"""XLCoST text and code as released, turned back into what people write (arXiv:2206.08474)."""

import re

from codemoe.data.xlcost_braces import write_braces
from codemoe.data.xlcost_lost import restore_lost
from codemoe.data.xlcost_python import write_python
from codemoe.data.xlcost_tokens import tokenize

_BRACE_LANGUAGES = ("java", "javascript", "cpp", "c", "csharp", "php")
LANGUAGES = ("python", *_BRACE_LANGUAGES)


def detokenize(code: str, language: str) -> str:
    """Real source code of one released program.

    Python gets its lines and indentation from NEW_LINE, INDENT and DEDENT; the other languages,
    whose lines the release does not keep, get a line per statement. Only white space changes,
    the inside of string literals (blanks the tokeniser put there go, marked blanks come back), and
    a lost `|` or `||` where two operands stand side by side (`xlcost_lost`).

    Does not: bring back what else the release lost. Its JavaScript string literals are empty.
    """
    tokens = restore_lost(tokenize(code, language), language)
    return write_python(tokens) if language == "python" else write_braces(tokens, language)


def clean_text(text: str) -> str:
    """A description (`title | comment ; comment`) with normal spacing and language names."""
    text = " ".join(text.split())
    text = re.sub(r"\b[Cc] \+ ?\+", "C++", text)
    text = re.sub(r"\bC # ", "C# ", text)
    text = re.sub(r" '(s|t|th|re|ve|ll|d|m)\b", r"'\1", text)  # "Pascal 's", "can 't", "N 'th"
    text = re.sub(r" ([,)\]])", r"\1", text)
    return re.sub(r"([(\[]) ", r"\1", text)


def title_of(text: str) -> str:
    """The part before the first ` | `: names the problem, in the same words in every language."""
    return text.split(" | ", 1)[0].strip()
