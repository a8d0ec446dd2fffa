"""The package's subtrees: S-expressions of all inner nodes, on the grammars that it pins.

Two subtrees are equal where tree-sitter writes them alike: kinds and roles of named nodes, what
is broken or missing included. They are kept as hashes. Where today's grammar builds another tree
for sound code than the one the package pins, `_OLD` tells how to build the old one. (Trees of
*broken* code also depend on tree-sitter's error recovery, which has changed; those stay as they
are.)
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from codemoe.evaluate.codebleu.grammar import ERROR, NAMED, Grammar
from codemoe.evaluate.codebleu.tree import SyntaxTree

_MISSING = -1


@dataclass(frozen=True)
class _Old:
    """How a child in this role stood in the pinned grammar: in a node of its own, role or not."""

    wrapper: str | None
    keeps_role: bool = False
    unless: frozenset[str] = frozenset()  # kinds of children that have not changed


_STATEMENTS = frozenset(
    {"lexical_declaration", "variable_declaration", "empty_statement", "expression_statement"}
)
_OLD: dict[str, dict[tuple[str, str], _Old]] = {
    "python": {("except_clause", "value"): _Old(None)},
    "javascript": {
        ("for_statement", role): _Old("expression_statement", True, _STATEMENTS)
        for role in ("initializer", "condition")
    },
    "php": {
        ("qualified_name", "prefix"): _Old("namespace_name_as_prefix"),
        ("property_element", "name"): _Old(None),
        ("property_element", "default_value"): _Old("property_initializer"),
        ("namespace_use_clause", "alias"): _Old("namespace_aliasing_clause"),
    },
}
_TRANSPARENT = {"go": ("statement_list",)}  # kinds that the pinned grammar does not have


@dataclass(frozen=True, eq=False)
class _Table:
    """_OLD and _TRANSPARENT in the numbers of a grammar."""

    changed: dict[tuple[int, int], tuple[int | None, bool, frozenset[int]]]
    transparent: frozenset[int]
    indexing: frozenset[int]  # Go: index_expression
    identifiers: frozenset[int]


@cache
def _table(grammar: Grammar) -> _Table:
    changed = {}
    for (parent, role), old in _OLD.get(grammar.language, {}).items():
        wrapper = None
        if old.wrapper is not None:
            known = grammar.kinds([old.wrapper])
            wrapper = min(known) if known else crc32(old.wrapper.encode())
        for kind in grammar.kinds([parent]):
            key = kind, grammar.fields[role]
            changed[key] = wrapper, old.keeps_role, grammar.kinds(old.unless)
    indexing = grammar.kinds(["index_expression"] if grammar.language == "go" else [])
    transparent = grammar.kinds(_TRANSPARENT.get(grammar.language, ()))
    return _Table(changed, transparent, indexing, grammar.kinds(["identifier"]))


def package_subtrees(tree: SyntaxTree) -> Counter[int]:
    """Count the shapes of all inner nodes; the root counts also where it is a leaf."""
    table = _table(tree.grammar)
    flags, kinds, after, fields = tree.grammar.flags, tree.kinds, tree.after, tree.fields
    has_error, missing, changed = tree.has_error, tree.missing, table.changed
    transparent, indexing = table.transparent, table.indexing
    shapes: list[int] = []
    waiting: list[int] = []
    places: list[int] = []
    for node in range(len(kinds) - 1, -1, -1):
        kind = kinds[node]
        end = after[node]
        if end == node + 1 and node:
            if has_error and (kind == ERROR or node in missing):
                waiting.append(_leaf_in_error(tree, node))
                places.append(node)
            elif flags[kind] & NAMED:
                waiting.append(kind)
                places.append(node)
            continue
        if kind in transparent:
            continue  # its children are its parent's
        if not flags[kind] & NAMED:  # counted, but its children are written as its parent's
            inside = sum(1 for child in places if child < end)
            shapes.append(hash((kind, *waiting[len(waiting) - inside :])))
            continue
        if kind in indexing and _is_nested_index(tree, node, table):
            while places and places[-1] < end:
                waiting.pop()
                places.pop()
            shapes += _NESTED_INDEX
            waiting.append(_NESTED_INDEX[-1])
            places.append(node)
            continue
        parts = [kind]
        while places and places[-1] < end:
            child = places.pop()
            part, role = waiting.pop(), fields[child] or 0
            if changed and (kind, role) in changed:
                wrapper, keeps_role, unless = changed[kind, role]
                if kinds[child] not in unless:
                    if wrapper is not None:
                        part = hash((wrapper, 0, part))
                        shapes.append(part)
                    role = role if keeps_role else 0
            parts.append(role)
            parts.append(part)
        # A node with nothing named inside is written like a leaf.
        shape = hash(tuple(parts)) if len(parts) > 1 else kind
        waiting.append(shape)
        places.append(node)
        shapes.append(shape)
    return Counter(shapes)


def _leaf_in_error(tree: SyntaxTree, node: int) -> int:
    """tree-sitter names the kind of what it made up, and the character it could not read."""
    if node in tree.missing:
        return hash((_MISSING, tree.kinds[node]))
    text = tree.slice(tree.starts[node], tree.ends[node])
    return hash((ERROR, ord(text[0]) if text else 0))


# `a[i][j]` with plain names: the pinned Go grammar takes `a[i]` for a generic type.
_NAME, _ELEMENT, _ARGUMENTS, _GENERIC, _INSTANCE = range(100_000, 100_005)


def _nested_shapes() -> list[int]:
    element = hash((_ELEMENT, 0, _NAME))
    arguments = hash((_ARGUMENTS, 0, element))
    generic = hash((_GENERIC, 1, _NAME, 2, arguments))
    return [element, arguments, generic, hash((_INSTANCE, 1, generic, 0, _NAME))]


_NESTED_INDEX = _nested_shapes()


def _is_nested_index(tree: SyntaxTree, node: int, table: _Table) -> bool:
    """Whether the node reads index(index(name, name), name), with nothing else inside."""
    kinds = tree.kinds
    # Two inner nodes, three names and two pairs of brackets, in this order.
    return (
        tree.after[node] == node + 9
        and kinds[node + 1] in table.indexing
        and all(kinds[node + place] in table.identifiers for place in (2, 4, 7))
    )
