"""The syntactic part of CodeBLEU: which subtrees of the reference the prediction has."""

from collections import Counter

from codemoe.evaluate.codebleu.tree import SyntaxTree


def subtree_shapes(tree: SyntaxTree) -> Counter[int]:
    """Count the shapes of all subtrees with at least two nodes (arXiv:2009.10297 section 3.3).

    A shape is the node's type and its named children's shapes, all the way down; names and
    values do not count. It is kept as a 64-bit hash built from the leaves up, of grammar numbers
    only: Python's hash of integers is the same in every process (that of strings is not).
    A shape with an ERROR or a made-up node anywhere inside is left out: it matches nothing.
    """
    shapes: dict[int, int | None] = {}
    counts: Counter[int] = Counter()
    for node in reversed(tree.nodes):  # children before their parents
        parts = [shapes[id(child)] for child in node.children if child.named or child.broken]
        shape = None if node.broken or None in parts else hash((node.kind, *parts))
        shapes[id(node)] = shape
        if node.children and shape is not None:
            counts[shape] += 1
    return counts
