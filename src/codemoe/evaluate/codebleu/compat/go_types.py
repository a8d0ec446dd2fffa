"""Go: `a[i][j]` and `a[b[i]]`, where a and b may be `x.y`. The pinned grammar takes the inner index
for a generic type, and the whole for an instance of one."""

from dataclasses import replace
from functools import cache

from codemoe.evaluate.codebleu.compat.edits import TreeEdits
from codemoe.evaluate.codebleu.grammar import Grammar, Table, table_of
from codemoe.evaluate.codebleu.tree import SyntaxTree

_INSTANCE, _GENERIC, _QUALIFIED = "type_instantiation_expression", "generic_type", "qualified_type"
_INNER_TYPES = frozenset({_INSTANCE, _GENERIC, _QUALIFIED, "type_arguments", "type_elem"})
_Row = list[tuple[str, str, int]]  # (kind, role, nodes inside and itself), parents first


def index_as_type(edit: TreeEdits, node: int) -> None:
    """Change an index expression that the pinned grammar read as a type."""
    row = _as_type(edit.tree, node)
    if not row:
        return
    end = edit.tree.after[node]
    for inside in range(node + 1, end):
        edit.dissolve(inside)
    edit.rename(node, _INSTANCE)
    for step, (kind, role, size) in enumerate(row, 1):
        edit.put_inside(node, step, size, kind, role, kind in _INNER_TYPES)
    edit.done_to = end


def with_type_names(tree: SyntaxTree) -> SyntaxTree:
    """The tree with names of types, and no identifiers, in what the pinned grammar read as types;
    itself where there is none."""
    if tree.grammar.language != "go":
        return tree
    is_index, identifiers, type_name = _numbers(tree.grammar)
    kinds, done_to = list(tree.kinds), 0
    for node in tree.nodes_of(is_index):
        if node >= done_to and _as_type(tree, node):
            done_to = tree.after[node]
            for inside in range(node + 1, done_to):
                if kinds[inside] in identifiers:
                    kinds[inside] = type_name
    return replace(tree, kinds=kinds) if done_to else tree


@cache
def _numbers(grammar: Grammar) -> tuple[Table, frozenset[int], int]:
    """Kinds: indexes, identifiers, a type's name."""
    return (
        table_of(grammar.kinds(["index_expression"])),
        grammar.kinds(["identifier"]),
        min(grammar.kinds(["type_identifier"])),
    )


def _as_type(tree: SyntaxTree, node: int) -> _Row:
    """What is inside of an index expression as a type; nothing where it is none."""
    operand, index = _operand_and_index(tree, node)
    left, right = _type(tree, operand, "type"), _type(tree, index, "")
    is_type = left and right and _GENERIC in (left[0][0], right[0][0])
    return left + right if is_type else []


def _kind(tree: SyntaxTree, node: int) -> str:
    return tree.grammar.names[tree.kinds[node]]


def _operand_and_index(tree: SyntaxTree, node: int) -> tuple[int, int]:
    operand = node + 1
    return operand, min(tree.after[operand] + 1, tree.after[node] - 1)


def _type(tree: SyntaxTree, node: int, role: str) -> _Row:
    """A name or `name[type]` as a type in a role; nothing for all else."""
    names: list[_Row] = []
    while _kind(tree, node) == "index_expression":
        operand, node = _operand_and_index(tree, node)
        names.append(_type_name(tree, operand, "type"))
    innermost = _type_name(tree, node, "" if names else role)
    if not innermost or not all(names):
        return []
    size = sum(map(len, names)) + 3 * len(names) + len(innermost)
    row: _Row = []
    for name in names:
        rest = size - 1 - len(name)
        row.append((_GENERIC, role, size))
        row += [*name, ("type_arguments", "type_arguments", rest), ("type_elem", "", rest - 1)]
        role, size = "", rest - 2
    return row + innermost


def _type_name(tree: SyntaxTree, node: int, role: str) -> _Row:
    """`name` or `package.name` as a type in a role; nothing for all else."""
    if _kind(tree, node) == "identifier":
        return [("type_identifier", role, 1)]
    if _kind(tree, node) == "selector_expression" and _kind(tree, node + 1) == "identifier":
        inside: _Row = [("package_identifier", "package", 1), ("type_identifier", "name", 1)]
        return [(_QUALIFIED, role, 3), *inside]
    return []
