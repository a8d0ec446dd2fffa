"""A program as CodeBLEU sees it: parsed once, compared many times."""

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from codemoe.evaluate.codebleu.dataflow import Edge, data_flow
from codemoe.evaluate.codebleu.ngram import Ngrams, count_ngrams
from codemoe.evaluate.codebleu.source import source_text
from codemoe.evaluate.codebleu.syntax import subtree_shapes
from codemoe.evaluate.codebleu.tokens import tokens_of
from codemoe.evaluate.codebleu.tree import parse, unreadable_bytes, without_comments


@dataclass(frozen=True, slots=True)
class Program:
    """What the components compare. Counters are never changed after this is made."""

    language: str
    tokens: tuple[str, ...]
    ngrams: Ngrams
    subtrees: Counter[int]
    dataflow: Counter[Edge] | None  # None: the language has no data-flow table
    size: int  # bytes
    unreadable: int  # bytes that the grammar could not read, at least 1 for each error

    @property
    def is_empty(self) -> bool:
        """No code at all: nothing, white space, or only comments."""
        return not self.tokens


@lru_cache(maxsize=1024)
def read_reference(code: str, language: str) -> Program:
    """Like `read_program`, remembered: models are compared, and problems answered many times, on
    the same references."""
    return read_program(code, language)


def read_program(code: str, language: str) -> Program:
    """Parse any text as a program of that language (canonical name); bad code is no error."""
    whole = parse(source_text(code, language), language)
    tree = without_comments(whole)
    tokens = tuple(tokens_of(tree, whole))
    return Program(
        language,
        tokens,
        count_ngrams(tokens),
        subtree_shapes(tree),
        data_flow(tree),
        len(whole.source),
        unreadable_bytes(whole) if whole.has_error else 0,
    )
