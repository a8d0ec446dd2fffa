"""A program as the package sees it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from codemoe.evaluate.codebleu.compat.comments import has_no_comments, remove_comments
from codemoe.evaluate.codebleu.compat.dataflow import Normal, package_flows
from codemoe.evaluate.codebleu.compat.subtrees import package_subtrees
from codemoe.evaluate.codebleu.ngram import Ngrams, count_ngrams_of
from codemoe.evaluate.codebleu.parsing import Text, known_tree, parse_all
from codemoe.evaluate.codebleu.remembered import MOST_CHARACTERS, Remembered
from codemoe.evaluate.codebleu.tree import SyntaxTree


@dataclass(frozen=True, slots=True)
class CompatProgram:
    """What the package's components compare."""

    language: str
    ngrams: Ngrams  # of the text split at white space: `a=b` is one token
    subtrees: Counter[int]
    flow: Counter[Normal]


def read_compat(code: str, language: str) -> CompatProgram:
    """Read any text as a program of that language (canonical name)."""
    return read_compats([(code, language)])[0]


def read_compats(texts: Sequence[Text], *, as_pinned: bool = True) -> list[CompatProgram]:
    """Like `read_compat`, for several texts: one step for all of them after the other.

    `as_pinned=False` reads the trees as today's grammars build them, and not as the ones that the
    package pins: what the package itself sees where it is made to run on today's.
    """
    codes = [(code.strip(), language) for code, language in texts]
    trees = _trees(codes)
    parts = zip(
        count_ngrams_of([code.split() for code, _ in codes]),
        package_subtrees(trees, as_pinned=as_pinned),
        package_flows(trees, as_pinned=as_pinned),
        strict=True,
    )
    return [
        CompatProgram(language, *part) for (_, language), part in zip(texts, parts, strict=True)
    ]


def _trees(codes: Sequence[Text]) -> list[SyntaxTree]:
    """What the package parses. Sound code is taken with its blank lines where it has just been
    parsed for another purpose: its tree is the same."""
    texts = []
    for code, language in codes:
        exact = remove_comments(code, language)
        if exact != code and has_no_comments(code, language):
            known = known_tree((code, language))
            exact = code if known and not known.has_error else exact
        texts.append((exact, language))
    return parse_all(texts)


read_compat_references = Remembered(read_compats)
read_compat_predictions = Remembered(read_compats, MOST_CHARACTERS // 4)
