"""Changes of trees, so that they become the ones that older grammars build.

No node is moved: one is renamed, gets another role or gives its parts to its parent, and nodes that
the older grammar had are put around or into others.
"""

from dataclasses import dataclass
from functools import cache
from zlib import crc32

import numpy as np

from codemoe.evaluate.codebleu.forest import Forest
from codemoe.evaluate.codebleu.grammar import Grammar
from codemoe.evaluate.codebleu.shapes import CODE_OF_KIND, mixed
from codemoe.evaluate.codebleu.tree import SyntaxTree

_MISSING, _UNREAD = 1 << 20, 1 << 21  # beyond all kinds; a kind or a character is added


@dataclass(frozen=True, slots=True)
class Added:
    """A node that today's grammar does not have: it begins `step` behind (or before) a place, and
    ends in the same way."""

    place: int
    step: int
    end: int
    end_step: int
    code: int
    role: int
    is_top: bool  # counted as a subtree


class Edits:
    """What the nodes of a forest are, and which count as subtrees. All are changed in place."""

    def __init__(self, forest: Forest) -> None:
        kinds = forest.codes
        self.forest = forest
        self.codes = CODE_OF_KIND[kinds]
        self.roles = np.frombuffer(
            bytearray().join([tree.fields for tree in forest.trees]), np.uint8
        )
        self.is_node = forest.grammar.is_named[kinds]
        self.is_top = np.zeros(len(kinds), np.bool_)
        self.is_top[forest.places([tree.inner or [0] for tree in forest.trees])] = True
        self.added: list[Added] = []
        self._code_errors(~self.is_top)

    def _code_errors(self, is_leaf: np.ndarray) -> None:
        """tree-sitter names the kind of what it made up, and the character it could not read."""
        forest = self.forest
        unread = iter((forest.grammar.is_error[forest.codes] & is_leaf).nonzero()[0].tolist())
        place = next(unread, -1)
        for (tree, base), end in zip(forest, forest.bases[1:], strict=True):
            while base <= place < end:
                if place > base:  # no root
                    self.codes[place] = _code_of_unread(tree.text_of(place - base)[:1])
                place = next(unread, -1)
            for node in tree.missing:
                if node:
                    self.codes[base + node] = mixed(_MISSING + tree.kinds[node])
                    self.is_node[base + node] = True


@cache
def _code_of_unread(character: str) -> int:
    return mixed(_UNREAD + (ord(character) if character else 0))


@cache
def code_of(grammar: Grammar, kind: str) -> int:
    """What a kind is in hashes; also one that the grammar does not have."""
    known = grammar.kinds([kind])
    return mixed(min(known) if known else crc32(kind.encode()))


class TreeEdits:
    """Edits of one tree of a forest, by the numbers of its nodes."""

    def __init__(self, edits: Edits, tree: SyntaxTree, base: int) -> None:
        self.edits = edits
        self.tree = tree
        self.base = base
        self.grammar = tree.grammar
        self.done_to = 0  # nodes before this one have been changed with what holds them

    def kind(self, node: int) -> str:
        return self.grammar.names[self.tree.kinds[node]]

    def child(self, node: int, role: str) -> int | None:
        """The first child in a role."""
        number = self.grammar.fields.get(role)
        fields = self.tree.fields
        return next((child for child in self.tree.children(node) if fields[child] == number), None)

    def rename(self, node: int, kind: str) -> None:
        self.edits.codes[self.base + node] = code_of(self.grammar, kind)

    def set_role(self, node: int, role: str = "") -> None:
        self.edits.roles[self.base + node] = self.grammar.fields.get(role, 0)

    def set_named(self, node: int, is_named: bool) -> None:
        """Only named nodes are written; others still are subtrees, where they have parts."""
        self.edits.is_node[self.base + node] = is_named

    def set_counted(self, node: int, is_counted: bool) -> None:
        self.edits.is_top[self.base + node] = is_counted

    def dissolve(self, node: int) -> None:
        """A node's parts become its parent's."""
        self.set_named(node, False)
        self.set_counted(node, False)

    def wrap(self, first: int, last: int, kind: str, role: str = "") -> None:
        """Put a node around some children; it takes over no role."""
        behind = self.tree.after[last]
        self._add(first, -1, behind, -1, kind, role)

    def put_inside(self, node: int, step: int, size: int, kind: str, role: str, top: bool) -> None:
        """Put a node, of that size with all inside it, before the first part of another one;
        `step` from 1 on is its place among those that are put there."""
        self._add(node, step, node, step + size, kind, role, top)

    def _add(
        self, first: int, step: int, end: int, end_step: int, kind: str, role: str, top: bool = True
    ) -> None:
        code, number = code_of(self.grammar, kind), self.grammar.fields.get(role, 0)
        base = self.base
        self.edits.added.append(Added(base + first, step, base + end, end_step, code, number, top))
