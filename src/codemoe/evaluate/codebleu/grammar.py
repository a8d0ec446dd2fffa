"""What CodeBLEU needs to know of a tree-sitter grammar, looked up once per process.

Node kinds are the grammar's own numbers, the same in every process. What depends on a kind's name
(is it a comment? a string?) is a table by number here, so that no name is read while walking.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codemoe.languages import get_parser

if TYPE_CHECKING:
    import tree_sitter

ERROR = 0xFFFF  # tree-sitter's number for what it could not read

# Bits of Grammar.flags.
NAMED = 1
COMMENT = 2  # never code: dropped before anything is counted
STRING = 4  # one token, and one leaf but for its interpolations
INTERPOLATION = 8
UNPARSED = 16  # a leaf that holds text no rule has read: a macro's replacement, an error


Table = NDArray[np.bool_]  # one value for every kind number


def table_of(kinds: Iterable[int]) -> Table:
    """True for these kinds."""
    table = np.zeros(0x10000, np.bool_)
    table[list(kinds)] = True
    return table


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STRINGS = _words(
    "char_literal character character_literal concatenated_string encapsed_string heredoc "
    "heredoc_body interpolated_string_expression interpreted_string_literal nowdoc "
    "raw_string_literal regex regex_literal rune_literal shell_command_expression string "
    "string_array string_lit string_literal subshell symbol_array template_string "
    "verbatim_string_literal"
)
_INTERPOLATIONS = _words("interpolation template_substitution string_interpolation")
_UNPARSED = _words("preproc_arg ERROR")
_NO_CODE = _words("php_tag php_end_tag text_interpolation")


@dataclass(frozen=True, eq=False)
class Grammar:
    """One language's tables. `flags[kind]` for every kind number, ERROR included."""

    language: str
    parser: "tree_sitter.Parser"
    flags: bytearray
    is_named: Table
    is_special: Table  # literals and unparsed text: not their leaves are tokens
    is_comment: Table
    is_string: Table
    is_statement: Table  # of a single expression: what Python's documentation is
    is_error: Table
    words: dict[int, str]  # text of the kinds that always read the same: "(", "while"
    names: dict[int, str]
    fields: dict[str, int]  # role of a child in its parent -> number

    def kinds(self, names: Iterable[str]) -> frozenset[int]:
        """Numbers of all kinds with one of these names."""
        wanted = frozenset(names)
        return frozenset(kind for kind, name in self.names.items() if name in wanted)


@cache
def grammar_of(language: str) -> Grammar:
    """The tables of a language (canonical name). Raises UserError for a grammar not installed."""
    parser = get_parser(language)
    table = parser.language
    assert table is not None
    names = {kind: table.node_kind_for_id(kind) or "" for kind in range(table.node_kind_count)}
    names[ERROR] = "ERROR"
    flags = bytearray(0x10000)
    words = {}
    for kind, name in names.items():
        is_named = kind == ERROR or table.node_kind_is_named(kind)
        if is_named:
            flags[kind] = NAMED
            flags[kind] |= COMMENT * ("comment" in name or name in _NO_CODE)
            flags[kind] |= STRING * (name in _STRINGS)
            flags[kind] |= INTERPOLATION * (name in _INTERPOLATIONS)
            flags[kind] |= UNPARSED * (name in _UNPARSED)
        else:
            words[kind] = name.strip(" \t\r\n\f\\") if len(name) > 1 else name.strip()
    numbered = [(n, table.field_name_for_id(n)) for n in range(1, table.field_count + 1)]
    fields = {name: number for number, name in numbered if name}

    all_flags = np.frombuffer(flags, np.uint8)
    is_error = table_of([ERROR])
    return Grammar(
        language,
        parser,
        flags,
        all_flags & NAMED > 0,
        (all_flags & (STRING | UNPARSED) > 0) & ~is_error,
        all_flags & COMMENT > 0,
        all_flags & STRING > 0,
        table_of(kind for kind, name in names.items() if name == "expression_statement"),
        is_error,
        words,
        names,
        fields,
    )
