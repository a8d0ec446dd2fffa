"""The package's subtrees: S-expressions of all inner nodes, on the grammars that it pins.

Two subtrees are equal where tree-sitter writes them alike: kinds and roles of named nodes, what
is broken or missing included. They are kept as hashes. Where today's grammar builds another tree
for sound code than the one the package pins, `_OLD` tells how to build the old one. (Trees of
*broken* code also depend on tree-sitter's error recovery, which has changed; those stay as they
are.)
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from zlib import crc32

import numpy as np

from codemoe.evaluate.codebleu.forest import Forest, in_forests
from codemoe.evaluate.codebleu.grammar import Grammar, Table, table_of
from codemoe.evaluate.codebleu.shapes import (
    CODE_OF_KIND,
    KINDS,
    mixed,
    subtree_hashes,
)
from codemoe.evaluate.codebleu.tree import SyntaxTree


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
_TRANSPARENT = {
    "go": ("statement_list", "interpreted_string_literal_content", "raw_string_literal_content"),
    "php": ("php_end_tag",),
    "python": ("not in", "is not"),
}
# Kinds that have no parts in the pinned grammar.
_LEAVES = {"go": ("raw_string_literal",)}


@dataclass(frozen=True, eq=False)
class _Rules:
    """What is above in the numbers of a grammar."""

    # (parent, role) -> code of the wrapper, whether the role stays, kinds that have not changed
    changed: dict[tuple[int, int], tuple[int | None, bool, frozenset[int]]]
    is_changed: Table  # parents in `changed`
    is_transparent: Table
    is_leaf: Table
    is_index: Table  # Go: index_expression
    is_selector: Table  # Go: selector_expression
    identifiers: frozenset[int]
    type_codes: dict[str, int]  # Go: of the kinds of types
    type_roles: dict[str, int]
    is_rooted: Table  # PHP: qualified_name
    root: int  # ... code of what a leading backslash stood in, where only the name follows
    backslashes: frozenset[int]
    namespaces: frozenset[int]


@cache
def _rules(grammar: Grammar, as_pinned: bool) -> _Rules:
    def code(kind: str) -> int:
        known = grammar.kinds([kind])
        return mixed(min(known) if known else crc32(kind.encode()))

    def kinds(language: str, names: Sequence[str]) -> frozenset[int]:
        """Kinds that have changed in a language."""
        return grammar.kinds(names if as_pinned and grammar.language == language else ())

    changed = {}
    for (parent, role), old in _OLD.get(grammar.language, {}).items():
        wrapper = None if old.wrapper is None else code(old.wrapper)
        for kind in kinds(grammar.language, [parent]):
            key = kind, grammar.fields[role]
            changed[key] = wrapper, old.keeps_role, grammar.kinds(old.unless)
    return _Rules(
        changed,
        table_of(kind for kind, _ in changed),
        table_of(kinds(grammar.language, _TRANSPARENT.get(grammar.language, ()))),
        table_of(kinds(grammar.language, _LEAVES.get(grammar.language, ()))),
        table_of(kinds("go", ["index_expression"])),
        table_of(grammar.kinds(["selector_expression"])),
        grammar.kinds(["identifier"]),
        {kind: code(kind) for kind in (*_INNER_TYPES, *_TYPE_NAMES)},
        {role: grammar.fields.get(role, 0) for role in _TYPE_ROLES},
        table_of(kinds("php", ["qualified_name"])),
        code("namespace_name_as_prefix"),
        grammar.kinds(["\\"]),
        grammar.kinds(["namespace_name"]),
    )


CODE_OF_ROLE = np.array([0, *(mixed(KINDS + role) for role in range(1, 256))], np.uint64)
_MISSING, _UNREAD = 1 << 20, 1 << 21  # beyond all kinds; a kind or a character is added


@dataclass(slots=True)
class _Added:
    """Nodes that the pinned grammar had and today's has not. Keys stand between those of nodes."""

    keys: list[int]
    ends: list[int]
    codes: list[int]
    roles: list[int]
    are_tops: list[bool]  # counted as subtrees

    def add(self, key: int, end: int, code: int, role: int, is_top: bool = True) -> None:
        self.keys.append(key)
        self.ends.append(end)
        self.codes.append(code)
        self.roles.append(role)
        self.are_tops.append(is_top)


