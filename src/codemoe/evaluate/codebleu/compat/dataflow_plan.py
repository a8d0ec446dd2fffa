"""dataflow_rules.py in the numbers of a grammar, looked up once per process."""

import re
from dataclasses import dataclass
from functools import cache

from codemoe.evaluate.codebleu.compat.dataflow_rules import (
    FLOW_RULES,
    PINNED_KEYWORDS,
    PINNED_RULES,
    PINNED_SILENT,
    PINNED_TOKENS,
    FlowRules,
)
from codemoe.evaluate.codebleu.grammar import Grammar, Table, table_of

_PLAIN = re.compile(r"[a-zA-Z_]+|[-+*/=<>!&|^~?:;,.(){}\[\]]+")


@dataclass(frozen=True, eq=False)
class Plan:
    """Which method reads a kind, and the numbers of the kinds and roles of FlowRules."""

    rules: FlowRules
    readers: dict[int, str]
    is_read: Table  # kinds with a reader
    is_token: Table  # inner nodes that are read as one token
    is_silent: Table  # leaves that are no tokens
    identifiers: frozenset[int]
    branches: frozenset[int]
    with_else: frozenset[int]
    commas: frozenset[int]
    equals: frozenset[int]
    again_after: frozenset[int]
    foreach_block: frozenset[int]
    foreach_variables: frozenset[int]
    loop_clauses: frozenset[int]
    is_loop_clause: Table
    optional_right: frozenset[int]
    outer_children: frozenset[int]
    text: dict[int, str]
    may_differ: Table  # kinds whose tokens may read otherwise than they are named
    roles: dict[str, int]


def _always_alike(grammar: Grammar) -> list[int]:
    """Kinds of words and signs. But PHP's words may be in capitals, and Ruby's brackets of literals
    are all named after one pair."""
    if grammar.language in ("php", "ruby"):
        return []
    return [kind for kind in grammar.words if kind and _PLAIN.fullmatch(grammar.names[kind])]


@cache
def plan_for(grammar: Grammar, as_pinned: bool) -> Plan | None:
    """The plan of a language, for the trees of the grammars that the package pins or today's; None
    for a language that the package does not have."""
    rules = FLOW_RULES.get(grammar.language)
    if rules is None:
        return None
    text = grammar.names
    tokens: tuple[str, ...] = ("string_literal", "string", "character_literal")
    silent: tuple[str, ...] = ("comment",)
    if as_pinned:
        tokens += PINNED_TOKENS.get(grammar.language, ())
        silent += PINNED_SILENT.get(grammar.language, ())
        rules = PINNED_RULES.get(grammar.language, rules)
        keywords = PINNED_KEYWORDS.get(grammar.language, {})
        for name, word in keywords.items():
            text = text | dict.fromkeys(grammar.kinds([name]), word)
    readers: dict[int, str] = {}
    # In the order in which the package asks: the first that knows a kind reads it.
    for reader, names in (
        ("definition", rules.definitions),
        ("assignment", rules.assignments),
        ("named_argument", rules.named_arguments),
        ("increment", rules.increments),
        ("choice", rules.ifs),
        ("counted_loop", rules.fors),
        ("foreach", rules.foreachs),
        ("twice", rules.whiles),
    ):
        for kind in grammar.kinds(names):
            readers.setdefault(kind, reader)
    return Plan(
        rules=rules,
        readers=readers,
        is_read=table_of(readers),
        is_token=table_of(grammar.kinds(tokens)),
        is_silent=table_of(grammar.kinds(silent)),
        identifiers=grammar.kinds(["identifier"]),
        branches=grammar.kinds(rules.branches),
        with_else=frozenset(kind for kind, name in grammar.names.items() if "else" in name),
        commas=grammar.kinds([","]),
        equals=grammar.kinds(["="]),
        again_after=grammar.kinds([rules.again_after]),
        foreach_block=grammar.kinds([rules.foreach_block]),
        foreach_variables=grammar.kinds([rules.foreach_variables]),
        loop_clauses=grammar.kinds(rules.loop_clauses),
        is_loop_clause=table_of(grammar.kinds(rules.loop_clauses)),
        optional_right=grammar.kinds(rules.optional_right),
        outer_children=grammar.kinds(rules.assigns_outer_children),
        text=text,
        may_differ=~table_of(_always_alike(grammar)),
        roles=grammar.fields,
    )
