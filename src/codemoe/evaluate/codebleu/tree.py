"""A syntax tree as light Python records, and the code tokens found on the way.

One walk over the tree-sitter tree gives everything the four components need: comments and
docstrings are gone, a string literal is one token and (but for its interpolations) one leaf.
"""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from codemoe.languages import get_parser

if TYPE_CHECKING:
    import tree_sitter

STRINGS = frozenset(
    {
        "char_literal",
        "character_literal",
        "encapsed_string",
        "heredoc",
        "interpolated_string_expression",
        "interpreted_string_literal",
        "raw_string_literal",
        "regex",
        "rune_literal",
        "string",
        "string_lit",
        "string_literal",
        "template_string",
        "verbatim_string_literal",
    }
)
INTERPOLATIONS = frozenset({"interpolation", "template_substitution", "string_interpolation"})
# Leaves that hold unparsed text: a macro's replacement, or what the parser could not read.
UNPARSED = frozenset({"preproc_arg", "ERROR"})
# A statement that is only a string literal is documentation where the language says so.
DOCSTRING_STATEMENT = {"python": "expression_statement"}

_TOKEN = re.compile(
    r"""[^\W\d]\w*                                  # a name
    |\d[\w.]*                                       # a number
    |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'        # a string
    |>>>=|===|!==|\*\*=|//=|<<=|>>=|>>>|\.\.\.
    |[-+*/%&|^=!<>]=|\+\+|--|&&|\|\||->|=>|::|<<|>>|\*\*|//
    |\S""",
    re.VERBOSE,
)


@dataclass(slots=True, eq=False)
class Node:
    """One node. `kind` is the grammar's number for `type`, the same in every process."""

    type: str
    kind: int
    named: bool
    broken: bool  # ERROR, or MISSING: the parser made it up
    role: str | None  # the grammar's field name for it in its parent
    text: str  # of leaves; "" elsewhere
    children: list["Node"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SyntaxTree:
    """All nodes in source order (parents before children; the first is the root) and tokens."""

    nodes: tuple[Node, ...]
    tokens: tuple[str, ...]


def split_text(text: str) -> list[str]:
    """Tokens of text that no grammar has read, by one regular expression."""
    return _TOKEN.findall(text)


def read_tree(code: str, language: str) -> SyntaxTree:
    """Parse any text; never fails on bad code (what cannot be parsed becomes ERROR nodes).

    Tokens are the tree's leaves, so `a=b+1` and `a = b + 1` are the same five tokens. Text that
    tree-sitter skipped is split by `split_text`, so no byte of the answer escapes the score.
    """
    source = code.encode("utf-8", "replace")
    cursor = get_parser(language).parse(source).walk()
    docstring_statement = DOCSTRING_STATEMENT.get(language)
    nodes: list[Node] = []
    tokens: list[str] = []
    parents: list[Node] = []
    read_to = 0  # every byte before this one is a token, a comment or white space

    while True:
        here = cursor.node
        assert here is not None
        kind, start, end = here.type, here.start_byte, here.end_byte
        descends = False
        if _is_documentation(here, docstring_statement):
            if start >= read_to:
                tokens += _skipped(source, read_to, start)
                read_to = end
        elif kind in INTERPOLATIONS or not parents or parents[-1].type not in STRINGS:
            is_leaf = here.child_count == 0 or kind in STRINGS
            text = source[start:end].decode("utf-8", "replace") if is_leaf else ""
            is_broken = kind == "ERROR" or (start == end and here.is_missing)
            node = Node(kind, here.kind_id, here.is_named, is_broken, cursor.field_name, text)
            nodes.append(node)
            if parents:
                parents[-1].children.append(node)
            if is_leaf and start >= read_to:
                tokens += _skipped(source, read_to, start)
                if kind in UNPARSED:
                    tokens += split_text(text)
                elif text.strip(" \t\r\n\f\\"):
                    tokens.append(text)
                read_to = max(read_to, end)
            descends = cursor.goto_first_child()
            if descends:
                parents.append(node)
        if not descends:
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    tokens += _skipped(source, read_to, len(source))
                    return SyntaxTree(tuple(nodes), tuple(tokens))
                parents.pop()


def _is_documentation(node: "tree_sitter.Node", docstring_statement: str | None) -> bool:
    if "comment" in node.type:
        return True
    if node.type != docstring_statement or node.child_count != 1:
        return False
    only = node.child(0)
    return only is not None and only.type == "string"


def _skipped(source: bytes, start: int, end: int) -> list[str]:
    gap = source[start:end].strip()
    return split_text(gap.decode("utf-8", "replace")) if gap else []
