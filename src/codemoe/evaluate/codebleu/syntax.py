"""The syntactic part of CodeBLEU: which subtrees of the reference the prediction has."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codemoe.evaluate.codebleu.forest import Forest, in_forests
from codemoe.evaluate.codebleu.grammar import INTERPOLATION
from codemoe.evaluate.codebleu.shapes import CODE_OF_KIND, subtree_hashes
from codemoe.evaluate.codebleu.tree import SyntaxTree


def subtree_shapes(tree: SyntaxTree) -> Counter[int]:
    """Count the shapes of all subtrees with at least two nodes (arXiv:2009.10297 section 3.3).

    A shape is the node's type and its named children's shapes, all the way down; names, values
    and what a string says do not count. It is kept as a 64-bit hash of grammar numbers, the same
    in every process. A shape with an ERROR or a made-up node anywhere inside is left out: it
    matches nothing.
    """
    return subtree_shapes_of([tree])[0]


def subtree_shapes_of(trees: Sequence[SyntaxTree]) -> list[Counter[int]]:
    """`subtree_shapes` of each tree."""
    return in_forests(trees, _shapes)


def _shapes(forest: Forest) -> list[Counter[int]]:
    kinds = forest.codes
    is_node = forest.grammar.is_named[kinds]
    tops: list[list[int]] = []
    apart: list[tuple[int, int]] = []  # from a place to another
    for tree, base in forest:
        leaves, inside = _strings(tree, is_node[base : base + len(tree.kinds)])
        tops.append([node for node in tree.inner if node not in leaves] if leaves else tree.inner)
        apart += [(base + node, base + tree.after[node]) for node in inside]
    top = forest.places(tops)
    end = forest.ends_of(top)
    is_node[top] = True
    keys = nodes = is_node.nonzero()[0]
    top_keys, end_keys = top, end
    if apart:
        # What a string holds is no part of it: its nodes come behind all others.
        moved = np.zeros(len(kinds), np.int64)
        for number, (start, behind) in enumerate(apart, 1):
            moved[start:behind] = number * (len(kinds) + 1)
        keys = nodes + moved[nodes]
        order = keys.argsort()
        keys, nodes = keys[order], nodes[order]
        top_keys, end_keys = top + moved[top], end + moved[top]
    code = CODE_OF_KIND
    shapes = subtree_hashes(keys, code[kinds[nodes]], top_keys, end_keys, code[kinds[top]])
    broken = forest.places([_broken(tree) if tree.has_error else () for tree in forest.trees])
    is_sound = broken.searchsorted(top) == broken.searchsorted(end)
    counters = []
    low = 0
    for (tree, _), some in zip(forest, tops, strict=True):
        part = shapes[low : low + len(some)]
        if tree.has_error:
            part = part[is_sound[low : low + len(some)]]
        counters.append(Counter(part.tolist()))
        low += len(some)
    return counters


def _strings(tree: SyntaxTree, is_node: NDArray[np.bool_]) -> tuple[set[int], list[int]]:
    """Strings without code inside, and inner nodes that are what a string says.

    Such leaves are unmarked in `is_node`.
    """
    flags, kinds, after = tree.grammar.flags, tree.kinds, tree.after
    leaves: set[int] = set()
    apart: list[int] = []
    for node in tree.nodes_of(tree.grammar.is_string):
        end = after[node]
        child = node + 1
        if child == end:
            continue
        has_code = False
        while child < end:
            behind = after[child]
            if flags[kinds[child]] & INTERPOLATION:
                has_code = True
            elif behind == child + 1:
                is_node[child] = False
            else:
                apart.append(child)
            child = behind
        if not has_code:
            leaves.add(node)
    return leaves, sorted(apart)


def _broken(tree: SyntaxTree) -> list[int]:
    """ERRORs and made-up nodes."""
    nodes = tree.nodes_of(tree.grammar.is_error)
    return sorted((*nodes, *tree.missing)) if tree.missing else nodes
