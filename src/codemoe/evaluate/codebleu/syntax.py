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
    wait, place = waiting.append, places.append
    take, leave = waiting.pop, places.pop
    node = len(kinds)
    for kind, end in zip(reversed(kinds), reversed(after), strict=True):  # children first
        node -= 1
        flag = flags[kind]
        if end == node + 1:
            if has_error and (kind == ERROR or node in missing):
                wait(_BROKEN)
                place(node)
            elif flag & NAMED:
                wait(kind)
                place(node)
            continue
        parts: list[int | None] = [kind]
        if flag & STRING:
            while places and places[-1] < end:
                is_inside = flags[kinds[leave()]] & INTERPOLATION
                part = take()
                if is_inside or part is _BROKEN:
                    parts.append(part)
        else:
            while places and places[-1] < end:
                leave()
                parts.append(take())
        place(node)
        if has_error and (kind == ERROR or _BROKEN in parts):
            wait(_BROKEN)
        elif len(parts) == 1:
            # A node with nothing named inside is like a leaf of its kind; a string is one.
            wait(kind)
            if not flag & STRING:
                shapes.append(kind)
        else:
            shape = hash(tuple(parts))
            wait(shape)
            shapes.append(shape)
    return Counter(shapes)
