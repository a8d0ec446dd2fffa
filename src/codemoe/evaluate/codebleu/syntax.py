"""The syntactic part of CodeBLEU: which subtrees of the reference the prediction has."""

from collections import Counter

from codemoe.evaluate.codebleu.grammar import ERROR, INTERPOLATION, NAMED, STRING
from codemoe.evaluate.codebleu.tree import SyntaxTree

_BROKEN = None


def subtree_shapes(tree: SyntaxTree) -> Counter[int]:
    """Count the shapes of all subtrees with at least two nodes (arXiv:2009.10297 section 3.3).

    A shape is the node's type and its named children's shapes, all the way down; names, values
    and what a string says do not count. It is kept as a 64-bit hash built from the leaves up, of
    grammar numbers only: Python's hash of integers is the same in every process (that of strings
    is not). A shape with an ERROR or a made-up node anywhere inside is left out: it matches
    nothing.
    """
    flags, kinds, after = tree.grammar.flags, tree.kinds, tree.after
    has_error, missing = tree.has_error, tree.missing
    shapes: list[int] = []  # of subtrees that are counted
    waiting: list[int | None] = []  # shapes of nodes whose parent is still to come
    places: list[int] = []  # ... and their node numbers
    for node in range(len(kinds) - 1, -1, -1):  # children before their parents
        kind = kinds[node]
        flag = flags[kind]
        end = after[node]
        if end == node + 1:
            if has_error and (kind == ERROR or node in missing):
                waiting.append(_BROKEN)
                places.append(node)
            elif flag & NAMED:
                waiting.append(kind)
                places.append(node)
            continue
        parts: list[int | None] = [kind]
        is_string = flag & STRING
        while places and places[-1] < end:
            child = places.pop()
            part = waiting.pop()
            if not is_string or part is _BROKEN or flags[kinds[child]] & INTERPOLATION:
                parts.append(part)
        places.append(node)
        if has_error and (kind == ERROR or _BROKEN in parts):
            waiting.append(_BROKEN)
        elif is_string and len(parts) == 1:
            waiting.append(kind)
        else:
            # A node with nothing named inside is like a leaf of its kind.
            shape = hash(tuple(parts)) if len(parts) > 1 else kind
            waiting.append(shape)
            shapes.append(shape)
    return Counter(shapes)
