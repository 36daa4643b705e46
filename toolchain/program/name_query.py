"""Where names and scopes stand in JavaScript and TypeScript, as queries of tree-sitter.

``name`` are all names of variables, wherever; the other captures say which of them are declared
(``let``, ``var``), assigned (``target``) or none (``tag``, ``drop``), and where scopes are.
"""

from __future__ import annotations

from toolchain.formats.javascript_tree import Dialect

_ALL = """
[(identifier) (shorthand_property_identifier) (shorthand_property_identifier_pattern)] @name
(this) @name
(binary_expression left: (this) @drop operator: "&&")
(binary_expression operator: "&&" right: (this) @drop)
(await_expression "await" @name)
(for_in_statement "await" @name)
(member_expression object: [(identifier) (this)] @owner property: (_) @member)
(subscript_expression object: (identifier) @indexed index: (string) @index)

(variable_declaration (variable_declarator name: (_) @var))
(lexical_declaration (variable_declarator name: (_) @let))
(function_declaration name: (identifier) @named)
(generator_function_declaration name: (identifier) @let)
(formal_parameters (_) @let)
(arrow_function parameter: (identifier) @let)
(catch_clause parameter: (_) @let)

(assignment_expression left: (_) @target)
(augmented_assignment_expression left: (_) @target)
(update_expression argument: (_) @target)
(for_in_statement) @for

[(statement_block) (switch_body) (for_statement) (for_in_statement) (catch_clause) (class)] @block
[(function_declaration body: (_) @body) (generator_function_declaration body: (_) @body)
 (function_expression body: (_) @body) (generator_function body: (_) @body)
 (arrow_function body: (statement_block) @body) (method_definition body: (_) @body)]
(function_expression name: (identifier) @let) @block
(generator_function name: (identifier) @let) @block
[(function_declaration) (generator_function_declaration) (function_expression)
 (generator_function)] @function
(arrow_function) @arrow
(method_definition) @method
(class_static_block) @static

(call_expression function: (import)) @load
"""
_JAVASCRIPT = """
(class_declaration name: (identifier) @let)
(class name: (identifier) @let)
(field_definition) @field
(using_declaration (variable_declarator name: (_) @let))
(using_declaration "await" @name)
"""
_JSX = """
(jsx_opening_element) @jsx
(jsx_self_closing_element) @jsx
(jsx_opening_element name: (identifier) @tag)
(jsx_self_closing_element name: (identifier) @tag)
(jsx_closing_element) @quiet
"""
_TYPESCRIPT = """
(class_declaration name: (type_identifier) @let)
(abstract_class_declaration name: (type_identifier) @let)
(class name: (type_identifier) @let)
(public_field_definition) @field
(required_parameter pattern: (this) @drop)
(assignment_expression "using") @using
(enum_declaration name: (identifier) @let)
(enum_declaration body: (enum_body) @enum @block)
(internal_module name: (_) @namespace body: (_) @open)
(module name: (_) @namespace body: (_) @open)

[(type_annotation) (type_arguments) (type_parameters) (interface_declaration)
 (type_alias_declaration) (implements_clause) (ambient_declaration) (function_signature)
 (method_signature) (abstract_method_signature) (asserts_annotation) (type_predicate_annotation)
 (index_signature) (opting_type_annotation) (omitting_type_annotation)
 (extends_type_clause)] @quiet
(as_expression . (_) (_) @quiet)
(satisfies_expression . (_) (_) @quiet)
"""

_ESCAPED = r"""
([(identifier) (property_identifier) (private_property_identifier)
  (shorthand_property_identifier) (shorthand_property_identifier_pattern)] @escaped
 (#match? @escaped "\\\\u"))
"""
_ESCAPED_TYPE = r'((type_identifier) @escaped (#match? @escaped "\\\\u"))'

# Names that are not written as they are: \u0061 is `a`
ESCAPED: dict[Dialect, str] = {
    "javascript": _ESCAPED,
    "typescript": _ESCAPED + _ESCAPED_TYPE,
    "tsx": _ESCAPED + _ESCAPED_TYPE,
}
QUERIES: dict[Dialect, str] = {
    "javascript": _ALL + _JAVASCRIPT + _JSX,
    "typescript": _ALL + _TYPESCRIPT,
    "tsx": _ALL + _TYPESCRIPT + _JSX,
}
