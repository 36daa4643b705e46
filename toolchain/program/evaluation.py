"""Follows what evaluating an item does, without doing it: calls are entered, whatever they call.

Both branches of a condition are followed, loops twice, and a name may have any value that was ever
given to it. So an effect is found wherever it may happen, and "nothing happens" is a claim about
every run. What is assumed, as all bundlers do: reading a member of something unknown runs no
code, nothing is thrown by reading or by arithmetic, and code ends. A statement that is nothing but
a read, though, was written for what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from toolchain.formats.javascript_tree import Node, string_value, text_of
from toolchain.program import builtins
from toolchain.program.effects import Effect
from toolchain.program.program import Found, ModuleId
from toolchain.program.values import (
    PRIMITIVE,
    UNKNOWN,
    Alternative,
    Builtin,
    Namespace,
    Primitive,
    Scope,
    Text,
    Thing,
    Unknown,
    Value,
    joined,
)

_MOST_STEPS = 4_000  # ours: nodes followed for one item; esbuild's decorators take about 1,500
_DEEPEST = 12  # ours: calls inside of calls

_FUNCTIONS = frozenset(
    {"arrow_function", "function_expression", "generator_function", "function_declaration"}
    | {"generator_function_declaration", "method_definition"}
)
_CLASSES = frozenset({"class", "class_declaration", "abstract_class_declaration"})


class World(Protocol):
    """What an evaluation asks about the rest of the program."""

    def value(self, module: ModuleId, name: str) -> Value | None:
        """Return what a name at the top of a module may be; None if it is global."""
        ...

    def exported(self, module: ModuleId, name: str) -> Value:
        """Return what an export of a module may be."""
        ...

    def meaning(self, module: ModuleId, name: str) -> Found | None:
        """Return which declaration a name at the top of a module is; None if it is not ours."""
        ...

    def is_set(self, member: str) -> bool:
        """Whether the program assigns to a member of this name, anywhere."""
        ...


class Endless(Exception):  # noqa: N818 - never seen outside
    """There are too many steps to follow."""


@dataclass(eq=False)
class Evaluation:
    """One item, or the value of one name, being followed."""

    world: World
    module: ModuleId
    owner: Found | None = None  # what new things belong to
    changes: set[Found] = field(default_factory=set)
    proved: str = ""
    unknown: str = ""
    steps: int = 0
    calls: list[Node] = field(default_factory=list)
    returned: list[Value] = field(default_factory=list)

    def effect(self) -> Effect:
        """Return what was found so far."""
        return Effect(frozenset(self.changes), self.proved, self.unknown)

    # what is noticed

    def doubt(self, why: str, node: Node | None = None) -> None:
        """Note that nothing is known about what happens."""
        if not self.unknown:
            where = f" at line {node.start_point.row + 1}" if node is not None else ""
            self.unknown = f"{why}{where}"

    def act(self, what: str, node: Node) -> None:
        """Note that something certainly happens."""
        if not self.proved:
            self.proved = f"{what} at line {node.start_point.row + 1}"

    def change(self, value: Value, node: Node) -> None:
        """Note that what ``value`` may be is changed."""
        for one in value:
            if isinstance(one, Thing | Scope):
                self.touch(one)
            elif isinstance(one, Builtin):
                self.act(f"changes {one.path}", node)
            elif isinstance(one, Unknown | Namespace):
                self.doubt("changes something unknown", node)

    def touch(self, one: Thing | Scope) -> None:
        """Note that a thing, or a variable of a scope, is changed; new ones nobody knows yet."""
        if one.maker is self:
            return
        if one.owner is not None:
            self.changes.add(one.owner)
        else:
            self.doubt("changes something of somebody else")

    def thing(self, kind: str, **about: object) -> Thing:
        """Return a new thing of this evaluation."""
        return Thing(kind, self, self.owner, **about)  # type: ignore[arg-type]

    def scope(self, outer: Scope | None) -> Scope:
        """Return a new scope of this evaluation."""
        return Scope(outer, self, self.owner)

    # expressions

    def value(self, node: Node | None, scope: Scope) -> Value:
        """Follow an expression and return what it may give."""
        if node is None:
            return PRIMITIVE
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise Endless
        handler = _EXPRESSIONS.get(node.type)
        if handler is not None:
            return handler(self, node, scope)
        if node.type in _FUNCTIONS:
            return (self.function(node, scope),)
        if node.type in _CLASSES:
            return (self.class_of(node, scope),)
        if node.type.startswith("jsx_"):
            return self._jsx(node, scope)
        self.doubt(f"{node.type} is not followed", node)
        return UNKNOWN

    def _name(self, node: Node, scope: Scope) -> Value:
        return self.named(text_of(node), scope, node)

    def named(self, name: str, scope: Scope, node: Node) -> Value:
        """Return what a name may be where ``scope`` is."""
        around: Scope | None = scope
        while around is not None:
            if name in around.names:
                return around.names[name]
            around = around.outer
        found = self.world.value(self._home(scope), name)
        if found is not None:
            return found
        if name in builtins.GLOBALS:
            return PRIMITIVE if name == "undefined" else (Builtin(name),)
        self.doubt(f"reads {name}, which nobody declares", node)
        return UNKNOWN

    def _home(self, scope: Scope) -> ModuleId:
        around: Scope | None = scope
        while around is not None:
            if isinstance(around, ModuleScope):
                return around.module
            around = around.outer
        return self.module

    def _member(self, node: Node, scope: Scope) -> Value:
        owner = self.value(node.child_by_field_name("object"), scope)
        return self.get(owner, text_of(node.child_by_field_name("property")), node)

    def _subscript(self, node: Node, scope: Scope) -> Value:
        owner = self.value(node.child_by_field_name("object"), scope)
        return self.get(owner, self._key(node.child_by_field_name("index"), scope), node)

    def _key(self, node: Node | None, scope: Scope) -> str | None:
        """Return a property's name if it is known."""
        value = self.value(node, scope)
        return value[0].value if len(value) == 1 and isinstance(value[0], Text) else None

    def get(self, owner: Value, key: str | None, node: Node) -> Value:
        """Read a member; None: some member."""
        return joined(*(self._get_one(one, key, node, owner) for one in owner))

    def _get_one(self, one: Alternative, key: str | None, node: Node, this: Value) -> Value:
        if isinstance(one, Builtin):
            return (Builtin(f"{one.path}.{key}"),) if key is not None else UNKNOWN
        if isinstance(one, Namespace):
            return self.world.exported(one.module, key) if key is not None else UNKNOWN
        if isinstance(one, Primitive | Text):
            return (Builtin(f"primitive.{key}"),) if key is not None else PRIMITIVE
        if not isinstance(one, Thing):
            return UNKNOWN
        if key is None:
            for getter in one.getters.values():
                self.call(getter, [], (one,), node)
            return joined(one.others, *one.members.values(), PRIMITIVE)
        return self._get_of_thing(one, key, node, this)

    def _get_of_thing(self, one: Thing, key: str, node: Node, this: Value) -> Value:
        found: list[Value] = []
        if key in one.getters:
            found.append(self.call(one.getters[key], [], this, node))
        if key in one.members:
            found.append(one.members[key])
        elif key == "prototype" and one.kind in {"class", "function"}:
            found.append(self._prototype(one))
        elif not found:
            found.append(self._inherited(one, key, node, this))
        if one.others and one.kind in {"object", "instance"}:
            found.append(one.others)
        is_built_in = one.kind in {"array", "collection"}
        if not is_built_in and one.maker is not self and self.world.is_set(key):
            found.append(UNKNOWN)
        return joined(*found)

    def _prototype(self, one: Thing) -> Value:
        value: Value = (Thing("prototype", one.maker, one.owner, base=(one,), is_open=True),)
        one.members["prototype"] = value
        return value

    def _inherited(self, one: Thing, key: str, node: Node, this: Value) -> Value:
        if one.kind in {"instance", "class"} and one.base:
            found = []
            for base in one.base:
                if not isinstance(base, Thing):
                    return UNKNOWN if one.kind == "class" else (Builtin(f"method.{key}"),)
                where = base if one.kind == "class" else self._methods(base)
                found.append(self._get_of_thing(where, key, node, this))
            return joined(*found)
        if one.is_open:
            return UNKNOWN
        return (Builtin(f"method.{key}"),)

    def _methods(self, one: Thing) -> Thing:
        prototype = one.members.get("prototype") or self._prototype(one)
        first = prototype[0]
        return first if isinstance(first, Thing) else one

    def _text(self, node: Node, _scope: Scope) -> Value:
        return (Text(string_value(node)),)

    def _template(self, node: Node, scope: Scope) -> Value:
        for part in node.named_children:
            if part.type == "template_substitution":
                for inner in part.named_children:
                    self.value(inner, scope)
        return PRIMITIVE

    def _primitive(self, _node: Node, _scope: Scope) -> Value:
        return PRIMITIVE

    def _regex(self, _node: Node, _scope: Scope) -> Value:
        return (self.thing("collection"),)

    def _this(self, _node: Node, scope: Scope) -> Value:
        around: Scope | None = scope
        while around is not None:
            if "this" in around.names:
                return around.names["this"]
            around = around.outer
        return PRIMITIVE

    def _inner(self, node: Node, scope: Scope) -> Value:
        parts = [c for c in node.named_children if c.type != "comment"]
        return self.value(parts[0] if parts else None, scope)

    def _cast(self, node: Node, scope: Scope) -> Value:
        return self.value(node.named_children[0], scope)

    def _last(self, node: Node, scope: Scope) -> Value:
        value = PRIMITIVE
        for part in node.named_children:
            if part.type != "comment":
                value = self.value(part, scope)
        return value

    def _binary(self, node: Node, scope: Scope) -> Value:
        operator = text_of(node.child_by_field_name("operator"))
        left = self.value(node.child_by_field_name("left"), scope)
        right = self.value(node.child_by_field_name("right"), scope)
        return joined(left, right) if operator in {"||", "&&", "??"} else PRIMITIVE

    def _ternary(self, node: Node, scope: Scope) -> Value:
        self.value(node.child_by_field_name("condition"), scope)
        return joined(
            self.value(node.child_by_field_name("consequence"), scope),
            self.value(node.child_by_field_name("alternative"), scope),
        )

    def _unary(self, node: Node, scope: Scope) -> Value:
        argument = node.child_by_field_name("argument")
        operator = text_of(node.child_by_field_name("operator"))
        if argument is None:
            return PRIMITIVE
        if operator == "typeof" and argument.type == "identifier":
            return PRIMITIVE  # may be asked of what nobody declares
        if operator == "delete" and argument.type in {"member_expression", "subscript_expression"}:
            self.change(self.value(argument.child_by_field_name("object"), scope), node)
            return PRIMITIVE
        self.value(argument, scope)
        return PRIMITIVE

    def _await(self, node: Node, scope: Scope) -> Value:
        self._inner(node, scope)
        if not self.calls:
            self.doubt("waits", node)
        return UNKNOWN

    def _yield(self, node: Node, scope: Scope) -> Value:
        for part in node.named_children:
            self.value(part, scope)
        return UNKNOWN

    def _array(self, node: Node, scope: Scope) -> Value:
        array = self.thing("array")
        for part in node.named_children:
            if part.type == "spread_element":
                array.others = joined(array.others, self.elements(self._inner(part, scope)))
            elif part.type != "comment":
                array.others = joined(array.others, self.value(part, scope))
        return (array,)

    def elements(self, value: Value) -> Value:
        """Return what going through ``value`` may give."""
        found: list[Value] = []
        for one in value:
            known = isinstance(one, Thing) and one.kind in {"array", "collection"}
            found.append(one.others if known and isinstance(one, Thing) else UNKNOWN)
        return joined(*found)

    def _object(self, node: Node, scope: Scope) -> Value:
        made = self.thing("object")
        for part in node.named_children:
            self._object_part(part, made, scope)
        return (made,)

    def _object_part(self, part: Node, made: Thing, scope: Scope) -> None:
        if part.type == "pair":
            key = self.property_name(part.child_by_field_name("key"), scope)
            self.store(made, key, self.value(part.child_by_field_name("value"), scope))
        elif part.type == "shorthand_property_identifier":
            self.store(made, text_of(part), self._name(part, scope))
        elif part.type == "method_definition":
            self.method(part, made, scope)
        elif part.type == "spread_element":
            for one in self._inner(part, scope):
                if isinstance(one, Thing):
                    for key, value in list(one.members.items()):
                        self.store(made, key, value)
                    made.others = joined(made.others, one.others)
                else:
                    made.is_open = True

    def property_name(self, node: Node | None, scope: Scope) -> str | None:
        """Return the name that a key of an object or class has; None if it is computed."""
        if node is None:
            return None
        if node.type == "computed_property_name":
            return self._key(node.named_children[0], scope)
        return string_value(node) if node.type == "string" else text_of(node)

    def store(self, made: Thing, key: str | None, value: Value) -> None:
        """Put ``value`` into a thing."""
        if key is None:
            made.others = joined(made.others, value)
        else:
            made.members[key] = joined(made.members.get(key, ()), value)

    def method(self, node: Node, made: Thing, scope: Scope) -> None:
        """Add a method, getter or setter to an object, a class or a prototype."""
        key = self.property_name(node.child_by_field_name("name"), scope)
        function: Value = (self.function(node, scope),)
        sort = next((c.type for c in node.children if c.type in {"get", "set"}), "")
        if sort and key is not None:
            (made.getters if sort == "get" else made.setters)[key] = function
        elif sort == "get":
            self.doubt("has a getter whose name is computed", node)
        else:
            self.store(made, key, function)

    def function(self, node: Node, scope: Scope) -> Thing:
        """Return a function, not called."""
        this = self._this(node, scope) if node.type == "arrow_function" else ()
        return self.thing("function", node=node, module=self._home(scope), scope=scope, this=this)

    def class_of(self, node: Node, scope: Scope) -> Thing:
        """Follow what a class does when it is declared, and return it."""
        made = self.thing("class", node=node, module=self._home(scope))
        inner = self.scope(scope)
        name = node.child_by_field_name("name")
        if name is not None:
            inner.names[text_of(name)] = (made,)
        inner.names["this"] = (made,)
        made.scope = inner
        heritage = next((c for c in node.named_children if c.type == "class_heritage"), None)
        if heritage is not None:
            made.base = self.value(_extended(heritage), scope)
        for decorator in _decorators(node):
            self.call(self._inner(decorator, scope), [(made,), UNKNOWN], (), decorator)
        body = node.child_by_field_name("body")
        for part in body.named_children if body is not None else []:
            self._class_part(part, made, inner)
        return made

    def _class_part(self, part: Node, made: Thing, scope: Scope) -> None:
        is_static = any(c.type == "static" for c in part.children)
        for decorator in _decorators(part):
            self.call(self._inner(decorator, scope), [UNKNOWN, UNKNOWN], (), decorator)
        if part.type == "method_definition":
            self.method(part, made if is_static else self._methods(made), scope)
        elif part.type in {"field_definition", "public_field_definition"}:
            name = part.child_by_field_name("property") or part.child_by_field_name("name")
            key = self.property_name(name, scope)
            if is_static:
                self.store(made, key, self.value(part.child_by_field_name("value"), scope))
        elif part.type == "class_static_block":
            body = part.child_by_field_name("body")
            self.statements(body.named_children if body is not None else [], self.scope(scope))

    def _jsx(self, node: Node, scope: Scope) -> Value:
        for part in node.named_children:
            if part.type == "jsx_expression":
                self._last(part, scope)
            elif part.type.startswith("jsx_") and part.type != "jsx_text":
                self._jsx(part, scope)
        return UNKNOWN

    # assignments

    def _assignment(self, node: Node, scope: Scope) -> Value:
        value = self.value(node.child_by_field_name("right"), scope)
        left = node.child_by_field_name("left")
        if left is not None:
            self.assign(left, value, scope)
        return value

    def _augmented(self, node: Node, scope: Scope) -> Value:
        left = node.child_by_field_name("left")
        before = self.value(left, scope)
        value = self.value(node.child_by_field_name("right"), scope)
        operator = text_of(node.child_by_field_name("operator"))
        after = joined(before, value) if operator in {"||=", "&&=", "??="} else PRIMITIVE
        if left is not None:
            self.assign(left, after, scope)
        return after

    def _update(self, node: Node, scope: Scope) -> Value:
        argument = node.child_by_field_name("argument")
        if argument is not None:
            self.assign(argument, PRIMITIVE, scope)
        return PRIMITIVE

    def assign(self, target: Node, value: Value, scope: Scope) -> None:
        """Give what ``target`` names a value."""
        kind = target.type
        if kind in {"identifier", "shorthand_property_identifier_pattern"}:
            self._assign_name(text_of(target), value, scope, target)
        elif kind in {"member_expression", "subscript_expression"}:
            owner = self.value(target.child_by_field_name("object"), scope)
            if kind == "member_expression":
                key: str | None = text_of(target.child_by_field_name("property"))
            else:
                key = self._key(target.child_by_field_name("index"), scope)
            self.put(owner, key, value, target)
        elif kind == "parenthesized_expression":
            self.assign(target.named_children[0], value, scope)
        else:
            self.bind(target, value, scope, declares=False)

    def put(self, owner: Value, key: str | None, value: Value, node: Node) -> None:
        """Set a member of what ``owner`` may be; a setter is called."""
        self.change(owner, node)
        for one in owner:
            if not isinstance(one, Thing):
                continue
            if key is not None and key in one.setters:
                self.call(one.setters[key], [value], (one,), node)
            else:
                self.store(one, key, value)

    def _assign_name(self, name: str, value: Value, scope: Scope, node: Node) -> None:
        around: Scope | None = scope
        while around is not None:
            if name in around.names:
                self.touch(around)
                around.names[name] = joined(around.names[name], value)
                return
            around = around.outer
        found = self.world.meaning(self._home(scope), name)
        if found is not None:
            self.changes.add(found)
        else:
            self.act(f"assigns the global {name}", node)

    def bind(self, pattern: Node, value: Value, scope: Scope, *, declares: bool) -> None:
        """Give the names of a pattern the values that they find in ``value``."""
        kind = pattern.type
        if kind in {"identifier", "shorthand_property_identifier_pattern"}:
            name = text_of(pattern)
            if declares:
                scope.names[name] = joined(scope.names.get(name, ()), value)
            else:
                self._assign_name(name, value, scope, pattern)
        elif kind in {"assignment_pattern", "object_assignment_pattern"}:
            default = self.value(pattern.child_by_field_name("right"), scope)
            left = pattern.child_by_field_name("left")
            if left is not None:
                self._bind_default(left, value, default, scope, declares=declares)
        elif kind == "object_pattern":
            for part in pattern.named_children:
                self._bind_part(part, value, scope, declares=declares)
        elif kind in {"array_pattern", "rest_pattern"}:
            for part in pattern.named_children:
                self.bind(part, self.elements(value), scope, declares=declares)
        elif kind in {"required_parameter", "optional_parameter"}:
            inner, default_node = (pattern.child_by_field_name(f) for f in ("pattern", "value"))
            if inner is not None:
                given = joined(value, self.value(default_node, scope)) if default_node else value
                self.bind(inner, given, scope, declares=declares)
        elif not declares:
            self.assign(pattern, value, scope)

    def _bind_default(
        self, left: Node, value: Value, default: Value, scope: Scope, *, declares: bool
    ) -> None:
        if left.type == "shorthand_property_identifier_pattern":
            value = self.get(value, text_of(left), left)
        self.bind(left, joined(value, default), scope, declares=declares)

    def _bind_part(self, part: Node, value: Value, scope: Scope, *, declares: bool) -> None:
        if part.type == "shorthand_property_identifier_pattern":
            self.bind(part, self.get(value, text_of(part), part), scope, declares=declares)
        elif part.type == "pair_pattern":
            key = self.property_name(part.child_by_field_name("key"), scope)
            inner = part.child_by_field_name("value")
            if inner is not None:
                self.bind(inner, self.get(value, key, part), scope, declares=declares)
        elif part.type != "comment":
            self.bind(
                part, UNKNOWN if part.type == "rest_pattern" else value, scope, declares=declares
            )

    # calls

    def _call(self, node: Node, scope: Scope) -> Value:
        callee = node.child_by_field_name("function")
        arguments = node.child_by_field_name("arguments")
        if callee is None or arguments is None:
            return UNKNOWN
        if callee.type == "import":
            self.doubt("loads a module", node)
            return UNKNOWN
        this: Value = ()
        if callee.type == "super":
            return self._super(arguments, scope, node)
        if callee.type in {"member_expression", "subscript_expression"}:
            this = self.value(callee.child_by_field_name("object"), scope)
            if callee.type == "member_expression":
                key: str | None = text_of(callee.child_by_field_name("property"))
            else:
                key = self._key(callee.child_by_field_name("index"), scope)
            function = self.get(this, key, callee)
        else:
            function = self.value(callee, scope)
        if arguments.type == "template_string":
            self._template(arguments, scope)
            return self.call(function, [UNKNOWN], this, node)
        given = self._arguments(arguments, scope)
        with self._believed(node):
            return self.call(function, given, this, node)

    @contextmanager
    def _believed(self, node: Node) -> Iterator[None]:
        """Forget what a call does if its author says that it does nothing."""
        before = (set(self.changes), self.proved, self.unknown)
        yield
        if _is_pure(node):
            self.changes, self.proved, self.unknown = before

    def _arguments(self, node: Node, scope: Scope) -> list[Value]:
        given: list[Value] = []
        for part in node.named_children:
            if part.type == "spread_element":
                given += [self.elements(self._inner(part, scope))] * 3
            elif part.type != "comment":
                given.append(self.value(part, scope))
        return given

    def call(self, function: Value, given: Sequence[Value], this: Value, node: Node) -> Value:
        """Call what ``function`` may be."""
        return joined(*(self._call_one(one, given, this, node) for one in function))

    def _call_one(self, one: Alternative, given: Sequence[Value], this: Value, node: Node) -> Value:
        if isinstance(one, Builtin):
            return self._call_builtin(one.path, given, this, node)
        if isinstance(one, Primitive | Text):
            return PRIMITIVE  # that throws; another alternative is meant
        if not isinstance(one, Thing) or one.kind != "function" or one.node is None:
            self.doubt(f"calls something unknown, {_short(node)},", node)
            return UNKNOWN
        if _is_without_effects(one.node):
            return UNKNOWN
        return self._enter(one, given, this or one.this)

    def _enter(self, function: Thing, given: Sequence[Value], this: Value) -> Value:
        """Follow the body of a function."""
        node = function.node
        if node is None or node in self.calls or len(self.calls) >= _DEEPEST:
            if node is not None and node not in self.calls:
                self.doubt("calls too deep to be followed", node)
            return UNKNOWN
        inner = self.scope(function.scope)
        inner.names["this"] = function.this if node.type == "arrow_function" else this or UNKNOWN
        inner.names["arguments"] = (self.thing("array", others=joined(*given)),)
        self.calls.append(node)
        self.returned.append(())
        try:
            self._parameters(node, given, inner)
            body = node.child_by_field_name("body")
            if body is not None and body.type == "statement_block":
                self.statements(body.named_children, inner)
            elif body is not None:
                self.returned[-1] = self.value(body, inner)
        finally:
            self.calls.pop()
            value = self.returned.pop()
        if any(c.type in {"async", "*"} for c in node.children):
            return UNKNOWN  # a promise or a generator
        return value or PRIMITIVE

    def _parameters(self, node: Node, given: Sequence[Value], scope: Scope) -> None:
        single = node.child_by_field_name("parameter")
        many = node.child_by_field_name("parameters")
        parameters = [single] if single is not None else many.named_children if many else []
        for number, parameter in enumerate(p for p in parameters if p.type != "comment"):
            if parameter.type == "rest_pattern":
                rest = self.thing("array", others=joined(*given[number:]))
                self.bind(parameter.named_children[0], (rest,), scope, declares=True)
            else:
                value = given[number] if number < len(given) else PRIMITIVE
                self.bind(parameter, value, scope, declares=True)

    def _call_builtin(self, path: str, given: Sequence[Value], this: Value, node: Node) -> Value:
        start, _, method = path.partition(".")
        if start in {"method", "primitive"}:
            return self._call_method(method, given, this, node)
        last = path.rpartition(".")[2]
        if builtins.without_global(path) in builtins.CHANGE_FIRST:
            self._change_first(given, node)
            return given[0] if given else PRIMITIVE
        if builtins.reads_only(path):
            for value in given:
                self._call_back(value, given, node)
            return (self.thing("collection", is_open=True, others=UNKNOWN),)
        if builtins.acts(path):
            self.act(f"calls {path}", node)
            return UNKNOWN
        if last in {"call", "apply", "bind"}:
            return self.call(
                (Builtin(path.rpartition(".")[0]),), given[1:], given[0] if given else (), node
            )
        self.doubt(f"calls {path}, which is not known,", node)
        return UNKNOWN

    def _change_first(self, given: Sequence[Value], node: Node) -> None:
        if not given:
            return
        self.change(given[0], node)
        for one in given[0]:
            if isinstance(one, Thing):
                one.is_open = True
                for value in given[1:]:
                    for source in value:
                        if isinstance(source, Thing):
                            one.others = joined(one.others, source.others, *source.members.values())

    def _call_back(self, value: Value, given: Sequence[Value], node: Node) -> None:
        """Call functions that are given to something which may call them."""
        for one in value:
            if isinstance(one, Thing) and one.kind == "function":
                others = joined(*(self.elements(v) for v in given if v is not value))
                self._enter(one, [others, UNKNOWN, UNKNOWN], ())
            elif isinstance(one, Thing) and one.kind == "object":
                for key in list(one.getters):
                    self.call(one.getters[key], [], (one,), node)

    def _call_method(self, name: str, given: Sequence[Value], this: Value, node: Node) -> Value:
        """Call a method of an array, a collection, a primitive or a function."""
        if name in {"call", "apply", "bind"}:
            rest = list(given[1:])
            if name == "apply":
                rest = [self.elements(given[1])] * 3 if len(given) > 1 else []
            functions = tuple(t for t in this if not isinstance(t, Primitive | Text))
            if name == "bind":
                return functions
            return self.call(functions, rest, given[0] if given else (), node)
        known = builtins.CHANGE_THIS | builtins.CALL_BACK | builtins.READ_THIS
        if name not in known:
            self.doubt(f"calls {_short(node)}, which is not known,", node)
            return UNKNOWN
        if name in builtins.CHANGE_THIS:
            self.change(this, node)
            for one in this:
                if isinstance(one, Thing):
                    one.others = joined(one.others, *given)
        if name in builtins.CALL_BACK or name in {"then", "catch", "finally"}:
            for value in given:
                for one in value:
                    if isinstance(one, Thing) and one.kind == "function":
                        self._enter(one, [self.elements(this), UNKNOWN, UNKNOWN], ())
                    elif isinstance(one, Unknown):
                        self.doubt("calls back something unknown", node)
        made = self.thing("collection", others=joined(self.elements(this), UNKNOWN), is_open=True)
        return joined((made,), self.elements(this), PRIMITIVE)

    def _new(self, node: Node, scope: Scope) -> Value:
        made = self.value(node.child_by_field_name("constructor"), scope)
        arguments = node.child_by_field_name("arguments")
        given = self._arguments(arguments, scope) if arguments is not None else []
        with self._believed(node):
            return joined(*(self._new_one(one, given, node) for one in made))

    def _new_one(self, one: Alternative, given: Sequence[Value], node: Node) -> Value:
        if isinstance(one, Builtin):
            path = builtins.without_global(one.path)
            if path in builtins.STARTS:
                self.act(f"makes a {path}", node)
                return UNKNOWN
            if path == "Promise" or builtins.reads_only(path):
                for value in given:
                    self._call_back(value, given, node)
                return (
                    self.thing("collection", others=joined(*(self.elements(v) for v in given))),
                )
            self.doubt(f"makes a {one.path}, which is not known,", node)
            return UNKNOWN
        if isinstance(one, Primitive | Text):
            return PRIMITIVE
        if not isinstance(one, Thing):
            self.doubt(f"makes something unknown, {_short(node)},", node)
            return UNKNOWN
        instance = self.thing("instance", base=(one,))
        self.construct(one, given, (instance,), node)
        return (instance,)

    def construct(self, made: Thing, given: Sequence[Value], this: Value, node: Node) -> None:
        """Follow what a class or function does to a new instance."""
        if made.kind == "function":
            self._enter(made, given, this)
            return
        if made.kind != "class" or made.node is None or made.scope is None:
            self.doubt("makes an instance of something unknown", node)
            return
        body = made.node.child_by_field_name("body")
        constructor = None
        inner = self.scope(made.scope)
        inner.names["this"] = this
        for part in body.named_children if body is not None else []:
            if any(c.type == "static" for c in part.children):
                continue
            if part.type in {"field_definition", "public_field_definition"}:
                name = part.child_by_field_name("property") or part.child_by_field_name("name")
                value = self.value(part.child_by_field_name("value"), inner)
                for one in this:
                    if isinstance(one, Thing):
                        self.store(one, self.property_name(name, inner), value)
            elif part.type == "method_definition" and (
                text_of(part.child_by_field_name("name")) == "constructor"
            ):
                constructor = part
        if constructor is not None:
            own = Thing("function", self, node=constructor, module=made.module, scope=made.scope)
            scope = Scope(made.scope, self, self.owner, {"super": made.base})
            own.scope = scope
            self._enter(own, given, this)
        elif made.base:
            self._construct_bases(made.base, given, this, node)

    def _construct_bases(
        self, bases: Value, given: Sequence[Value], this: Value, node: Node
    ) -> None:
        for base in bases:
            if isinstance(base, Thing):
                self.construct(base, given, this, node)
            elif isinstance(base, Builtin) and builtins.reads_only(base.path):
                continue
            elif not isinstance(base, Primitive):
                self.doubt("extends something unknown", node)

    def _super(self, arguments: Node, scope: Scope, node: Node) -> Value:
        given = self._arguments(arguments, scope)
        around: Scope | None = scope
        while around is not None and "super" not in around.names:
            around = around.outer
        if around is not None:
            self._construct_bases(around.names["super"], given, self._this(node, scope), node)
        return PRIMITIVE

    # statements

    def statements(self, nodes: Sequence[Node], scope: Scope) -> None:
        """Follow statements; functions are there before the first."""
        for node in nodes:
            if node.type in {"function_declaration", "generator_function_declaration"}:
                name = text_of(node.child_by_field_name("name"))
                scope.names[name] = (self.function(node, scope),)
        for node in nodes:
            self.statement(node, scope)

    def statement(self, node: Node, scope: Scope) -> None:
        """Follow one statement."""
        self.steps += 1
        if self.steps > _MOST_STEPS:
            raise Endless
        handler = _STATEMENTS.get(node.type)
        if handler is not None:
            handler(self, node, scope)
        elif node.type in _CLASSES:
            name = node.child_by_field_name("name")
            made: Value = (self.class_of(node, scope),)
            if name is not None:
                scope.names[text_of(name)] = made
        elif node.type not in _FUNCTIONS and node.type not in _SILENT:
            self.doubt(f"{node.type} is not followed", node)

    def _expression(self, node: Node, scope: Scope) -> None:
        for part in node.named_children:
            if part.type == "comment":
                continue
            value = self.value(part, scope)
            if part.type in {"member_expression", "subscript_expression"} and not self.calls:
                self._read_for_effect(value, part)

    def _read_for_effect(self, value: Value, node: Node) -> None:
        if any(isinstance(one, Unknown | Builtin) for one in value):
            self.doubt(f"reads {_short(node)} and nothing else", node)

    def _declaration(self, node: Node, scope: Scope) -> None:
        for part in node.named_children:
            if part.type == "variable_declarator":
                self.declarator(part, scope)

    def declarator(self, node: Node, scope: Scope) -> None:
        """Follow one ``a = 1`` of a declaration."""
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        given = self.value(value, scope) if value is not None else PRIMITIVE
        if name is not None:
            self.bind(name, given, scope, declares=True)

    def _return(self, node: Node, scope: Scope) -> None:
        value = self._last(node, scope)
        if self.returned:
            self.returned[-1] = joined(self.returned[-1], value)

    def _block(self, node: Node, scope: Scope) -> None:
        self.statements(node.named_children, scope)

    def _if(self, node: Node, scope: Scope) -> None:
        self.value(node.child_by_field_name("condition"), scope)
        for branch in ("consequence", "alternative"):
            part = node.child_by_field_name(branch)
            if part is not None:
                self.statement(part, scope)

    def _else(self, node: Node, scope: Scope) -> None:
        for part in node.named_children:
            self.statement(part, scope)

    def _for(self, node: Node, scope: Scope) -> None:
        first = node.child_by_field_name("initializer")
        if first is not None:
            self._either(first, scope)
        for _ in range(2):
            for part in ("condition", "body", "increment"):
                inner = node.child_by_field_name(part)
                if inner is not None:
                    self._either(inner, scope)

    def _either(self, node: Node, scope: Scope) -> None:
        """Follow what may be a statement or an expression."""
        if node.type in _STATEMENTS or node.type in _SILENT:
            self.statement(node, scope)
        else:
            self.value(node, scope)

    def _for_in(self, node: Node, scope: Scope) -> None:
        through = self.value(node.child_by_field_name("right"), scope)
        left, body = node.child_by_field_name("left"), node.child_by_field_name("body")
        is_of = text_of(node.child_by_field_name("operator")) == "of"
        value = self.elements(through) if is_of else PRIMITIVE
        for _ in range(2):
            if left is not None:
                declares = node.child_by_field_name("kind") is not None
                self.bind(left, value, scope, declares=declares)
            if body is not None:
                self.statement(body, scope)

    def _while(self, node: Node, scope: Scope) -> None:
        for _ in range(2):
            self.value(node.child_by_field_name("condition"), scope)
            body = node.child_by_field_name("body")
            if body is not None:
                self.statement(body, scope)

    def _try(self, node: Node, scope: Scope) -> None:
        for part in node.named_children:
            if part.type == "statement_block":
                self.statement(part, scope)
                continue
            parameter = part.child_by_field_name("parameter")
            if parameter is not None:
                self.bind(parameter, UNKNOWN, scope, declares=True)
            body = part.child_by_field_name("body")
            if body is not None:
                self.statement(body, scope)

    def _throw(self, node: Node, scope: Scope) -> None:
        self._last(node, scope)
        if not self.calls:
            self.act("throws", node)

    def _switch(self, node: Node, scope: Scope) -> None:
        self.value(node.child_by_field_name("value"), scope)
        body = node.child_by_field_name("body")
        for case in body.named_children if body is not None else []:
            value = case.child_by_field_name("value")
            if value is not None:
                self.value(value, scope)
            self.statements(case.children_by_field_name("body"), scope)

    def _labeled(self, node: Node, scope: Scope) -> None:
        body = node.child_by_field_name("body")
        if body is not None:
            self.statement(body, scope)

    def _enum(self, node: Node, scope: Scope) -> None:
        body, name = node.child_by_field_name("body"), node.child_by_field_name("name")
        inner = self.scope(scope)
        for member in body.named_children if body is not None else []:
            key = member.child_by_field_name("name") or member
            inner.names[text_of(key)] = PRIMITIVE
            if member.type == "enum_assignment":
                self.value(member.child_by_field_name("value"), inner)
        if name is not None:
            scope.names[text_of(name)] = (self.thing("object", is_open=True),)


