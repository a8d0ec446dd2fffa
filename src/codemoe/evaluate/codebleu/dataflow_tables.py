"""How each grammar writes definitions: one row per language for the walker in dataflow.py.

A language without a row has no data-flow component. To add one, parse a page of its code, look at
the node types, and write the row; the walker needs no change.
"""

from dataclasses import replace

from codemoe.evaluate.codebleu.dataflow_table import FIRST, DataflowTable, Rule, types

_PYTHON = DataflowTable(
    names=types("identifier"),
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
    binders=types("parameters lambda_parameters"),
    accesses={"attribute": "object", "subscript": "value"},
    declarators={},
    sequences=types("pattern_list tuple_pattern list_pattern expression_list tuple list"),
    functions=types(
        "function_definition lambda class_definition list_comprehension set_comprehension "
        "dictionary_comprehension generator_expression"
    ),
    blocks=frozenset(),
    skipped=types(
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
    names=types("identifier"),
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
    functions=types(
        "class_body interface_body enum_body method_declaration constructor_declaration "
        "lambda_expression"
    ),
    blocks=types("block for_statement enhanced_for_statement catch_clause switch_block")
    | {"try_with_resources_statement"},
    skipped=types("import_declaration package_declaration marker_annotation annotation"),
)

_JAVASCRIPT = DataflowTable(
    names=types("identifier shorthand_property_identifier shorthand_property_identifier_pattern"),
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
    binders=types("formal_parameters"),
    accesses={"member_expression": "object", "subscript_expression": "object"},
    declarators={"assignment_pattern": "left", "object_assignment_pattern": "left"},
    sequences=types("array_pattern array"),
    functions=types(
        "function_declaration generator_function_declaration function_expression arrow_function "
        "method_definition class_body"
    ),
    blocks=types("statement_block for_statement for_in_statement catch_clause switch_body"),
    hoisted=types("variable_declaration"),
    skipped=types("import_statement"),
)

_CPP = DataflowTable(
    # A type_identifier that names a variable is one: `string s(t)` parses as a function type.
    names=types("identifier field_identifier type_identifier"),
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
    functions=types("function_definition lambda_expression field_declaration_list"),
    blocks=types("compound_statement for_statement for_range_loop catch_clause if_statement"),
    skipped=types(
        "using_declaration preproc_include type_descriptor template_parameter_list field_designator"
    ),
)

_C = replace(
    _CPP,
    not_variables=frozenset(
        {
            ("call_expression", "function"),
            ("field_expression", "field"),
            ("function_declarator", "declarator"),
            ("enumerator", "name"),
        }
    ),
    rules={
        name: rule
        for name, rule in _CPP.rules.items()
        if name
        not in ("optional_parameter_declaration", "for_range_loop", "lambda_capture_initializer")
    }
    | {"field_declaration": Rule("declarator", declares=True)},
    functions=types("function_definition field_declaration_list"),
    blocks=types("compound_statement for_statement"),
    skipped=types("preproc_include type_descriptor field_designator"),
)

_CSHARP = DataflowTable(
    names=types("identifier implicit_parameter"),
    not_variables=frozenset(
        {
            ("invocation_expression", "function"),
            ("member_access_expression", "name"),
            ("object_creation_expression", "type"),
            ("variable_declaration", "type"),
            ("parameter", "type"),
            ("catch_declaration", "type"),
            ("generic_name", ""),
        }
        | {
            (f"{kind}_declaration", "name")
            for kind in types("class struct interface enum record method constructor property")
        }
    ),
    rules={
        "variable_declarator": Rule("name", "", declares=True),
        "assignment_expression": Rule("left", "right"),
        "postfix_unary_expression": Rule("", augments=True, needs=types("++ --")),
        "prefix_unary_expression": Rule("", augments=True, needs=types("++ --")),
        "foreach_statement": Rule("left", "right", declares=True),
        "parameter": Rule("name", "", declares=True),
        "lambda_expression": Rule("parameters", declares=True),
        "catch_declaration": Rule("name", declares=True),
        "declaration_expression": Rule("name", declares=True),
        "declaration_pattern": Rule("name", declares=True),
        "from_clause": Rule("name", "", declares=True),
    },
    binders=types("parameter_list tuple_pattern"),
    accesses={"element_access_expression": "expression", "member_access_expression": "expression"},
    declarators={},
    sequences=types("tuple_expression"),
    functions=types(
        "declaration_list method_declaration constructor_declaration local_function_statement "
        "lambda_expression anonymous_method_expression accessor_declaration"
    ),
    blocks=types("block for_statement foreach_statement catch_clause using_statement")
    | {"switch_section"},
    skipped=types("using_directive attribute_list type_argument_list"),
)

_GO = DataflowTable(
    names=types("identifier"),
    not_variables=frozenset(
        {("call_expression", "function"), ("function_declaration", "name")},
    ),
    rules={
        "short_var_declaration": Rule("left", "right", declares=True),
        "assignment_statement": Rule("left", "right"),
        "var_spec": Rule("name", "value", declares=True),
        "const_spec": Rule("name", "value", declares=True),
        "inc_statement": Rule("", augments=True),
        "dec_statement": Rule("", augments=True),
        "range_clause": Rule("left", "right", declares=True),
        "receive_statement": Rule("left", "right", declares=True),
        "type_switch_statement": Rule("alias", "value", declares=True),
        "parameter_declaration": Rule("name", declares=True),
        "variadic_parameter_declaration": Rule("name", declares=True),
    },
    binders=frozenset(),
    accesses={
        "index_expression": "operand",
        "selector_expression": "operand",
        "unary_expression": "operand",
    },
    declarators={},
    sequences=types("expression_list"),
    functions=types("function_declaration method_declaration func_literal"),
    blocks=types(
        "block for_statement if_statement expression_switch_statement type_switch_statement "
        "expression_case default_case type_case communication_case"
    ),
    skipped=types("import_declaration package_clause"),
)

_PHP = DataflowTable(
    names=types("name"),
    name_parents=types("variable_name"),
    wrappers=types("variable_name"),
    not_variables=frozenset(),
    rules={
        "assignment_expression": Rule("left", "right"),
        "augmented_assignment_expression": Rule("left", "right", augments=True),
        "reference_assignment_expression": Rule("left", "right"),
        "update_expression": Rule("argument", augments=True),
        "foreach_statement": Rule("", "", first_flows=True),
        "simple_parameter": Rule("name", "default_value", declares=True),
        "variadic_parameter": Rule("name", declares=True),
        "property_promotion_parameter": Rule("name", "default_value", declares=True),
        "catch_clause": Rule("name"),
        "static_variable_declaration": Rule("name", "value"),
        "property_element": Rule("name", "default_value", declares=True),
    },
    binders=frozenset(),
    accesses={"subscript_expression": FIRST, "member_access_expression": "object"},
    declarators={},
    sequences=types("list_literal array_creation_expression"),
    functions=types(
        "function_definition method_declaration anonymous_function arrow_function declaration_list"
    ),
    blocks=frozenset(),
    skipped=types("namespace_use_declaration namespace_definition attribute_list"),
    assignment_is_local=True,
)

_TYPESCRIPT = replace(
    _JAVASCRIPT,
    rules=_JAVASCRIPT.rules
    | {
        "required_parameter": Rule("pattern", "value", declares=True),
        "optional_parameter": Rule("pattern", "value", declares=True),
    },
    functions=_JAVASCRIPT.functions | types("function_signature method_signature"),
    skipped=types(
        "import_statement type_annotation type_arguments type_parameters interface_declaration "
        "type_alias_declaration"
    ),
)

_RUST = DataflowTable(
    names=types("identifier shorthand_field_identifier"),
    not_variables=frozenset(
        {
            ("call_expression", "function"),
            ("macro_invocation", "macro"),
            ("tuple_struct_pattern", "type"),
            ("function_item", "name"),
            ("scoped_identifier", "name"),
            ("scoped_identifier", "path"),
            ("generic_function", "function"),
        }
    ),
    rules={
        "let_declaration": Rule("pattern", "value", declares=True),
        "let_condition": Rule("pattern", "value", declares=True),
        "for_expression": Rule("pattern", "value", declares=True),
        "assignment_expression": Rule("left", "right"),
        "compound_assignment_expr": Rule("left", "right", augments=True),
        "parameter": Rule("pattern", declares=True),
        "match_arm": Rule("pattern", declares=True),
        "const_item": Rule("name", "value", declares=True),
        "static_item": Rule("name", "value", declares=True),
    },
    binders=types("closure_parameters"),
    accesses={
        "index_expression": FIRST,
        "field_expression": "value",
        "unary_expression": FIRST,
    },
    declarators={"tuple_struct_pattern": "", "match_pattern": ""},
    sequences=types("tuple_pattern tuple_expression"),
    functions=types("function_item closure_expression"),
    blocks=types("block for_expression if_expression while_expression match_arm"),
    skipped=types("use_declaration attribute_item type_arguments"),
)

_RUBY = DataflowTable(
    names=types("identifier instance_variable class_variable global_variable"),
    not_variables=frozenset({("call", "method"), ("method", "name"), ("singleton_method", "name")}),
    rules={
        "assignment": Rule("left", "right"),
        "operator_assignment": Rule("left", "right", augments=True),
        "for": Rule("pattern", "value"),
        "exception_variable": Rule(""),
        "optional_parameter": Rule("name", "value", declares=True),
        "keyword_parameter": Rule("name", "value", declares=True),
        "splat_parameter": Rule("name", declares=True),
        "hash_splat_parameter": Rule("name", declares=True),
        "block_parameter": Rule("name", declares=True),
    },
    binders=types("method_parameters block_parameters lambda_parameters destructured_parameter"),
    accesses={"element_reference": "object", "call": "receiver"},
    declarators={},
    sequences=types("left_assignment_list right_assignment_list array")
    | {"destructured_left_assignment"},
    functions=types("method singleton_method class module"),
    blocks=types("block do_block lambda"),
    wrappers=types("in"),
    assignment_is_local=True,
)

DATAFLOW_TABLES: dict[str, DataflowTable] = {
    "python": _PYTHON,
    "java": _JAVA,
    "javascript": _JAVASCRIPT,
    "cpp": _CPP,
    "c": _C,
    "csharp": _CSHARP,
    "go": _GO,
    "php": _PHP,
    "typescript": _TYPESCRIPT,
    "rust": _RUST,
    "ruby": _RUBY,
}
