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
    "go": {("keyed_element", role): _Old(None) for role in ("key", "value")},
}
# Kinds that the pinned grammar does not have: their children are their parent's.
_TRANSPARENT = {"go": ("statement_list", "interpreted_string_literal_content")}


@dataclass(frozen=True, eq=False)
class _Table:
    """_OLD and _TRANSPARENT in the numbers of a grammar."""

    changed: dict[tuple[int, int], tuple[int | None, bool, frozenset[int]]]
    transparent: frozenset[int]
    indexing: frozenset[int]  # Go: index_expression
    identifiers: frozenset[int]
    rooted: dict[int, int]  # PHP: qualified_name -> what its leading backslash stood in
    backslashes: frozenset[int]


@cache
def _table(grammar: Grammar) -> _Table:
    def number(kind: str) -> int:
        known = grammar.kinds([kind])
        return min(known) if known else crc32(kind.encode())

    changed = {}
    for (parent, role), old in _OLD.get(grammar.language, {}).items():
        wrapper = None if old.wrapper is None else number(old.wrapper)
        for kind in grammar.kinds([parent]):
            key = kind, grammar.fields[role]
            changed[key] = wrapper, old.keeps_role, grammar.kinds(old.unless)
    is_php = grammar.language == "php"
    rooted = grammar.kinds(["qualified_name"]) if is_php else frozenset()
    return _Table(
        changed,
        grammar.kinds(_TRANSPARENT.get(grammar.language, ())),
        grammar.kinds(["index_expression"] if grammar.language == "go" else []),
        grammar.kinds(["identifier"]),
        dict.fromkeys(rooted, number("namespace_name_as_prefix")),
        grammar.kinds(["\\"]),
    )


def package_subtrees(tree: SyntaxTree) -> Counter[int]:
    """Count the shapes of all inner nodes; the root counts also where it is a leaf."""
    table = _table(tree.grammar)
    flags, kinds, after, fields = tree.grammar.flags, tree.kinds, tree.after, tree.fields
    has_error, missing, changed = tree.has_error, tree.missing, table.changed
    transparent, rooted = table.transparent, table.rooted
    replaced = _generic_types(tree, table) if table.indexing else {}
    shapes: list[int] = []
    waiting: list[int] = []  # shapes of nodes whose parent is still to come
    places: list[int] = []  # ... and their node numbers
    for node in range(len(kinds) - 1, -1, -1):
        kind = kinds[node]
        end = after[node]
        if node in replaced:
            inside = replaced[node]
            if inside:
                shapes += inside
                waiting.append(inside[-1])
                places.append(node)
            continue
        if kind in transparent:
            continue
        if end == node + 1 and node:
            if has_error and (kind == ERROR or node in missing):
                waiting.append(_leaf_in_error(tree, node))
                places.append(node)
            elif flags[kind] & NAMED:
                waiting.append(kind)
                places.append(node)
            continue
        if not flags[kind] & NAMED:  # counted, but its children are written as its parent's
            count = sum(1 for child in places if child < end)
            shapes.append(hash((kind, *waiting[len(waiting) - count :])))
            continue
        parts = [kind]
        if kind in rooted and kinds[node + 1] in table.backslashes:
            parts += (0, rooted[kind])
            shapes.append(rooted[kind])
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


# Go: `a[i][j]` and `a[b[i]]` with plain names. The pinned grammar takes the inner index for a
# generic type, and the whole for an instance of one.
_NAME, _ELEMENT, _ARGUMENTS, _GENERIC, _INSTANCE = range(100_000, 100_005)


def _generic_types(tree: SyntaxTree, table: _Table) -> dict[int, list[int]]:
    """Nodes that the pinned grammar read as types -> the shapes they were; [] inside of one."""
    found: dict[int, list[int]] = {}
    for node, kind in enumerate(tree.kinds):
        if kind not in table.indexing or node in found:
            continue
        operand, index = _operand_and_index(tree, node)
        if tree.kinds[operand] not in table.indexing and tree.kinds[index] not in table.indexing:
            continue
        left, right = _type_shapes(tree, operand, table), _type_shapes(tree, index, table)
        if left is None or right is None:
            continue
        whole = hash((_INSTANCE, 1, left[-1], 0, right[-1]))
        inner = [shape for shape in (*left, *right) if shape != _NAME]
        found.update((place, []) for place in range(node + 1, tree.after[node]))
        found[node] = [*inner, whole]
    return found


def _operand_and_index(tree: SyntaxTree, node: int) -> tuple[int, int]:
    operand = node + 1
    bracket = tree.after[operand]
    return operand, min(bracket + 1, tree.after[node] - 1)


def _type_shapes(tree: SyntaxTree, node: int, table: _Table) -> list[int] | None:
    """Shapes of a name or of `name[type]` read as a type, its own last; None for all else."""
    opened: list[int] = []
    while tree.kinds[node] in table.indexing:
        operand, index = _operand_and_index(tree, node)
        if tree.kinds[operand] not in table.identifiers:
            return None
        opened.append(node)
        node = index
    if tree.kinds[node] not in table.identifiers:
        return None
    shapes = [_NAME]
    for _ in opened:
        element = hash((_ELEMENT, 0, shapes[-1]))
        arguments = hash((_ARGUMENTS, 0, element))
        shapes += [element, arguments, hash((_GENERIC, 1, _NAME, 2, arguments))]
    return shapes
