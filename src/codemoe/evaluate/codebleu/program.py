"""A program as CodeBLEU sees it: parsed once, compared many times."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from codemoe.evaluate.codebleu.dataflow import Edge, data_flow
from codemoe.evaluate.codebleu.ngram import Ngrams, count_ngrams_of
from codemoe.evaluate.codebleu.parsing import Text, parse, parse_all
from codemoe.evaluate.codebleu.remembered import MOST_CHARACTERS, Remembered
from codemoe.evaluate.codebleu.source import code_start, has_xlcost_marks, source_text
from codemoe.evaluate.codebleu.syntax import subtree_shapes_of
from codemoe.evaluate.codebleu.tokens import tokens_of
from codemoe.evaluate.codebleu.tree import unreadable_bytes, without_comments
from codemoe.languages import LANGUAGES, PROSE


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


def read_program(code: str, language: str) -> Program:
    """Read any text as a program of that language (canonical name); bad code is no error."""
    return read_programs([(code, language)])[0]


def read_programs(texts: Sequence[Text]) -> list[Program]:
    """Like `read_program`, for several texts: one step for all of them after the other.

    Prose has words and no more: no grammar reads it.
    """
    words = {at: code for at, (code, language) in enumerate(texts) if language == PROSE.name}
    code = _read_code([text for at, text in enumerate(texts) if at not in words])
    if not words:
        return code
    prose, others = iter(_read_prose(list(words.values()))), iter(code)
    return [next(prose if at in words else others) for at in range(len(texts))]


def _read_prose(texts: Sequence[str]) -> list[Program]:
    tokens = [tuple(_WORD.findall(text)) for text in texts]
    return [
        Program(PROSE.name, words, ngrams, Counter(), None, len(text.encode("utf-8", "replace")), 0)
        for text, words, ngrams in zip(texts, tokens, count_ngrams_of(tokens), strict=True)
    ]


def _read_code(texts: Sequence[Text]) -> list[Program]:
    wholes = parse_all([(source_text(code, language), language) for code, language in texts])
    trees = [without_comments(whole) for whole in wholes]
    tokens = [tuple(tokens_of(*both)) for both in zip(trees, wholes, strict=True)]
    parts = zip(
        tokens,
        count_ngrams_of(tokens),
        subtree_shapes_of(trees),
        [data_flow(tree) for tree in trees],
        strict=True,
    )
    return [
        Program(
            whole.grammar.language,
            *part,
            len(whole.source),
            unreadable_bytes(whole) if whole.has_error else 0,
        )
        for whole, part in zip(wholes, parts, strict=True)
    ]


read_references = Remembered(read_programs)
read_predictions = Remembered(read_programs, MOST_CHARACTERS // 4)

# What a text may begin with that is no token, or part of none. (PHP outside its tags is text.)
_NO_TOKEN_FIRST = dict.fromkeys(LANGUAGES, "/<-") | {"python": "#\"'", "ruby": "#=_"}
_LINE_COMMENTS = {
    mark: re.compile(rf"(?:{re.escape(mark)}[^\n\\]*\n\s*)+")
    for mark in {row.line_comment for row in LANGUAGES.values()}
}
_WORD = re.compile(r"\w+|[^\w\s]")
_PREFIXED = re.compile(r"\w+['\"]")
_CONTINUED = re.compile(r"\\\s|\\$")


def has_code(code: str, language: str) -> bool:
    """Whether a program of this text would not be empty; mostly seen without reading it all."""
    if language == PROSE.name:
        return bool(code.strip())
    start = code_start(code)
    comments = _LINE_COMMENTS[LANGUAGES[language].line_comment].match(code, start)
    if comments and not has_xlcost_marks(code):  # which are line ends in comments, too
        start = comments.end()
    first = code[start : start + 1]
    if first.isprintable() and language != "php":
        if not first:
            return False
        is_prefixed = language == "python" and _PREFIXED.match(code, start)
        is_token = first not in _NO_TOKEN_FIRST[language] and not _CONTINUED.match(code, start)
        if is_token and not is_prefixed:
            return True
    whole = parse(source_text(code, language), language)
    return bool(tokens_of(without_comments(whole), whole))
