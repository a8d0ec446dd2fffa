"""How the grammars that the package pins build sound code, where today's build it otherwise."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from codemoe.evaluate.codebleu.compat.edits import Edits, TreeEdits
from codemoe.evaluate.codebleu.compat.go_types import index_as_type
from codemoe.evaluate.codebleu.grammar import Grammar, Table, table_of

Change = Callable[[TreeEdits, int], None]

# Kinds that the pinned grammar does not have: their children are their parent's.
_DISSOLVED = {
    "go": ("statement_list", "interpreted_string_literal_content", "raw_string_literal_content"),
    "php": ("php_end_tag",),
    "python": ("not in", "is not"),
}
# Kinds that have no parts in the pinned grammar.
_LEAVES = {"go": ("raw_string_literal",)}


def make_old(edits: Edits) -> None:
    """Change what today's grammar builds otherwise."""
    rules = _rules(edits.forest.grammar)
    kinds = edits.forest.codes
    is_dissolved = rules.is_dissolved[kinds]
    edits.is_node &= ~is_dissolved
    edits.is_top &= ~(is_dissolved | rules.is_leaf[kinds])
    if not rules.is_changed[kinds].any():
        return
    for tree, base in edits.forest:
        nodes = tree.nodes_of(rules.is_changed)
        if nodes:
            edit = TreeEdits(edits, tree, base)
            for node in nodes:
                if node >= edit.done_to:
                    rules.changes[tree.kinds[node]](edit, node)


# -- Python --------------------------------------------------------------------------------------


def _except_clause(edit: TreeEdits, node: int) -> None:
    children = edit.tree.children(node)
    if len(children) > 1 and edit.kind(children[1]) == "*":
        edit.rename(node, "except_group_clause")
    _without_roles(edit, node, "value")


# -- JavaScript ----------------------------------------------------------------------------------

_STATEMENTS = frozenset(
    {"lexical_declaration", "variable_declaration", "empty_statement", "expression_statement"}
)


def _for_statement(edit: TreeEdits, node: int) -> None:
    for role in ("initializer", "condition"):
        for child in _named_children(edit, node, role):
            if edit.kind(child) not in _STATEMENTS:
                edit.wrap(child, child, "expression_statement", role)
                edit.set_role(child)


# -- C++ -----------------------------------------------------------------------------------------


def _virtual(edit: TreeEdits, node: int) -> None:
    edit.set_named(node, True)


def _captures(edit: TreeEdits, node: int) -> None:
    """`[&x, *this]`"""
    for sign, name in pairwise(edit.tree.children(node)):
        if edit.kind(sign) in ("&", "*") and edit.kind(name) in ("identifier", "this"):
            edit.wrap(sign, name, "pointer_expression")
            edit.set_role(name, "argument")


def _capture_with_value(edit: TreeEdits, node: int) -> None:
    """`[x = 1, &y = z]`"""
    edit.rename(node, "assignment_expression")
    first, name = edit.tree.children(node)[0], edit.child(node, "left")
    if name is not None and edit.kind(first) == "&":
        edit.wrap(first, name, "pointer_expression", "left")
        edit.set_role(name, "argument")


def _member_of_zero(edit: TreeEdits, node: int) -> None:
    """Whatever is `= 0` in a class is taken for a pure virtual function."""
    value = edit.child(node, "default_value")
    children = edit.tree.children(node)
    if value is None or edit.kind(value) != "number_literal" or edit.tree.text_of(value) != "0":
        return
    if any(edit.kind(child) == "," for child in children):
        return
    edit.rename(node, "function_definition")
    edit.set_named(value, False)
    edit.wrap(children[children.index(value) - 1], children[-1], "pure_virtual_clause")


# -- C# ------------------------------------------------------------------------------------------


def _attribute_argument(edit: TreeEdits, node: int) -> None:
    """`[A(b: 1, C = 2)]`"""
    children = edit.tree.children(node)
    name = edit.child(node, "name")
    if name is None:
        return
    edit.set_role(name)
    if edit.kind(children[1]) == "=":
        edit.wrap(name, children[-1], "assignment_expression")
        edit.set_role(name, "left")
        edit.set_role(children[-1], "right")


# -- Rust ----------------------------------------------------------------------------------------


def _type_parameter(edit: TreeEdits, node: int) -> None:
    """Of a type or a lifetime: `T`, `T: A`, `T = B`, `T: A = B`."""
    name, bounds = edit.child(node, "name"), edit.child(node, "bounds")
    if name is None:
        return
    if edit.child(node, "default_type") is not None:
        edit.rename(node, "optional_type_parameter")
        if bounds is not None:
            edit.wrap(name, bounds, "constrained_type_parameter", "name")
            edit.set_role(name, "left")
    elif bounds is not None:
        edit.rename(node, "constrained_type_parameter")
        edit.set_role(name, "left")
    else:
        edit.dissolve(node)
        edit.set_role(name)


