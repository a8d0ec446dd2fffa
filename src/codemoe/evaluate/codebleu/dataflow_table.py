"""What a row of dataflow_tables.py says about a language."""

from dataclasses import dataclass

FIRST = "<first>"  # instead of a role: the first named child


@dataclass(frozen=True)
class Rule:
    """A node that gives variables a value.

    Its children are read in the order values, targets, all others (a loop's body, say).
    The role "" is that of the named children without one.
    """

    targets: str  # role of the children that receive
    values: str | None = None  # role of the children that flow in; None: nothing does
    declares: bool = False  # makes new variables in this scope, rather than setting known ones
    augments: bool = False  # the old value flows in too: +=, ++
    first_flows: bool = False  # of the children with the targets' role the first flows in
    needs: frozenset[str] = frozenset()  # it is this rule only with one of these among its children


@dataclass(frozen=True)
class DataflowTable:
    """Node types and roles (tree-sitter's field names) of one grammar."""

    names: frozenset[str]  # leaves that may be variables
    not_variables: frozenset[tuple[str, str]]  # (parent type, role) of names that are none
    rules: dict[str, Rule]
    binders: frozenset[str]  # nodes whose direct children are all new variables: parameter lists
    # Nodes that receive through one child, named by its role (or FIRST); their others flow in.
    accesses: dict[str, str]  # parts of an existing variable: a[i], a.b, *a
    declarators: dict[str, str]  # decorations of a new one: int *a, int a[10], a = default
    sequences: frozenset[str]  # lists that are assigned item by item: a, b = b, a
    functions: frozenset[str]  # scopes where plain assignments make variables
    blocks: frozenset[str]  # scopes for declarations only
    hoisted: frozenset[str] = frozenset()  # declarations that belong to the function: JS var
    skipped: frozenset[str] = frozenset()  # nodes in which no name is a variable
    late: dict[str, str] | None = None  # role of a child written before what defines its names
    assignment_is_local: bool = False  # assigning in a function never sets an outer variable
    plain_assignments: frozenset[str] = frozenset({"=", ":="})  # others that end in = augment
    name_parents: frozenset[str] = frozenset()  # names are variables only in these; none: anywhere
    wrappers: frozenset[str] = frozenset()  # nodes that stand for the one name inside


def types(text: str) -> frozenset[str]:
    return frozenset(text.split())
