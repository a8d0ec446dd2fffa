"""Go's line ends: the grammar that the package pins has a token for each that ends a statement.

Today's has none. The package takes them for variables without a name (it cuts tokens by lines), so
that a name that is assigned a function has its value from every line of it.
"""

from dataclasses import replace
from functools import cache

import numpy as np

from codemoe.evaluate.codebleu.grammar import Grammar
from codemoe.evaluate.codebleu.tree import SyntaxTree

# Whose children end with their lines.
_LISTS = (
    "source_file",
    "statement_list",
    "field_declaration_list",
    "import_spec_list",
    "interface_type",
    "var_spec_list",
    "const_declaration",
    "type_declaration",
)
_BLANKS = b" \t\r"


@cache
def _lists(grammar: Grammar) -> frozenset[int]:
    return grammar.kinds(_LISTS) if grammar.language == "go" else frozenset()


def with_line_ends(tree: SyntaxTree) -> SyntaxTree:
    """The tree with a leaf for each line end behind a statement or the like, where the pinned
    grammar has one; itself where there is none. These leaves are of kind 0, which no token has."""
    lists = _lists(tree.grammar)
    if not lists:
        return tree
    ends = _line_ends(tree, lists)
    return _with_leaves(tree, ends) if ends else tree


def _line_ends(tree: SyntaxTree, lists: frozenset[int]) -> dict[int, tuple[int, int]]:
    """Node before which a line end stands -> (the list that it is in, its byte)."""
    kinds, after, source = tree.kinds, tree.after, tree.source
    is_named = tree.grammar.is_named
    found: dict[int, tuple[int, int]] = {}
    for node in tree.inner:
        if kinds[node] not in lists:
            continue
        child, end = node + 1, after[node]
        while child < end:
            behind = after[child]
            at = tree.span(child)[1]
            is_empty_label = behind == end and source[at - 1 : at] == b":"
            while source[at : at + 1] and source[at] in _BLANKS:
                at += 1
            if is_named[kinds[child]] and not is_empty_label and source[at : at + 1] == b"\n":
                found[behind] = node, at
            child = behind
    return found


def _with_leaves(tree: SyntaxTree, ends: dict[int, tuple[int, int]]) -> SyntaxTree:
    before = np.array(sorted(ends))
    lists, starts = np.array([ends[node] for node in before.tolist()]).T
    nodes = np.arange(len(tree.kinds) + 1)
    place = nodes + before.searchsorted(nodes, "right")  # of a node among old and new
    own = before + np.arange(len(before))  # ... of the new ones
    # A line end is in its list and in what holds that, and behind all else that ends there.
    last_inside = np.full(len(nodes), len(nodes))
    last_inside[before] = lists
    after = np.array(tree.after)
    after = place[after] - (nodes[:-1] > last_inside[after])
    leaf = np.array(tree.leaf_at)[before]  # each stands before this one
    leaves = np.insert(place[tree.leaves], leaf, own)
    is_leaf = np.zeros(len(tree.kinds) + len(own), np.int64)
    is_leaf[leaves] = 1
    empty = np.array(tree.empty, np.int64)
    codes = np.insert(tree.codes, before, 0)
    return replace(
        tree,
        kinds=codes.tolist(),
        codes=codes,
        fields=bytearray(np.insert(np.frombuffer(tree.fields, np.uint8), before, 0).tobytes()),
        after=np.insert(after, before, own + 1).tolist(),
        parents=np.insert(place[tree.parents], before, place[lists]).tolist(),
        leaf_at=[0, *is_leaf.cumsum().tolist()],
        leaves=leaves.tolist(),
        leaf_kinds=np.insert(tree.leaf_kinds, leaf, 0).tolist(),
        starts=np.insert(tree.starts, leaf, starts).tolist(),
        ends=np.insert(tree.ends, leaf, starts + 1).tolist(),
        inner=place[tree.inner].tolist(),
        empty=(empty + leaf.searchsorted(empty, "right")).tolist(),
        missing=frozenset(place[sorted(tree.missing)].tolist()) if tree.missing else tree.missing,
    )
