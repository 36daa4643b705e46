"""Finds which names a piece of syntax uses, declares and assigns, by the rules of scope.

A reference belongs to the innermost scope that declares its name, wherever in that scope the
declaration stands. What no scope of the piece declares is free: a name of the module, or global.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from toolchain.formats.javascript_tree import Node, string_value, text_of
from toolchain.program.module import WHOLE, Load

# Nodes in which no value is named
_QUIET = frozenset(
    """
    string number regex comment property_identifier private_property_identifier this super true
    false null undefined statement_identifier break_statement continue_statement debugger_statement
    empty_statement hash_bang_line html_comment meta_property import
    type_annotation type_arguments type_parameters interface_declaration type_alias_declaration
    implements_clause ambient_declaration function_signature method_signature
    abstract_method_signature accessibility_modifier override_modifier predefined_type
    asserts_annotation type_predicate_annotation index_signature jsx_text html_character_reference
    opting_type_annotation omitting_type_annotation extends_type_clause
    """.split()
)
_PATTERNS = frozenset({"object_pattern", "array_pattern", "assignment_pattern", "rest_pattern"})


class Scope:
    """Names that a piece of syntax declares, and references that are not resolved yet."""

    __slots__ = ("declared", "function", "refs", "writes")

    def __init__(self, function: Scope | None = None) -> None:
        self.declared: set[str] = set()
        self.refs: dict[str, set[str]] = {}
        self.writes: set[str] = set()
        self.function = function or self  # where `var` declares

    def use(self, name: str, member: str = WHOLE) -> None:
        """Note that a name is read, or one member of it."""
        members = self.refs.get(name)
        if members is None:
            self.refs[name] = {member}
        else:
            members.add(member)

    def close_into(self, outer: Scope) -> None:
        """Hand the references that are not of this scope to the one around it."""
        for name, members in self.refs.items():
            if name not in self.declared:
                seen = outer.refs.get(name)
                if seen is None:
                    outer.refs[name] = members
                else:
                    seen |= members
        if self.writes:
            outer.writes |= self.writes - self.declared


class Names:
    """Walks syntax; ``loads`` and ``set_members`` collect what is met on the way."""

    def __init__(self) -> None:
        self.loads: list[Load] = []
        self.set_members: set[str] = set()

    def walk(self, node: Node, scope: Scope) -> None:
        """Add what ``node`` uses and declares to ``scope``."""
        kind = node.type
        if kind in _QUIET:
            return
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, node, scope)
            return
        for child in node.named_children:
            self.walk(child, scope)

    def each(self, nodes: Iterable[Node], scope: Scope) -> None:
        """Walk several nodes."""
        for node in nodes:
            self.walk(node, scope)

    # references

    def _identifier(self, node: Node, scope: Scope) -> None:
        scope.use(node.text.decode())  # type: ignore[union-attr]

    def _member(self, node: Node, scope: Scope) -> None:
        children = node.named_children
        owner = children[0]
        if owner.type == "identifier" and len(children) > 1:
            scope.use(text_of(owner), text_of(children[-1]))
        else:
            self.walk(owner, scope)

    def _subscript(self, node: Node, scope: Scope) -> None:
        owner, index = node.child_by_field_name("object"), node.child_by_field_name("index")
        if owner is None or index is None:
            self.each(node.named_children, scope)
        elif owner.type == "identifier" and index.type == "string":
            scope.use(text_of(owner), string_value(index))
        else:
            self.walk(owner, scope)
            self.walk(index, scope)

    def _jsx_name(self, node: Node, scope: Scope) -> None:
        for child in node.children_by_field_name("name"):
            if child.type == "identifier":
                name = text_of(child)
                if not name[:1].islower():  # <div> is a tag, <Panel> a value
                    scope.use(name)
            elif child.type != "property_identifier":
                self.walk(child, scope)
        for child in node.named_children:
            if child.type in {"jsx_attribute", "jsx_expression"}:
                self.walk(child, scope)

    def _jsx_attribute(self, node: Node, scope: Scope) -> None:
        self.each((c for c in node.named_children if c.type != "property_identifier"), scope)

    def _call(self, node: Node, scope: Scope) -> None:
        callee = node.child_by_field_name("function")
        if callee is not None and (
            callee.type == "import"
            or (callee.type == "identifier" and text_of(callee) == "require")
        ):
            self._load(node, callee.type == "import")
        self.each(node.named_children, scope)

    def _load(self, call: Node, is_import: bool) -> None:  # noqa: FBT001 - one caller, above
        arguments = call.child_by_field_name("arguments")
        named = [c for c in arguments.named_children if c.type != "comment"] if arguments else []
        if not named or named[0].type != "string":
            return  # computed: who asks for the module's edges learns that its targets are unknown
        held = call
        if is_import and held.parent is not None and held.parent.type == "await_expression":
            held = held.parent
        how = "import()" if is_import else "require"
        members, via = members_of(held, promised=is_import and held is call)
        self.loads.append(Load(string_value(named[0]), call.start_byte, how, members, via))

    # assignments

    def _assignment(self, node: Node, scope: Scope) -> None:
        left, right = node.child_by_field_name("left"), node.child_by_field_name("right")
        if left is not None:
            self.target(left, scope)
        if right is not None:
            self.walk(right, scope)

    def _update(self, node: Node, scope: Scope) -> None:
        argument = node.child_by_field_name("argument")
        if argument is not None:
            self.target(argument, scope)

    def target(self, node: Node, scope: Scope) -> None:
        """Walk what is assigned to."""
        kind = node.type
        if kind in {"identifier", "shorthand_property_identifier_pattern"}:
            name = text_of(node)
            scope.use(name)
            scope.writes.add(name)
        elif kind == "member_expression":
            self.set_members.add(text_of(node.child_by_field_name("property")))
            self.walk(node, scope)
        elif kind == "subscript_expression":
            index = node.child_by_field_name("index")
            if index is not None and index.type == "string":
                self.set_members.add(string_value(index))
            self.walk(node, scope)
        elif kind == "parenthesized_expression" or kind in _PATTERNS or kind == "pair_pattern":
            for part, is_target in _parts(node):
                if is_target:
                    self.target(part, scope)
                else:
                    self.walk(part, scope)
        else:
            self.walk(node, scope)

    # declarations

    def declare(self, pattern: Node, scope: Scope, inner: Scope) -> list[str]:
        """Declare the names of ``pattern`` in ``scope``; its expressions are walked in ``inner``."""
        kind = pattern.type
        if kind in {"identifier", "shorthand_property_identifier_pattern"}:
            name = text_of(pattern)
            scope.declared.add(name)
            return [name]
        names: list[str] = []
        for part, is_target in _parts(pattern):
            if is_target:
                names += self.declare(part, scope, inner)
            else:
                self.walk(part, inner)
        return names

    def declarator(self, node: Node, scope: Scope, inner: Scope) -> list[str]:
        """Declare one ``a = 1`` of a declaration."""
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        names = self.declare(name, scope, inner) if name is not None else []
        if value is not None:
            self.walk(value, inner)
        return names

    def _lexical(self, node: Node, scope: Scope) -> None:
        for child in node.named_children:
            if child.type == "variable_declarator":
                self.declarator(child, scope, scope)

    def _var(self, node: Node, scope: Scope) -> None:
        for child in node.named_children:
            if child.type == "variable_declarator":
                self.declarator(child, scope.function, scope)

    def _function_declaration(self, node: Node, scope: Scope) -> None:
        name = node.child_by_field_name("name")
        if name is not None:
            scope.declared.add(text_of(name))
        self.function(node, scope, names_itself=False)

    def _function_expression(self, node: Node, scope: Scope) -> None:
        self.function(node, scope, names_itself=True)

    def function(self, node: Node, scope: Scope, *, names_itself: bool) -> None:
        """Walk parameters and body of any sort of function."""
        inner = Scope()
        name = node.child_by_field_name("name")
        if names_itself and name is not None:
            if name.type == "computed_property_name":
                self.walk(name, scope)
            elif name.type == "identifier":
                inner.declared.add(text_of(name))
        if node.type != "arrow_function":
            inner.declared.add("arguments")
        self.each(node.children_by_field_name("decorator"), scope)
        parameters = node.child_by_field_name("parameters")
        single = node.child_by_field_name("parameter")
        for one in parameters.named_children if parameters is not None else [single]:
            if one is not None and one.type not in _QUIET:
                self.declare(one, inner, inner)
        body = node.child_by_field_name("body")
        if body is not None and body.type == "statement_block":
            self.each(body.named_children, inner)
        elif body is not None:
            self.walk(body, inner)
        inner.close_into(scope)

    def _class_declaration(self, node: Node, scope: Scope) -> None:
        name = node.child_by_field_name("name")
        if name is not None:
            scope.declared.add(text_of(name))
        self.class_parts(node, scope)

    def _class_expression(self, node: Node, scope: Scope) -> None:
        inner = Scope(scope.function)
        name = node.child_by_field_name("name")
        if name is not None:
            inner.declared.add(text_of(name))
        self.class_parts(node, inner)
        inner.close_into(scope)

    def class_parts(self, node: Node, scope: Scope) -> None:
        """Walk heritage, decorators and body of a class."""
        name = node.child_by_field_name("name")
        for child in node.named_children:
            if child != name:
                self.walk(child, scope)

    def _field(self, node: Node, scope: Scope) -> None:
        inner = Scope()  # `this` and `arguments` are its own; `var` cannot stand here
        for child in node.named_children:
            self.walk(child, inner)
        inner.close_into(scope)

    def _static_block(self, node: Node, scope: Scope) -> None:
        inner = Scope()
        self.each(node.named_children, inner)
        inner.close_into(scope)

    def _block(self, node: Node, scope: Scope) -> None:
        inner = Scope(scope.function)
        self.each(node.named_children, inner)
        inner.close_into(scope)

    def _catch(self, node: Node, scope: Scope) -> None:
        inner = Scope(scope.function)
        parameter, body = node.child_by_field_name("parameter"), node.child_by_field_name("body")
        if parameter is not None:
            self.declare(parameter, inner, inner)
        if body is not None:
            self.each(body.named_children, inner)
        inner.close_into(scope)

    def _for_in(self, node: Node, scope: Scope) -> None:
        inner = Scope(scope.function)
        kind, left = node.child_by_field_name("kind"), node.child_by_field_name("left")
        if left is not None and kind is not None:
            self.declare(left, inner.function if kind.type == "var" else inner, inner)
        elif left is not None:
            self.target(left, inner)
        for field in ("value", "right", "body"):
            child = node.child_by_field_name(field)
            if child is not None:
                self.walk(child, inner)
        inner.close_into(scope)

    def _enum(self, node: Node, scope: Scope) -> None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None:
            scope.declared.add(text_of(name))
        inner = Scope(scope.function)
        for member in body.named_children if body is not None else []:
            if member.type == "enum_assignment":
                key, value = member.child_by_field_name("name"), member.child_by_field_name("value")
                inner.declared |= {text_of(key)} if key is not None else set()
                if value is not None:
                    self.walk(value, inner)
            else:
                inner.declared.add(text_of(member))
        inner.close_into(scope)

    def _namespace(self, node: Node, scope: Scope) -> None:
        name, body = node.child_by_field_name("name"), node.child_by_field_name("body")
        if name is not None:
            scope.declared.add(text_of(name).partition(".")[0])
        inner = Scope()
        if body is not None:
            self.each(body.named_children, inner)
        inner.close_into(scope)

    def _cast(self, node: Node, scope: Scope) -> None:
        first = node.named_children[0] if node.named_child_count else None
        if first is not None:
            self.walk(first, scope)

    def _angle_cast(self, node: Node, scope: Scope) -> None:
        if node.named_child_count:
            self.walk(node.named_children[-1], scope)

    def _instantiation(self, node: Node, scope: Scope) -> None:
        self._cast(node, scope)

    def _labeled(self, node: Node, scope: Scope) -> None:
        body = node.child_by_field_name("body")
        if body is not None:
            self.walk(body, scope)


Handler = Callable[[Names, Node, Scope], None]
_HANDLERS: dict[str, Handler] = {
    "identifier": Names._identifier,
    "shorthand_property_identifier": Names._identifier,
    "member_expression": Names._member,
    "subscript_expression": Names._subscript,
    "call_expression": Names._call,
    "assignment_expression": Names._assignment,
    "augmented_assignment_expression": Names._assignment,
    "update_expression": Names._update,
    "lexical_declaration": Names._lexical,
    "variable_declaration": Names._var,
    "function_declaration": Names._function_declaration,
    "generator_function_declaration": Names._function_declaration,
    "function_expression": Names._function_expression,
    "generator_function": Names._function_expression,
    "arrow_function": Names._function_expression,
    "method_definition": Names._function_expression,
    "class_declaration": Names._class_declaration,
    "abstract_class_declaration": Names._class_declaration,
    "class": Names._class_expression,
    "field_definition": Names._field,
    "public_field_definition": Names._field,
    "class_static_block": Names._static_block,
    "statement_block": Names._block,
    "switch_body": Names._block,
    "for_statement": Names._block,
    "for_in_statement": Names._for_in,
    "catch_clause": Names._catch,
    "enum_declaration": Names._enum,
    "internal_module": Names._namespace,
    "module": Names._namespace,
    "as_expression": Names._cast,
    "satisfies_expression": Names._cast,
    "type_assertion": Names._angle_cast,
    "instantiation_expression": Names._instantiation,
    "labeled_statement": Names._labeled,
    "jsx_opening_element": Names._jsx_name,
    "jsx_self_closing_element": Names._jsx_name,
    "jsx_attribute": Names._jsx_attribute,
    "jsx_closing_element": lambda _names, _node, _scope: None,
}


def _parts(pattern: Node) -> Iterator[tuple[Node, bool]]:
    """Yield the parts of a pattern; whether each is a pattern itself, or an expression."""
    kind = pattern.type
    if kind == "pair_pattern":
        key, value = pattern.child_by_field_name("key"), pattern.child_by_field_name("value")
        if key is not None and key.type == "computed_property_name":
            yield key, False
        if value is not None:
            yield value, True
    elif kind in {"assignment_pattern", "object_assignment_pattern"}:
        left, right = pattern.child_by_field_name("left"), pattern.child_by_field_name("right")
        if left is not None:
            yield left, True
        if right is not None:
            yield right, False
    elif kind in {"required_parameter", "optional_parameter"}:
        for field, is_pattern in (("decorator", False), ("pattern", True), ("value", False)):
            for child in pattern.children_by_field_name(field):
                yield child, is_pattern
    else:
        for child in pattern.named_children:
            if child.type not in _QUIET:
                yield child, True


def members_of(held: Node, *, promised: bool) -> tuple[frozenset[str] | None, str]:
    """Return which members of a loaded module are used, and the name that holds it, if one does.

    ``held`` is the expression that gives the module, or, ``promised``, the promise of it. The
    members are None where any may be used.
    """
    outer = held.parent
    while outer is not None and outer.type == "parenthesized_expression":
        held, outer = outer, outer.parent
    if outer is None:
        return None, ""
    if promised:
        return _members_then(held, outer), ""
    if outer.type == "expression_statement":
        return frozenset(), ""
    if outer.type == "member_expression" and outer.child_by_field_name("object") == held:
        return frozenset({text_of(outer.child_by_field_name("property"))}), ""
    if outer.type == "variable_declarator":
        name = outer.child_by_field_name("name")
        if name is not None and name.type == "object_pattern":
            return _keys(name), ""
        if name is not None and name.type == "identifier":
            block = _around(outer)
            if block is None:
                return None, text_of(name)
            return _members_in(block, text_of(name), name), ""
    return None, ""


def _members_then(held: Node, outer: Node) -> frozenset[str] | None:
    """Return the members used by ``import(x).then(m => ...)``; of ``void import(x)`` none."""
    if outer.type == "expression_statement":
        return frozenset()
    if outer.type == "unary_expression":
        return frozenset() if text_of(outer.child_by_field_name("operator")) == "void" else None
    if outer.type != "member_expression" or outer.child_by_field_name("object") != held:
        return None
    call = outer.parent
    named = text_of(outer.child_by_field_name("property"))
    if call is None or call.type != "call_expression" or named != "then":
        return None
    arguments = call.child_by_field_name("arguments")
    first = arguments.named_children[0] if arguments and arguments.named_child_count else None
    if first is None or first.type not in {"arrow_function", "function_expression"}:
        return None
    parameters, body = first.child_by_field_name("parameters"), first.child_by_field_name("body")
    one = first.child_by_field_name("parameter")
    if parameters is not None:
        one = parameters.named_children[0] if parameters.named_child_count else None
        if one is None:
            return frozenset()
    if one is not None and one.type in {"required_parameter", "optional_parameter"}:
        one = one.child_by_field_name("pattern")
    if one is None or body is None:
        return None
    if one.type == "object_pattern":
        return _keys(one)
    return _members_in(body, text_of(one), one) if one.type == "identifier" else None


def _keys(pattern: Node) -> frozenset[str] | None:
    keys = set()
    for part in pattern.named_children:
        if part.type == "shorthand_property_identifier_pattern":
            keys.add(text_of(part))
        elif part.type in {"pair_pattern", "object_assignment_pattern"}:
            key = part.child_by_field_name("key") or part.child_by_field_name("left")
            if key is None or key.type == "computed_property_name":
                return None
            keys.add(string_value(key) if key.type == "string" else text_of(key))
        elif part.type != "comment":
            return None  # ...rest
    return frozenset(keys)


def _around(node: Node) -> Node | None:
    """Return the block in a function that ``node`` stands in; None at the top of a module."""
    outer = node.parent
    block = None
    while outer is not None:
        if outer.type == "statement_block" and block is None:
            block = outer
        if outer.type in {"arrow_function", "function_expression", "function_declaration"} or (
            outer.type in {"method_definition", "generator_function", "class_static_block"}
        ):
            return block
        outer = outer.parent
    return None


def _members_in(block: Node, name: str, declared: Node) -> frozenset[str] | None:
    """Return the members of ``name`` that ``block`` uses; None if it is used as a whole."""
    members: set[str] = set()
    todo = [block]
    while todo:
        node = todo.pop()
        if node.type in {"identifier", "shorthand_property_identifier"} and node != declared:
            if text_of(node) != name:
                continue
            outer = node.parent
            if (
                outer is None
                or outer.type != "member_expression"
                or outer.child_by_field_name("object") != node
            ):
                return None
            members.add(text_of(outer.child_by_field_name("property")))
        else:
            todo += node.named_children
    return frozenset(members)
