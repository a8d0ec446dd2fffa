"""Where the package's data-flow extractors differ: one row for each of its languages.

C and C++ are read as C#, so most rows' kinds never occur in their trees.
"""

from dataclasses import dataclass, replace


def _types(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True)
class FlowRules:
    """Names of node kinds, anonymous ones included. `""` for a role: see each field."""

    definitions: frozenset[str] = frozenset()
    # Roles of name and value in a definition; or places among the children, and how many children
    # there must be for it to have a value.
    name_and_value: tuple[str, str] | tuple[int, int] = ("name", "value")
    children_with_value: tuple[int, int] = (0, 0)  # from, to (inclusive)
    assignments: frozenset[str] = frozenset()
    assigns_in_pairs: bool = False  # item by item where both sides have as many
    assigns_outer_children: frozenset[str] = frozenset()  # left is the first child, right the last
    optional_right: frozenset[str] = frozenset()  # assignments that may lack a right side
    loop_clauses: frozenset[str] = frozenset()  # right side last; before their siblings
    named_arguments: frozenset[str] = frozenset()  # `name = value` is an assignment, `value` not
    increments: frozenset[str] = frozenset()
    ifs: frozenset[str] = frozenset()
    # Children of an `if` of these kinds start from the states before it ...
    branches: frozenset[str] = frozenset()
    branches_to_end: bool = True  # ... and so do all children behind the first of them
    keeps_states: str = "without else"  # when the states before an `if` flow behind it: or always
    fors: frozenset[str] = frozenset()
    again_after: str = ""  # kind of the child behind which a `for` is read a second time
    again_role: str = ""  # a role of that child that is read again, too
    foreachs: frozenset[str] = frozenset()
    foreach_roles: tuple[str, str, str] = ("name", "value", "body")
    foreach_lists: bool = False  # one edge from all names on the right, not one from each
    foreach_in_pairs: bool = False  # item by item where both sides have as many
    foreach_block: str = ""  # the body is the last child, if it is of this kind
    foreach_variables: str = ""  # value and name are the first two children of this kind
    whiles: frozenset[str] = frozenset()  # read twice


_PYTHON = FlowRules(
    definitions=_types("default_parameter"),
    assignments=_types("assignment augmented_assignment for_in_clause"),
    assigns_in_pairs=True,
    optional_right=_types("assignment augmented_assignment"),
    loop_clauses=_types("for_in_clause"),
    ifs=_types("if_statement"),
    branches=_types("elif_clause else_clause"),
    branches_to_end=False,
    foreachs=_types("for_statement"),
    foreach_roles=("left", "right", ""),
    foreach_lists=True,
    foreach_in_pairs=True,
    foreach_block="block",
    whiles=_types("while_statement"),
)
_JAVA = FlowRules(
    definitions=_types("variable_declarator"),
    assignments=_types("assignment_expression"),
    increments=_types("update_expression"),
    ifs=_types("if_statement else"),
    branches=_types("if_statement else"),
    fors=_types("for_statement"),
    again_after="local_variable_declaration",
    foreachs=_types("enhanced_for_statement"),
    whiles=_types("while_statement"),
)
_CSHARP = FlowRules(
    definitions=_types("variable_declarator"),
    name_and_value=(0, 1),
    children_with_value=(2, 2),
    assignments=_types("assignment_expression"),
    increments=_types("postfix_unary_expression"),
    ifs=_types("if_statement else"),
    branches=_types("if_statement else"),
    fors=_types("for_statement"),
    again_after="local_variable_declaration",
    foreachs=_types("for_each_statement"),
    foreach_roles=("left", "right", "body"),
    whiles=_types("while_statement"),
)
_JAVASCRIPT = FlowRules(
    definitions=_types("variable_declarator"),
    assignments=_types("assignment_pattern augmented_assignment_expression"),
    increments=_types("update_expression"),
    ifs=_types("if_statement else"),
    branches=_types("if_statement else"),
    keeps_states="always",
    fors=_types("for_statement"),
    again_after="variable_declaration",
    whiles=_types("while_statement"),
)
_GO = FlowRules(
    definitions=_types("var_spec"),
    assignments=_types("assignment_statement"),
    increments=_types("inc_statement"),
    ifs=_types("if_statement else"),
    branches=_types("if_statement else"),
    keeps_states="always",
    fors=_types("for_statement"),
    again_after="for_clause",
    again_role="update",
)
_PHP = FlowRules(
    definitions=_types("simple_parameter"),
    name_and_value=("name", "default_value"),
    assignments=_types("assignment_expression augmented_assignment_expression"),
    increments=_types("update_expression"),
    ifs=_types("if_statement else_clause"),
    branches=_types("if_statement else_clause"),
    keeps_states="always",
    fors=_types("for_statement"),
    again_after="assignment_expression",
    foreachs=_types("foreach_statement"),
    foreach_roles=("", "", "body"),
    foreach_variables="variable_name",
    whiles=_types("while_statement"),
)
_RUBY = FlowRules(
    definitions=_types("keyword_parameter"),
    assignments=_types("assignment operator_assignment"),
    assigns_in_pairs=True,
    assigns_outer_children=_types("operator_assignment"),
    ifs=_types("if elsif else unless when"),
    branches=_types("if elsif else unless when"),
    branches_to_end=False,
    foreachs=_types("for"),
    foreach_roles=("pattern", "value", "body"),
    foreach_lists=True,
    whiles=_types("while_modifier until"),
)
_RUST = FlowRules(
    definitions=_types("function_item"),
    name_and_value=(1, 2),
    children_with_value=(3, 1_000_000),
    assignments=_types("assignment_expression compound_assignment_expr let_expression"),
    ifs=_types("if_expression if_let_expression match_expression else"),
    branches=_types("if_expression if_let_expression match_expression else"),
    fors=_types("for_expression"),
    again_after="local_variable_declaration",
    foreachs=_types("for_each_statement"),
    foreach_roles=("left", "right", "body"),
    whiles=_types("while_expression while_let_expression loop_expression"),
)

FLOW_RULES: dict[str, FlowRules] = {
    "python": _PYTHON,
    "java": _JAVA,
    "javascript": _JAVASCRIPT,
    "c": _CSHARP,
    "cpp": _CSHARP,
    "csharp": _CSHARP,
    "go": _GO,
    "php": _PHP,
    "ruby": _RUBY,
    "rust": _RUST,
}

# What is in the pinned grammars an assignment, and today not: `[x = 1] { }`, `[A(B = 1)]`.
PINNED_RULES: dict[str, FlowRules] = {
    "cpp": replace(_CSHARP, assignments=_types("assignment_expression lambda_capture_initializer")),
    "csharp": replace(_CSHARP, named_arguments=_types("attribute_argument")),
}
# Named kinds whose text was a token by itself in the pinned grammars, as keywords are.
PINNED_KEYWORDS: dict[str, dict[str, str]] = {"php": {"primitive_type": "callable"}}
# Kinds that were one token in the pinned grammars, and such as were none.
PINNED_TOKENS = {"go": ("raw_string_literal",)}
PINNED_SILENT = {"go": ("interpreted_string_literal_content",)}
