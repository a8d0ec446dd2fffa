"""The package's data flow: abstract execution of the tree with the names' last places.

`states` says for each name at which tokens it may have got its value. A use of a known name is an
edge from those tokens, an assignment one from each name on its right; branches join their states,
loops are read twice. An edge is (name, its token, relation, source names, source tokens).

The package merges edges through unordered sets, so its result depends on PYTHONHASHSEED. Names
are sorted here instead: one of the orders that a set could have. Where the package fails (a part
that it expects is missing, a tree deeper than Python's recursion) it has no data flow at all.
"""

from collections import Counter

from codemoe.evaluate.codebleu.compat.dataflow_plan import plan_for
from codemoe.evaluate.codebleu.compat.dataflow_reader import Edge, Fails, Reader
from codemoe.evaluate.codebleu.tree import SyntaxTree

Normal = tuple[int, str, tuple[int, ...]]


def package_flow(tree: SyntaxTree) -> Counter[Normal]:
    """Count the normalised edges of a program."""
    plan = plan_for(tree.grammar)
    if plan is None:
        return Counter()
    try:
        edges = Reader(tree, plan).read_all()
    except Fails:
        return Counter()
    return Counter(_normalised(_merged_by_token(edges)))


def _merged_by_token(edges: list[Edge]) -> list[Edge]:
    """One edge for each token that takes part in any; the last one's relation wins."""
    edges = sorted(edges, key=lambda edge: edge[1])
    connected = {edge[1] for edge in edges if edge[4]}
    connected.update(*(edge[4] for edge in edges))
    merged: dict[int, Edge] = {}
    for edge in edges:
        token = edge[1]
        if token not in connected:
            continue
        known = merged.get(token)
        if known is None:
            merged[token] = edge
        else:
            names = tuple(sorted({*known[3], *edge[3]}))
            merged[token] = (edge[0], token, edge[2], names, known[4] + edge[4])
    return list(merged.values())


def _normalised(edges: list[Edge]) -> list[Normal]:
    """Names as numbers, by first appearance: an edge's sources before itself."""
    numbers: dict[str, int] = {}
    found = []
    for name, _, relation, sources, _ in edges:
        for source in sources:
            numbers.setdefault(source, len(numbers))
        number = numbers.setdefault(name, len(numbers))
        found.append((number, relation, tuple([numbers[source] for source in sources])))
    return found
