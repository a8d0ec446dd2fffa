"""A row of dataflow_tables.py in the numbers of its grammar, looked up once per process."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from codemoe.evaluate.codebleu.dataflow_table import FIRST
from codemoe.evaluate.codebleu.dataflow_tables import DATAFLOW_TABLES
from codemoe.evaluate.codebleu.grammar import Grammar, Table, table_of

NOTHING = -1  # a role that no child has
FIRST_CHILD = -2


@dataclass(frozen=True, slots=True)
class Rule:
    """dataflow_table.Rule with roles as numbers; 0 is that of children without one."""

    targets: int
    values: int
    declares: bool
    augments: bool
    first_flows: bool
    needs: frozenset[int]


@dataclass(frozen=True, eq=False)
class Plan:
    """dataflow_table.DataflowTable with kinds and roles as numbers."""

    is_known: Table  # every kind that the walker must look at
    names: frozenset[int]
    name_parents: frozenset[int]
    wrappers: frozenset[int]
    not_variables: frozenset[tuple[int, int]]
    rules: dict[int, Rule]
    augmented: dict[int, Rule]  # the same for += and its like
    parameter: Rule  # what a binder does to its children
    binders: frozenset[int]
    accesses: dict[int, int]
    declarators: dict[int, int]
    sequences: frozenset[int]
    functions: frozenset[int]
    blocks: frozenset[int]
    only_scopes: frozenset[int]  # functions and blocks that no other line of the table names
    hoisted: frozenset[int]
    skipped: frozenset[int]
    late: dict[int, int]
    augmenting: frozenset[int]
    assignment_is_local: bool


@cache
def plan_for(grammar: Grammar) -> Plan | None:
    """The plan of a grammar's language; None where no table row tells how to read it."""
    table = DATAFLOW_TABLES.get(grammar.language)
    if table is None:
        return None

    def role(name: str | None) -> int:
        if name is None:
            return NOTHING
        if name == FIRST:
            return FIRST_CHILD
        return grammar.fields[name] if name else 0

    def numbered(roles: Iterable[tuple[str, str]]) -> dict[int, int]:
        return {
            kind: role(name) for kind_name, name in roles for kind in grammar.kinds([kind_name])
        }

    rules = {
        kind: Rule(
            role(rule.targets),
            role(rule.values),
            rule.declares,
            rule.augments,
            rule.first_flows,
            grammar.kinds(rule.needs),
        )
        for name, rule in table.rules.items()
        for kind in grammar.kinds([name])
    }
    names = grammar.kinds(table.names)
    binders = grammar.kinds(table.binders)
    functions, blocks = grammar.kinds(table.functions), grammar.kinds(table.blocks)
    skipped = grammar.kinds(table.skipped)
    late = numbered((table.late or {}).items())
    return Plan(
        is_known=table_of(
            names | rules.keys() | binders | functions | blocks | skipped | late.keys()
        ),
        names=names,
        name_parents=grammar.kinds(table.name_parents),
        wrappers=grammar.kinds(table.wrappers),
        not_variables=frozenset(
            (kind, role(name))
            for kind_name, name in table.not_variables
            for kind in grammar.kinds([kind_name])
        ),
        rules=rules,
        augmented={kind: replace(rule, augments=True) for kind, rule in rules.items()},
        parameter=Rule(0, NOTHING, True, False, False, frozenset()),
        binders=binders,
        accesses=numbered(table.accesses.items()),
        declarators=numbered(table.declarators.items()),
        sequences=grammar.kinds(table.sequences),
        functions=functions,
        blocks=blocks,
        only_scopes=(functions | blocks) - rules.keys() - binders - skipped - late.keys(),
        hoisted=grammar.kinds(table.hoisted),
        skipped=skipped,
        late=late,
        augmenting=frozenset(
            kind
            for kind, name in grammar.names.items()
            if name.endswith("=") and name not in table.plain_assignments
        ),
        assignment_is_local=table.assignment_is_local,
    )