@dataclass(eq=False, slots=True)
class ModuleScope(Scope):
    """The top of a module: its names are the world's to tell."""

    module: ModuleId = ""


Follow = Callable[[Evaluation, Node, Scope], Value]
_EXPRESSIONS: dict[str, Follow] = {
    "identifier": Evaluation._name,
    "shorthand_property_identifier": Evaluation._name,
    "member_expression": Evaluation._member,
    "subscript_expression": Evaluation._subscript,
    "string": Evaluation._text,
    "template_string": Evaluation._template,
    "number": Evaluation._primitive,
    "true": Evaluation._primitive,
    "false": Evaluation._primitive,
    "null": Evaluation._primitive,
    "undefined": Evaluation._primitive,
    "meta_property": Evaluation._primitive,
    "private_property_identifier": Evaluation._primitive,
    "regex": Evaluation._regex,
    "this": Evaluation._this,
    "super": Evaluation._this,
    "parenthesized_expression": Evaluation._inner,
    "non_null_expression": Evaluation._inner,
    "spread_element": Evaluation._inner,
    "computed_property_name": Evaluation._inner,
    "as_expression": Evaluation._cast,
    "satisfies_expression": Evaluation._cast,
    "sequence_expression": Evaluation._last,
    "binary_expression": Evaluation._binary,
    "ternary_expression": Evaluation._ternary,
    "unary_expression": Evaluation._unary,
    "await_expression": Evaluation._await,
    "yield_expression": Evaluation._yield,
    "array": Evaluation._array,
    "object": Evaluation._object,
    "assignment_expression": Evaluation._assignment,
    "augmented_assignment_expression": Evaluation._augmented,
    "update_expression": Evaluation._update,
    "call_expression": Evaluation._call,
    "new_expression": Evaluation._new,
}
_STATEMENTS: dict[str, Callable[[Evaluation, Node, Scope], None]] = {
    "expression_statement": Evaluation._expression,
    "lexical_declaration": Evaluation._declaration,
    "variable_declaration": Evaluation._declaration,
    "variable_declarator": Evaluation.declarator,
    "return_statement": Evaluation._return,
    "statement_block": Evaluation._block,
    "if_statement": Evaluation._if,
    "else_clause": Evaluation._else,
    "for_statement": Evaluation._for,
    "for_in_statement": Evaluation._for_in,
    "while_statement": Evaluation._while,
    "do_statement": Evaluation._while,
    "try_statement": Evaluation._try,
    "throw_statement": Evaluation._throw,
    "switch_statement": Evaluation._switch,
    "labeled_statement": Evaluation._labeled,
    "enum_declaration": Evaluation._enum,
}
_SILENT = frozenset(
    {"comment", "empty_statement", "break_statement", "continue_statement", "debugger_statement"}
    | {"interface_declaration", "type_alias_declaration", "ambient_declaration"}
    | {"function_signature", "hash_bang_line", "html_comment"}
)


def _extended(heritage: Node) -> Node | None:
    """Return the expression that a class extends."""
    for part in heritage.named_children:
        if part.type == "extends_clause":
            return part.child_by_field_name("value")
        if part.type not in {"comment", "implements_clause"}:
            return part
    return None


def _decorators(node: Node) -> Iterator[Node]:
    yield from (c for c in node.named_children if c.type == "decorator")


def _is_pure(node: Node) -> bool:
    """Whether an author says that a call changes nothing: ``/* @__PURE__ */`` before it."""
    before = node.prev_sibling
    if before is None and node.parent is not None and node.parent.type == "expression_statement":
        before = node.parent.prev_sibling
    return _says(before, b"__PURE__")


def _is_without_effects(function: Node) -> bool:
    """Whether an author says so of all calls: ``/* @__NO_SIDE_EFFECTS__ */``."""
    return _says(function.prev_sibling, b"__NO_SIDE_EFFECTS__")


def _says(comment: Node | None, word: bytes) -> bool:
    return comment is not None and comment.type == "comment" and word in (comment.text or b"")


def _short(node: Node) -> str:
    return " ".join(text_of(node).split())[:40]
