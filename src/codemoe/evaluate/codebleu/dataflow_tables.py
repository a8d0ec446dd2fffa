"""How each grammar writes definitions: one row per language for the walker in dataflow.py.

A language without a row has no data-flow component. To add one, parse a page of its code, look at
the node types, and write the row; the walker needs no change.
"""

from dataclasses import dataclass


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
    targets_from_values: bool = False  # where nothing else receives, the values do


@dataclass(frozen=True)
class DataflowTable:
    """Node types and roles (tree-sitter's field names) of one grammar."""

    names: frozenset[str]  # leaves that may be variables
    not_variables: frozenset[tuple[str, str]]  # (parent type, role) of names that are none
    rules: dict[str, Rule]
    binders: frozenset[str]  # nodes whose direct children are all new variables: parameter lists
    # Nodes that receive through one child, named by its role; their other children flow in.
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
    augmenting: frozenset[str] = frozenset()  # more kinds of children that make a rule augment


def _types(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PYTHON = DataflowTable(
    names=_types("identifier"),
    not_variables=frozenset(
        {
            ("call", "function"),
            ("attribute", "attribute"),
            ("keyword_argument", "name"),
            ("function_definition", "name"),
            ("class_definition", "name"),
        }
    ),
    rules={
        "assignment": Rule("left", "right"),
        "augmented_assignment": Rule("left", "right", augments=True),
        "named_expression": Rule("name", "value"),
        "for_statement": Rule("left", "right"),
        "for_in_clause": Rule("left", "right", declares=True),
        "as_pattern": Rule("alias", ""),
        "default_parameter": Rule("name", "value", declares=True),
        "typed_default_parameter": Rule("name", "value", declares=True),
        "typed_parameter": Rule("", declares=True),
    },
    binders=_types("parameters lambda_parameters"),
    accesses={"attribute": "object", "subscript": "value"},
    declarators={},
    sequences=_types("pattern_list tuple_pattern list_pattern expression_list tuple list"),
    functions=_types(
        "function_definition lambda class_definition list_comprehension set_comprehension "
        "dictionary_comprehension generator_expression"
    ),
    blocks=frozenset(),
    skipped=_types(
        "type import_statement import_from_statement global_statement nonlocal_statement"
    ),
    late={
        "list_comprehension": "body",
        "set_comprehension": "body",
        "dictionary_comprehension": "body",
        "generator_expression": "body",
    },
    assignment_is_local=True,
)

_JAVA = DataflowTable(
    names=_types("identifier"),
    not_variables=frozenset(
        {
            ("method_invocation", "name"),
            ("field_access", "field"),
            ("method_declaration", "name"),
            ("constructor_declaration", "name"),
            ("class_declaration", "name"),
            ("interface_declaration", "name"),
            ("record_declaration", "name"),
            ("enum_declaration", "name"),
            ("enum_constant", "name"),
        }
    ),
    rules={
        "variable_declarator": Rule("name", "value", declares=True),
        "assignment_expression": Rule("left", "right"),
        "update_expression": Rule("", augments=True),
        "enhanced_for_statement": Rule("name", "value", declares=True),
        "lambda_expression": Rule("parameters", declares=True),
        "instanceof_expression": Rule("name", "left", declares=True),
        "formal_parameter": Rule("name", declares=True),
        "catch_formal_parameter": Rule("name", declares=True),
        "resource": Rule("name", "value", declares=True),
    },
    binders=frozenset(),
    accesses={"array_access": "array", "field_access": "object"},
    declarators={},
    sequences=frozenset(),
    functions=_types(
        "class_body interface_body enum_body method_declaration constructor_declaration "
        "lambda_expression"
    ),
    blocks=_types("block for_statement enhanced_for_statement catch_clause switch_block")
    | {"try_with_resources_statement"},
    skipped=_types("import_declaration package_declaration marker_annotation annotation"),
)

_JAVASCRIPT = DataflowTable(
    names=_types("identifier shorthand_property_identifier shorthand_property_identifier_pattern"),
    not_variables=frozenset(
        {
            ("call_expression", "function"),
            ("function_declaration", "name"),
            ("generator_function_declaration", "name"),
            ("function_expression", "name"),
            ("class_declaration", "name"),
            ("new_expression", "constructor"),
        }
    ),
    rules={
        "variable_declarator": Rule("name", "value", declares=True),
        "assignment_expression": Rule("left", "right"),
        "augmented_assignment_expression": Rule("left", "right", augments=True),
        "update_expression": Rule("argument", augments=True),
        "for_in_statement": Rule("left", "right", declares=True),
        "assignment_pattern": Rule("left", "right", declares=True),
        "arrow_function": Rule("parameter", declares=True),
        "catch_clause": Rule("parameter", declares=True),
    },
    binders=_types("formal_parameters"),
    accesses={"member_expression": "object", "subscript_expression": "object"},
    declarators={"assignment_pattern": "left", "object_assignment_pattern": "left"},
    sequences=_types("array_pattern array"),
    functions=_types(
        "function_declaration generator_function_declaration function_expression arrow_function "
        "method_definition class_body"
    ),
    blocks=_types("statement_block for_statement for_in_statement catch_clause switch_body"),
    hoisted=_types("variable_declaration"),
    skipped=_types("import_statement"),
)

_CPP = DataflowTable(
    # A type_identifier that names a variable is one: `string s(t)` parses as a function type.
    names=_types("identifier field_identifier type_identifier"),
    not_variables=frozenset(
        {
            ("call_expression", "function"),
            ("field_expression", "field"),
            ("qualified_identifier", "name"),
            ("template_function", "name"),
            ("function_declarator", "declarator"),
            ("enumerator", "name"),
        }
    ),
    rules={
        "declaration": Rule("declarator", "value", declares=True),
        "init_declarator": Rule("declarator", "value", declares=True),
        "field_declaration": Rule("declarator", "default_value", declares=True),
        "parameter_declaration": Rule("declarator", declares=True),
        "optional_parameter_declaration": Rule("declarator", "default_value", declares=True),
        "assignment_expression": Rule("left", "right"),
        "update_expression": Rule("argument", augments=True),
        "for_range_loop": Rule("declarator", "right", declares=True),
        "preproc_def": Rule("name", declares=True),
        "lambda_capture_initializer": Rule("left", "right", declares=True),
    },
    binders=frozenset(),
    accesses={
        "subscript_expression": "argument",
        "field_expression": "argument",
        "pointer_expression": "argument",
    },
    declarators={
        "array_declarator": "declarator",
        "function_declarator": "declarator",
    },
    sequences=frozenset(),
    functions=_types("function_definition lambda_expression field_declaration_list"),
    blocks=_types("compound_statement for_statement for_range_loop catch_clause if_statement"),
    skipped=_types(
        "using_declaration preproc_include type_descriptor template_parameter_list field_designator"
    ),
)

DATAFLOW_TABLES: dict[str, DataflowTable] = {
    "python": _PYTHON,
    "java": _JAVA,
    "javascript": _JAVASCRIPT,
    "cpp": _CPP,
}