# -- Go ------------------------------------------------------------------------------------------


def _keyed_element(edit: TreeEdits, node: int) -> None:
    _without_roles(edit, node, "key", "value")


# -- PHP -----------------------------------------------------------------------------------------


def _qualified_name(edit: TreeEdits, node: int) -> None:
    """`A\\B`; and `\\B`, where the backslash stood in a node of its own."""
    first, *rest = [edit.kind(child) for child in edit.tree.children(node)[:2]]
    if first == "\\" and "namespace_name" not in rest:
        edit.put_inside(node, 1, 1, "namespace_name_as_prefix", "", True)
    for prefix in _named_children(edit, node, "prefix"):
        edit.wrap(prefix, prefix, "namespace_name_as_prefix")
        edit.set_role(prefix)


def _property_element(edit: TreeEdits, node: int) -> None:
    _without_roles(edit, node, "name")
    for value in _named_children(edit, node, "default_value"):
        edit.wrap(value, value, "property_initializer")
        edit.set_role(value)


def _use_clause(edit: TreeEdits, node: int) -> None:
    for alias in _named_children(edit, node, "alias"):
        edit.wrap(alias, alias, "namespace_aliasing_clause")
        edit.set_role(alias)


def _use_group(edit: TreeEdits, node: int) -> None:
    """`use A\\{B\\C, D as E};`"""
    edit.set_role(node)
    for clause in edit.tree.children(node):
        if edit.kind(clause) != "namespace_use_clause":
            continue
        edit.rename(clause, "namespace_use_group_clause")
        _use_clause(edit, clause)
        name = next(iter(_named_children(edit, clause, "")), None)
        if name is not None and edit.kind(name) == "qualified_name":
            edit.rename(name, "namespace_name")
            for prefix in _named_children(edit, name, "prefix"):
                edit.dissolve(prefix)
        elif name is not None:
            edit.wrap(name, name, "namespace_name")
    edit.done_to = edit.tree.after[node]


def _anonymous_class(edit: TreeEdits, node: int) -> None:
    edit.dissolve(node)
    _without_roles(edit, node, "body")


def _primitive_type(edit: TreeEdits, node: int) -> None:
    if edit.tree.text_of(node) == "callable":
        edit.set_counted(node, True)


_CHANGES: Mapping[str, Mapping[str, Change]] = {
    "python": {"except_clause": _except_clause},
    "javascript": {"for_statement": _for_statement},
    "cpp": {
        "virtual": _virtual,
        "lambda_capture_specifier": _captures,
        "lambda_capture_initializer": _capture_with_value,
        "field_declaration": _member_of_zero,
    },
    "csharp": {"attribute_argument": _attribute_argument},
    "rust": {"type_parameter": _type_parameter, "lifetime_parameter": _type_parameter},
    "go": {"keyed_element": _keyed_element, "index_expression": index_as_type},
    "php": {
        "qualified_name": _qualified_name,
        "property_element": _property_element,
        "namespace_use_clause": _use_clause,
        "namespace_use_group": _use_group,
        "anonymous_class": _anonymous_class,
        "primitive_type": _primitive_type,
    },
}


def _named_children(edit: TreeEdits, node: int, role: str) -> list[int]:
    """All named children in a role."""
    number = edit.grammar.fields.get(role, 0)
    tree, is_named = edit.tree, edit.grammar.is_named
    return [
        child
        for child in edit.tree.children(node)
        if tree.fields[child] == number and is_named[tree.kinds[child]]
    ]


def _without_roles(edit: TreeEdits, node: int, *roles: str) -> None:
    for role in roles:
        for child in _named_children(edit, node, role):
            edit.set_role(child)


@dataclass(frozen=True, eq=False)
class _Rules:
    """What is above in the numbers of a grammar."""

    changes: Mapping[int, Change]
    is_changed: Table
    is_dissolved: Table
    is_leaf: Table


@cache
def _rules(grammar: Grammar) -> _Rules:
    changes = {
        kind: change
        for name, change in _CHANGES.get(grammar.language, {}).items()
        for kind in grammar.kinds([name])
    }
    return _Rules(
        changes,
        table_of(changes),
        table_of(grammar.kinds(_DISSOLVED.get(grammar.language, ()))),
        table_of(grammar.kinds(_LEAVES.get(grammar.language, ()))),
    )
