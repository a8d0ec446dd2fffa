"""A program as the package sees it."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from codemoe.evaluate.codebleu.compat.comments import remove_comments
from codemoe.evaluate.codebleu.compat.dataflow import Normal, package_flow
from codemoe.evaluate.codebleu.compat.subtrees import package_subtrees
from codemoe.evaluate.codebleu.ngram import Ngrams, count_ngrams
from codemoe.evaluate.codebleu.tree import parse


@dataclass(frozen=True, slots=True)
class CompatProgram:
    """What the package's components compare."""

    language: str
    ngrams: Ngrams  # of the text split at white space: `a=b` is one token
    subtrees: Counter[int]
    flow: Counter[Normal]


@lru_cache(maxsize=1024)
def read_compat_reference(code: str, language: str) -> CompatProgram:
    """Like `read_compat`, remembered."""
    return read_compat(code, language)


def read_compat(code: str, language: str) -> CompatProgram:
    """Read any text as a program of that language (canonical name)."""
    code = code.strip()
    tree = parse(remove_comments(code, language), language)
    return CompatProgram(
        language, count_ngrams(code.split()), package_subtrees(tree), package_flow(tree)
    )
