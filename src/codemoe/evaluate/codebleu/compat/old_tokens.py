"""Leaves as the grammars that the package pins have them: what its data flow reads."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

from codemoe.evaluate.codebleu.compat.go_types import with_type_names
from codemoe.evaluate.codebleu.compat.line_ends import with_line_ends
from codemoe.evaluate.codebleu.grammar import Grammar, Table, table_of
from codemoe.evaluate.codebleu.tree import SyntaxTree


def with_old_tokens(tree: SyntaxTree) -> SyntaxTree:
    """The tree with the pinned grammar's leaves; itself where it has them already."""
    change = _CHANGES.get(tree.grammar.language)
    return change(tree) if change else tree


def _go(tree: SyntaxTree) -> SyntaxTree:
    return with_type_names(with_line_ends(tree))


def _python(tree: SyntaxTree) -> SyntaxTree:
    """Each word of `not in` and `is not` was of a kind that has both in its name. (So neither reads
    like its kind, and the package takes both for variables.)"""
    changed = {
        leaf: tree.kinds[node]
        for node in tree.nodes_of(_is_operator(tree.grammar))
        for leaf in range(tree.leaf_at[node], tree.leaf_at[tree.after[node]])
    }
    if not changed:
        return tree
    kinds, leaf_kinds, codes = list(tree.kinds), list(tree.leaf_kinds), tree.codes.copy()
    for leaf, kind in changed.items():
        leaf_kinds[leaf] = kinds[tree.leaves[leaf]] = codes[tree.leaves[leaf]] = kind
    return replace(tree, kinds=kinds, leaf_kinds=leaf_kinds, codes=codes)


@cache
def _is_operator(grammar: Grammar) -> Table:
    return table_of(grammar.kinds(["not in", "is not"]))


_CHANGES: dict[str, Callable[[SyntaxTree], SyntaxTree]] = {"go": _go, "python": _python}