def package_subtrees(trees: Sequence[SyntaxTree], *, as_pinned: bool = True) -> list[Counter[int]]:
    """For each tree, count the shapes of all inner nodes; the root counts also where it is a leaf.

    `as_pinned=False` leaves the trees as today's grammars build them.
    """
    return in_forests(trees, partial(_shapes, as_pinned=as_pinned))


def _shapes(forest: Forest, as_pinned: bool) -> list[Counter[int]]:
    rules = _rules(forest.grammar, as_pinned)
    nodes = _Nodes(forest, rules)
    nodes.code_errors()
    nodes.make_old(rules)
    is_top, scale, added = nodes.is_top, nodes.scale, nodes.added
    node, top = nodes.is_node.nonzero()[0], is_top.nonzero()[0]
    keys, tops, own = node * scale, top * scale, nodes.codes[top]
    # ... before what is added around the node behind
    ends = forest.ends_of(top) * scale - (scale > 1)
    codes = nodes.codes[node] + CODE_OF_ROLE[nodes.roles[node]]
    if added.keys:
        new_keys = np.array(added.keys, np.int64)
        new_codes = np.array(added.codes, np.uint64)
        is_new_top = np.array(added.are_tops, np.bool_)
        keys = np.concatenate((keys, new_keys))
        codes = np.concatenate((codes, new_codes + CODE_OF_ROLE[added.roles]))
        order = keys.argsort()
        keys, codes = keys[order], codes[order]
        tops = np.concatenate((tops, new_keys[is_new_top]))
        order = tops.argsort()
        new_ends = np.array(added.ends, np.int64)
        ends = np.concatenate((ends, new_ends[is_new_top]))[order]
        own = np.concatenate((own, new_codes[is_new_top]))[order]
        tops = tops[order]
    shapes = subtree_hashes(keys, codes, tops, ends, own).tolist()
    first = tops.searchsorted(np.array(forest.bases) * scale).tolist()
    return [Counter(shapes[low:high]) for low, high in pairwise(first)]


class _Nodes:
    """What a forest's nodes are, and which count; then as the pinned grammar would have them."""

    def __init__(self, forest: Forest, rules: _Rules) -> None:
        self.forest = forest
        kinds = forest.codes
        self.roles = np.frombuffer(
            bytearray().join([tree.fields for tree in forest.trees]), np.uint8
        )
        self.codes = CODE_OF_KIND[kinds]
        # What an anonymous node holds is written as its parent's, though it is counted itself.
        is_transparent = rules.is_transparent[kinds]
        self.is_node = forest.grammar.is_named[kinds] & ~is_transparent
        self.is_top = np.zeros(len(kinds), np.bool_)
        self.is_top[forest.places([tree.inner or [0] for tree in forest.trees])] = True
        self.is_leaf = ~self.is_top
        self.is_top &= ~(is_transparent | rules.is_leaf[kinds])
        self.scale = 1  # keys from one node to the next
        self.added = _Added([], [], [], [], [])

    def code_errors(self) -> None:
        """tree-sitter names the kind of what it made up, and the character it could not read."""
        forest = self.forest
        is_unread = forest.grammar.is_error[forest.codes] & self.is_leaf
        unread = iter(is_unread.nonzero()[0].tolist())
        place = next(unread, -1)
        for (tree, base), end in zip(forest, forest.bases[1:], strict=True):
            while base <= place < end:
                if place > base:  # no root
                    text = tree.text_of(place - base)
                    self.codes[place] = mixed(_UNREAD + (ord(text[0]) if text else 0))
                place = next(unread, -1)
            for node in tree.missing:
                if node:
                    self.codes[base + node] = mixed(_MISSING + tree.kinds[node])
                    self.is_node[base + node] = True

    def make_old(self, rules: _Rules) -> None:
        """Change what today's grammar builds otherwise."""
        kinds = self.forest.codes
        is_other = rules.is_changed[kinds] | rules.is_rooted[kinds] | rules.is_index[kinds]
        if not is_other.any():
            return
        rows = [_generic_types(tree, rules) for tree in self.forest.trees]
        lengths = [len(row) for some in rows for row in some.values()]
        self.scale = scale = 2 + max(lengths, default=1)
        for (tree, base), some in zip(self.forest, rows, strict=True):
            for node, row in some.items():
                inside = slice(base + node + 1, base + tree.after[node])
                self.is_node[inside] = self.is_top[inside] = False
                self.codes[base + node] = rules.type_codes[_INSTANCE]
                for at, (kind, role, size) in enumerate(row, (base + node) * scale + 1):
                    code, role_number = rules.type_codes[kind], rules.type_roles[role]
                    self.added.add(at, at + size, code, role_number, kind in _INNER_TYPES)
            for node in tree.nodes_of(rules.is_rooted):
                first, *rest = tree.kinds[node + 1 : min(node + 3, tree.after[node])]
                if first in rules.backslashes and not rules.namespaces.intersection(rest):
                    key = (base + node) * scale + 1
                    self.added.add(key, key + 1, rules.root, 0)
            for node in tree.nodes_of(rules.is_changed):
                self.change_children(tree, base, node, rules)

    def change_children(self, tree: SyntaxTree, base: int, node: int, rules: _Rules) -> None:
        kinds, after, scale = tree.kinds, tree.after, self.scale
        child = node + 1
        while child < after[node]:
            role, behind = tree.fields[child], after[child]
            change = rules.changed.get((kinds[node], role))
            if change and self.is_node[base + child] and kinds[child] not in change[2]:
                wrapper, keeps_role, _ = change
                new_role = role if keeps_role else 0
                if wrapper is not None:
                    key, end = (base + child) * scale - 1, (base + behind) * scale - 1
                    self.added.add(key, end, wrapper, new_role)
                    new_role = 0
                self.roles[base + child] = new_role
            child = behind


