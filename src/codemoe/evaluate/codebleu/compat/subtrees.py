"""The package's subtrees: S-expressions of all inner nodes, on the grammars that it pins.

Two subtrees are equal where tree-sitter writes them alike: kinds and roles of named nodes, what
is broken or missing included. They are kept as hashes. Where today's grammar builds another tree
for sound code than the one the package pins, `old_trees` makes the old one. (Trees of *broken*
code also depend on tree-sitter's error recovery, which has changed; those stay as they are.)
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from codemoe.evaluate.codebleu.compat.edits import Added, Edits
from codemoe.evaluate.codebleu.compat.old_trees import make_old
from codemoe.evaluate.codebleu.forest import Forest, in_forests
from codemoe.evaluate.codebleu.shapes import KINDS, mixed, subtree_hashes
from codemoe.evaluate.codebleu.tree import SyntaxTree

CODE_OF_ROLE = np.array([0, *(mixed(KINDS + role) for role in range(1, 256))], np.uint64)


def package_subtrees(trees: Sequence[SyntaxTree], *, as_pinned: bool = True) -> list[Counter[int]]:
    """For each tree, count the shapes of all inner nodes; the root counts also where it is a leaf.

    `as_pinned=False` leaves the trees as today's grammars build them.
    """
    return in_forests(trees, partial(_shapes, as_pinned=as_pinned))


def _shapes(forest: Forest, as_pinned: bool) -> list[Counter[int]]:
    edits = Edits(forest)
    if as_pinned:
        make_old(edits)
    node, top = edits.is_node.nonzero()[0], edits.is_top.nonzero()[0]
    keys, tops, own, ends = node, top, edits.codes[top], forest.ends_of(top)
    # What an anonymous node holds is written as its parent's, though it is counted itself.
    codes = edits.codes[node] + CODE_OF_ROLE[edits.roles[node]]
    bases = np.array(forest.bases)
    if edits.added:
        # From one node to the next there is room for what is added around them.
        scale = 2 + max(1, *(one.end_step for one in edits.added))
        keys, tops, ends, bases = keys * scale, tops * scale, ends * scale - 1, bases * scale
        new_keys, new_ends, new_codes, new_roles, is_new_top = _columns(edits.added, scale)
        keys = np.concatenate((keys, new_keys))
        codes = np.concatenate((codes, new_codes + CODE_OF_ROLE[new_roles]))
        order = keys.argsort()
        keys, codes = keys[order], codes[order]
        tops = np.concatenate((tops, new_keys[is_new_top]))
        order = tops.argsort()
        tops = tops[order]
        ends = np.concatenate((ends, new_ends[is_new_top]))[order]
        own = np.concatenate((own, new_codes[is_new_top]))[order]
    shapes = subtree_hashes(keys, codes, tops, ends, own).tolist()
    first = tops.searchsorted(bases).tolist()
    return [Counter(shapes[low:high]) for low, high in pairwise(first)]


def _columns(added: Sequence[Added], scale: int) -> tuple[np.ndarray, ...]:
    """Keys, ends, codes, roles of added nodes, and which are counted."""
    return (
        np.array([one.place * scale + one.step for one in added], np.int64),
        np.array([one.end * scale + one.end_step for one in added], np.int64),
        np.array([one.code for one in added], np.uint64),
        np.array([one.role for one in added], np.int64),
        np.array([one.is_top for one in added], np.bool_),
    )
