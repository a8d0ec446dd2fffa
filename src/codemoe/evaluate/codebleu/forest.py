"""Trees of one language side by side, as arrays: numpy is quick for many nodes only."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, pairwise
from typing import TypeVar

import numpy as np

from codemoe.evaluate.codebleu.grammar import Grammar
from codemoe.evaluate.codebleu.shapes import Places
from codemoe.evaluate.codebleu.tree import SyntaxTree

Result = TypeVar("Result")


class Forest:
    """Node i of tree t has the place `bases[t] + i`."""

    def __init__(self, trees: Sequence[SyntaxTree]) -> None:
        self.trees = trees
        self.grammar: Grammar = trees[0].grammar
        self.bases = list(accumulate([len(tree.kinds) for tree in trees], initial=0))
        self.codes = np.concatenate([tree.codes for tree in trees])

    def __iter__(self) -> Iterator[tuple[SyntaxTree, int]]:
        """Trees with their bases."""
        return zip(self.trees, self.bases, strict=False)

    def places(self, nodes: Sequence[Sequence[int]]) -> Places:
        """Places of some nodes of every tree."""
        counts = [len(some) for some in nodes]
        every = np.fromiter(chain.from_iterable(nodes), np.int64, sum(counts))
        every += np.repeat(self.bases[:-1], counts)
        return every

    def ends_of(self, places: Places) -> Places:
        """The places behind some nodes, given in order."""
        bounds = places.searchsorted(self.bases).tolist()
        nodes = (places - np.repeat(self.bases[:-1], np.diff(bounds))).tolist()
        return self.places(
            [
                [tree.after[node] for node in nodes[low:high]]
                for tree, (low, high) in zip(self.trees, pairwise(bounds), strict=True)
            ]
        )


def in_forests(trees: Sequence[SyntaxTree], work: Callable[[Forest], list[Result]]) -> list[Result]:
    """What `work` gives for each tree, when it gets those of each language together."""
    by_grammar: dict[str, list[int]] = {}
    for at, tree in enumerate(trees):
        by_grammar.setdefault(tree.grammar.language, []).append(at)
    results: dict[int, Result] = {}
    for members in by_grammar.values():
        results.update(zip(members, work(Forest([trees[at] for at in members])), strict=True))
    return [results[at] for at in range(len(trees))]