# Go: `a[i][j]` and `a[b[i]]`, where a and b may be `x.y`. The pinned grammar takes the inner index
# for a generic type, and the whole for an instance of one.
_INSTANCE, _GENERIC, _QUALIFIED = "type_instantiation_expression", "generic_type", "qualified_type"
_INNER_TYPES = frozenset({_INSTANCE, _GENERIC, _QUALIFIED, "type_arguments", "type_elem"})
_TYPE_NAMES = ("type_identifier", "package_identifier")
_TYPE_ROLES = ("", "type", "type_arguments", "package", "name")
_Row = list[tuple[str, str, int]]  # (kind, role, nodes inside and itself), parents first


def _generic_types(tree: SyntaxTree, rules: _Rules) -> dict[int, _Row]:
    """Index expressions that the pinned grammar read as types -> what was inside of them."""
    found: dict[int, _Row] = {}
    skip_to = 0
    for node in tree.nodes_of(rules.is_index):
        if node < skip_to:
            continue
        operand, index = _operand_and_index(tree, node)
        left, right = _type(tree, operand, rules, "type"), _type(tree, index, rules, "")
        if left and right and _GENERIC in (left[0][0], right[0][0]):
            found[node] = left + right
            skip_to = tree.after[node]
    return found


def _operand_and_index(tree: SyntaxTree, node: int) -> tuple[int, int]:
    operand = node + 1
    bracket = tree.after[operand]
    return operand, min(bracket + 1, tree.after[node] - 1)


def _type(tree: SyntaxTree, node: int, rules: _Rules, role: str) -> _Row:
    """A name or `name[type]` as a type in a role; nothing for all else."""
    names: list[_Row] = []
    while rules.is_index[tree.kinds[node]]:
        operand, node = _operand_and_index(tree, node)
        names.append(_type_name(tree, operand, rules, "type"))
    innermost = _type_name(tree, node, rules, "" if names else role)
    if not innermost or not all(names):
        return []
    size = sum(map(len, names)) + 3 * len(names) + len(innermost)
    row: _Row = []
    for name in names:
        rest = size - 1 - len(name)
        row.append((_GENERIC, role, size))
        row += [*name, ("type_arguments", "type_arguments", rest), ("type_elem", "", rest - 1)]
        role, size = "", rest - 2
    return row + innermost


def _type_name(tree: SyntaxTree, node: int, rules: _Rules, role: str) -> _Row:
    """`name` or `package.name` as a type in a role; nothing for all else."""
    kinds = tree.kinds
    if kinds[node] in rules.identifiers:
        return [("type_identifier", role, 1)]
    if rules.is_selector[kinds[node]] and kinds[node + 1] in rules.identifiers:
        inside: _Row = [("package_identifier", "package", 1), ("type_identifier", "name", 1)]
        return [(_QUALIFIED, role, 3), *inside]
    return []
