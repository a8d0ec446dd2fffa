"""What a reader stops at: the variables of a program, and the nodes that are read in a way of
their own. Found for many programs at once."""

from dataclasses import dataclass
from itertools import accumulate, compress, pairwise

import numpy as np

from codemoe.evaluate.codebleu.compat.dataflow_plan import Plan
from codemoe.evaluate.codebleu.compat.text import package_texts
from codemoe.evaluate.codebleu.forest import Forest
from codemoe.evaluate.codebleu.tree import SyntaxTree


@dataclass(frozen=True, slots=True)
class Marks:
    """`nodes` are variables and nodes with a reader, in order; `place[node]` is how many of them
    stand before a node."""

    names: dict[int, str]  # variables: their nodes, which number them in order, and texts
    moved: dict[int, int]  # variables that are taken for another one
    nodes: list[int]
    place: list[int]
    is_inside: bytes  # nodes in literals, which are one token: what the package fails to look up


def marks_of(forest: Forest, plan: Plan) -> list[Marks]:
    """The marks of each program."""
    codes, bases = forest.codes, forest.bases
    is_inner = np.zeros(len(codes), np.bool_)
    is_inner[forest.places([tree.inner for tree in forest.trees])] = True
    marked = plan.is_read[codes] & is_inner
    is_special = plan.is_token[codes] & is_inner | plan.is_silent[codes]
    special = set((np.searchsorted(bases, is_special.nonzero()[0], "right") - 1).tolist())
    every_name, every_moved, every_inside, others = [], [], [], []
    for at, (tree, some) in enumerate(zip(forest.trees, _candidates(forest, plan), strict=True)):
        names = _names(tree, plan, some)
        is_inside = bytes(len(tree.kinds))
        if at in special:
            is_inside = _without_special(tree, plan, names)
        every_moved.append(_without_width(tree, names, is_inside) if tree.empty else {})
        # Comprehensions have a clause that is read first.
        clauses = tree.nodes_of(plan.is_loop_clause) if plan.loop_clauses else []
        others.append([*names, *[tree.parents[node] for node in clauses]])
        every_name.append(names)
        every_inside.append(is_inside)
    marked[forest.places(others)] = True
    marked &= np.frombuffer(b"".join(every_inside), np.uint8) == 0
    places = np.zeros(len(codes) + 1, np.int64)
    np.cumsum(marked, out=places[1:])
    nodes = marked.nonzero()[0]
    bounds = places[bases].tolist()
    return [
        Marks(
            names,
            moved,
            (nodes[low:high] - base).tolist(),
            (places[base : end + 1] - low).tolist(),
            is_inside,
        )
        for names, moved, is_inside, (base, end), (low, high) in zip(
            every_name, every_moved, every_inside, pairwise(bases), pairwise(bounds), strict=True
        )
    ]


def _candidates(forest: Forest, plan: Plan) -> list[bytes]:
    """For each tree which leaves' texts may be other than the names of their kinds."""
    trees = forest.trees
    bounds = [0, *accumulate([len(tree.leaves) for tree in trees])]
    may_differ = plan.may_differ[forest.codes[forest.places([tree.leaves for tree in trees])]]
    for tree, (low, high) in zip(trees, pairwise(bounds), strict=True):
        if tree.text is None:  # cut in other places
            may_differ[low:high] = True
        elif tree.empty:
            may_differ[[low + leaf for leaf in tree.empty]] = True
    every = may_differ.tobytes()
    return [every[low:high] for low, high in pairwise(bounds)]


def _names(tree: SyntaxTree, plan: Plan, may_differ: bytes) -> dict[int, str]:
    """All but keywords and brackets."""
    kind_names, text = plan.text, tree.text
    spans = zip(compress(tree.starts, may_differ), compress(tree.ends, may_differ), strict=True)
    if text is None:
        cut = package_texts(tree)
        texts = [cut(start, end) for start, end in spans]
    else:
        texts = [text[start:end] for start, end in spans]
    nodes, kinds = compress(tree.leaves, may_differ), compress(tree.leaf_kinds, may_differ)
    names = {
        node: found
        for node, found, kind in zip(nodes, texts, kinds, strict=True)
        if found != kind_names[kind]
    }
    if text is not None and "\n" in text:  # the package cuts by lines, without their ends
        for node, found in list(names.items()):
            if "\n" in found:
                names[node] = found.replace("\n", "")
                if names[node] == kind_names[tree.kinds[node]]:
                    del names[node]
    return names


def _without_special(tree: SyntaxTree, plan: Plan, names: dict[int, str]) -> bytes:
    """Take comments' and literals' leaves from the names, and literals as one token into them.
    Returns which nodes are inside of literals."""
    after, kinds = tree.after, tree.kinds
    is_inside = bytearray(len(kinds))
    literals = []
    for node in tree.nodes_of(plan.is_token):
        if after[node] > node + 1 and not is_inside[node]:
            literals.append(node)
            is_inside[node + 1 : after[node]] = b"\1" * (after[node] - node - 1)
    for node in [node for node in names if is_inside[node]]:
        del names[node]
    for node in tree.nodes_of(plan.is_silent):
        names.pop(node, None)
    if literals:
        cut = package_texts(tree)
        for node in literals:
            found = cut(*tree.span(node))
            if found != plan.text[kinds[node]]:
                names[node] = found
    return bytes(is_inside)


def _without_width(tree: SyntaxTree, names: dict[int, str], is_inside: bytes) -> dict[int, int]:
    """Tokens are looked up by their place in the text: of empty ones the last is found."""
    empty = [leaf for leaf in tree.empty if not is_inside[tree.leaves[leaf]]]
    last = {tree.starts[leaf]: tree.leaves[leaf] for leaf in empty}
    moved = {}
    for leaf in empty:
        node = tree.leaves[leaf]
        if node in names:
            names[node] = ""
            moved[node] = last[tree.starts[leaf]]
    return moved
