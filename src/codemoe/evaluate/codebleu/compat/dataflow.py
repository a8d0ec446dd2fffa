"""The package's data flow: abstract execution of the tree with the names' last places.

`states` says for each name at which tokens it may have got its value. A use of a known name is an
edge from those tokens, an assignment one from each name on its right; branches join their states,
loops are read twice. An edge is (name, its token, relation, source names, source tokens).

The package merges edges through unordered sets, so its result depends on PYTHONHASHSEED. Names
are sorted here instead: one of the orders that a set could have. Where the package fails (a part
that it expects is missing, a tree deeper than Python's recursion) it has no data flow at all.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from operator import itemgetter

from codemoe.evaluate.codebleu.compat.dataflow_marks import marks_of
from codemoe.evaluate.codebleu.compat.dataflow_plan import plan_for
from codemoe.evaluate.codebleu.compat.dataflow_reader import Fails, Reader
from codemoe.evaluate.codebleu.compat.dataflow_states import Edge
from codemoe.evaluate.codebleu.compat.old_tokens import with_old_tokens
from codemoe.evaluate.codebleu.forest import Forest, in_forests
from codemoe.evaluate.codebleu.tree import SyntaxTree

Normal = tuple[int, str, tuple[int, ...]]


def package_flows(trees: Sequence[SyntaxTree], *, as_pinned: bool = True) -> list[Counter[Normal]]:
    """Count the normalised edges of each program, on trees as the pinned grammars build them."""
    if as_pinned:
        trees = [with_old_tokens(tree) for tree in trees]
    return in_forests(trees, partial(_flows, as_pinned=as_pinned))


def _flows(forest: Forest, as_pinned: bool) -> list[Counter[Normal]]:
    plan = plan_for(forest.grammar, as_pinned)
    if plan is None:
        return [Counter() for _ in forest.trees]
    return [
        _flow(Reader(tree, plan, marks))
        for tree, marks in zip(forest.trees, marks_of(forest, plan), strict=True)
    ]


def _flow(reader: Reader) -> Counter[Normal]:
    try:
        edges = reader.read_all()
    except Fails:
        return Counter()
    return Counter(_normalised(_merged_by_token(edges)))


def _merged_by_token(edges: list[Edge]) -> list[Edge]:
    """One edge for each token that takes part in any; the last one's relation wins."""
    connected: set[int] = set()
    for _, token, _, _, sources in edges:
        if sources:
            connected.add(token)
            connected.update(sources)
    edges = [edge for edge in edges if edge[1] in connected]
    edges.sort(key=itemgetter(1))
    merged: list[Edge] = []
    last = -1
    for edge in edges:
        if edge[1] != last:
            merged.append(edge)
            last = edge[1]
        else:
            name, token, relation, names, sources = edge
            known = merged[-1]
            if len(names) > 1 or known[3] != names:
                names = tuple(sorted({*known[3], *names}))
            merged[-1] = name, token, relation, names, known[4] + sources
    return merged


def _normalised(edges: list[Edge]) -> list[Normal]:
    """Names as numbers, by first appearance: an edge's sources before itself."""
    numbers: dict[str, int] = {}
    number_of = numbers.setdefault
    found = []
    for name, _, relation, sources, _ in edges:
        values: tuple[int, ...] = ()
        if len(sources) == 1:  # most
            values = (number_of(sources[0], len(numbers)),)
        elif sources:
            values = tuple([number_of(source, len(numbers)) for source in sources])
        found.append((number_of(name, len(numbers)), relation, values))
    return found
