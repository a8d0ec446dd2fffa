"""A syntax tree as flat lists: what Python can go through quickly.

Node i of a tree has kind `kinds[i]` (a number of its grammar) and field `fields[i]` (its role in
its parent, 0 for none). Nodes stand in source order, parents before children: the inside of
node i is `range(i + 1, after[i])`, its first child is i + 1, and the sibling after child c is
`after[c]`. Leaves have `after[i] == i + 1`.

Leaf j of a tree is node `leaves[j]` and has the bytes `starts[j]` to `ends[j]`; the leaves of
node i are `range(leaf_at[i], leaf_at[after[i]])`.
"""

from dataclasses import dataclass
from itertools import accumulate, compress

import numpy as np
from numpy.typing import NDArray

from codemoe.evaluate.codebleu.grammar import COMMENT, STRING, Grammar, Table


@dataclass(frozen=True, slots=True, eq=False)
class SyntaxTree:
    """The lists of the module's docstring. Never changed after they are made."""

    grammar: Grammar
    source: bytes
    text: str | None  # the same, where a byte is a character; else None
    kinds: list[int]
    codes: NDArray[np.uint16]  # the kinds again, for looking them up in tables
    fields: bytearray  # no grammar has as many as 256 roles
    after: list[int]
    parents: list[int]  # of the root: 0
    leaf_at: list[int]  # one more than there are nodes
    leaves: list[int]
    leaf_kinds: list[int]
    starts: list[int]
    ends: list[int]
    inner: list[int]  # all that are no leaves
    empty: list[int]  # leaves (by their own numbers) of no width
    has_error: bool
    missing: frozenset[int]  # leaves of no width that the parser made up

    def nodes_of(self, table: Table) -> list[int]:
        """All nodes whose kind is in a table, in order."""
        return table[self.codes].nonzero()[0].tolist()

    def children(self, node: int) -> list[int]:
        after = self.after
        found = []
        child, end = node + 1, after[node]
        while child < end:
            found.append(child)
            child = after[child]
        return found

    def slice(self, start: int, end: int) -> str:
        if self.text is not None:
            return self.text[start:end]
        return self.source[start:end].decode("utf-8", "replace")

    def span(self, node: int) -> tuple[int, int]:
        """Where a node's first leaf starts and its last one ends; twice 0 where it has none."""
        low, high = self.leaf_at[node], self.leaf_at[self.after[node]]
        return (self.starts[low], self.ends[high - 1]) if low < high else (0, 0)

    def text_of(self, node: int) -> str:
        """The source of a node, from its first leaf to its last."""
        return self.slice(*self.span(node))


def without_comments(tree: SyntaxTree) -> SyntaxTree:
    """The tree without comments and documentation strings; itself where it has none."""
    kinds, after = tree.kinds, tree.after
    dropped = tree.nodes_of(tree.grammar.is_comment)
    if tree.grammar.language == "python":
        documentation = docstrings(tree)
        if documentation:
            dropped = sorted({*dropped, *documentation})
    if not dropped:
        return tree
    is_kept = bytearray(b"\1") * len(kinds)
    for node in dropped:
        is_kept[node : after[node]] = bytes(after[node] - node)
    is_leaf_kept = bytearray([is_kept[node] for node in tree.leaves])
    # Of a kept one, and of the next one of others.
    place = list(accumulate(is_kept, initial=0))
    leaf_place = list(accumulate(is_leaf_kept, initial=0))
    new_after = [place[end] for end in compress(after, is_kept)]
    return SyntaxTree(
        tree.grammar,
        tree.source,
        tree.text,
        list(compress(kinds, is_kept)),
        tree.codes[np.frombuffer(is_kept, np.bool_)],
        bytearray(compress(tree.fields, is_kept)),
        new_after,
        [place[parent] for parent in compress(tree.parents, is_kept)],
        [leaf_place[leaf] for leaf in compress(tree.leaf_at, is_kept)] + [leaf_place[-1]],
        [place[node] for node in compress(tree.leaves, is_leaf_kept)],
        list(compress(tree.leaf_kinds, is_leaf_kept)),
        list(compress(tree.starts, is_leaf_kept)),
        list(compress(tree.ends, is_leaf_kept)),
        # What held comments only is a leaf now, but no token.
        [at for node in tree.inner if is_kept[node] and new_after[at := place[node]] > at + 1],
        [leaf_place[leaf] for leaf in tree.empty if is_leaf_kept[leaf]],
        tree.has_error,
        frozenset(place[node] for node in tree.missing if is_kept[node]),
    )


def docstrings(tree: SyntaxTree) -> list[int]:
    """Statements that are nothing but a string literal."""
    after, kinds, flags = tree.after, tree.kinds, tree.grammar.flags
    return [
        node
        for node in tree.nodes_of(tree.grammar.is_statement)
        if after[node] > node + 1
        and flags[kinds[node + 1]] & STRING
        and after[node + 1] == after[node]
    ]


def unreadable_bytes(tree: SyntaxTree) -> int:
    """Bytes directly in ERROR nodes, one at least for each; a token the parser made up is one.

    What parses inside an ERROR (all of a program whose last brace is missing) is readable.
    """
    flags, kinds, after = tree.grammar.flags, tree.kinds, tree.after
    total = len(tree.missing)
    for node in tree.nodes_of(tree.grammar.is_error):
        start, end = tree.span(node)
        size = end - start
        child = node + 1
        while child < after[node]:
            if after[child] > child + 1 or flags[kinds[child]] & COMMENT:
                start, end = tree.span(child)
                size -= end - start
            child = after[child]
        total += max(1, size)
    return total
