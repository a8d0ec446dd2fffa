"""Go: `a[i][j]` and `a[b[i]]`, where a and b may be `x.y`. The pinned grammar takes the inner index
for a generic type, and the whole for an instance of one."""

from codemoe.evaluate.codebleu.compat.edits import TreeEdits

_INSTANCE, _GENERIC, _QUALIFIED = "type_instantiation_expression", "generic_type", "qualified_type"
_INNER_TYPES = frozenset({_INSTANCE, _GENERIC, _QUALIFIED, "type_arguments", "type_elem"})
_Row = list[tuple[str, str, int]]  # (kind, role, nodes inside and itself), parents first


def index_as_type(edit: TreeEdits, node: int) -> None:
    """Change an index expression that the pinned grammar read as a type."""
    operand, index = _operand_and_index(edit, node)
    left, right = _type(edit, operand, "type"), _type(edit, index, "")
    if not (left and right and _GENERIC in (left[0][0], right[0][0])):
        return
    end = edit.tree.after[node]
    for inside in range(node + 1, end):
        edit.dissolve(inside)
    edit.rename(node, _INSTANCE)
    for step, (kind, role, size) in enumerate(left + right, 1):
        edit.put_inside(node, step, size, kind, role, kind in _INNER_TYPES)
    edit.done_to = end


def _operand_and_index(edit: TreeEdits, node: int) -> tuple[int, int]:
    after = edit.tree.after
    operand = node + 1
    return operand, min(after[operand] + 1, after[node] - 1)


def _type(edit: TreeEdits, node: int, role: str) -> _Row:
    """A name or `name[type]` as a type in a role; nothing for all else."""
    names: list[_Row] = []
    while edit.kind(node) == "index_expression":
        operand, node = _operand_and_index(edit, node)
        names.append(_type_name(edit, operand, "type"))
    innermost = _type_name(edit, node, "" if names else role)
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


def _type_name(edit: TreeEdits, node: int, role: str) -> _Row:
    """`name` or `package.name` as a type in a role; nothing for all else."""
    if edit.kind(node) == "identifier":
        return [("type_identifier", role, 1)]
    if edit.kind(node) == "selector_expression" and edit.kind(node + 1) == "identifier":
        inside: _Row = [("package_identifier", "package", 1), ("type_identifier", "name", 1)]
        return [(_QUALIFIED, role, 3), *inside]
    return []
