"""Random JavaScript programs of several modules: what they print must not change by tree shaking.

Every declaration and statement is one that works: it names only what is declared, as what it is.
Modules import, pass on and use each other's names, and change each other's objects when they are
loaded, in all the ways that hide what is called: getters, setters, closures, computed members,
prototypes, classes, spread, `bind`, iterators, conversions, views of buffers, generators and
regular expressions that go on, `for await`, functions that the platform or a global is given.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

Names = dict[str, list[str]]  # of each sort of value, the names that may be used


@dataclass
class Module:
    """One module while it is written: ``own`` and ``known`` hold names by what they are."""

    path: str
    lines: list[str] = field(default_factory=list)
    own: Names = field(default_factory=dict)
    known: Names = field(default_factory=dict)
    imports: list[str] = field(default_factory=list)
    lazy: list[str] = field(default_factory=list)


@dataclass
class Writer:
    """Writes modules with one random generator."""

    rng: random.Random
    module: Module
    number: int = 0

    def fresh(self, sort: str) -> str:
        """Declare a new name of a sort."""
        stem = self.module.path.partition(".")[0].replace("-", "_")
        self.number += 1
        name = f"{sort}_{stem}_{self.number}"
        self.module.own.setdefault(sort, []).append(name)
        self.module.known.setdefault(sort, []).append(name)
        return name

    def one(self, sort: str) -> str:
        """Return a name of a sort, or something that makes one."""
        made = {
            "fn": "(() => 0)",
            "obj": "({ a: 1, f() { return 2; } })",
            "arr": "[]",
            "cls": "(class { m() { return 3; } static s() { return 4; } })",
            "buf": "new ArrayBuffer(8)",
            "view": "new Uint8Array(8)",
            "it": "[1, 2].values()",
            "re": "/a/g",
        }
        known = self.module.known.get(sort, [])
        if known and self.rng.random() < 0.9:
            return self.rng.choice(known)
        return made[sort]

    def word(self) -> str:
        """Return something to print."""
        return f'"{self.module.path}:{self.rng.randrange(1000)}"'

    def key(self) -> str:
        """Return the name of a member."""
        return self.rng.choice(("a", "b", "f", "g", "set", "get"))

    def change(self) -> str:
        """Return what a function changes that others are given."""
        some = (
            f"{self.one('obj')}.{self.key()} = {self.one('fn')};",
            f"try {{ {self.one('cls')}.prototype.m = {self.one('fn')}; }} catch {{}}",
            f"{self.one('arr')}.push({self.one('fn')});",
        )
        return self.rng.choice(some)

    def body(self) -> str:
        """Return what a function does."""
        some: list[Callable[[], str]] = [
            lambda: "return 1;",
            lambda: f"console.log({self.word()}); return 2;",
            lambda: f"{self.one('arr')}.push({self.number}); return 3;",
            lambda: f"{self.one('obj')}.{self.key()} = () => 4; return 4;",
            lambda: f"const y = {self.one('obj')}; y[{self.word()}] = 5; return 5;",
            lambda: f"{self.one('arr')}.push(() => console.log({self.word()})); return 6;",
            lambda: f"let n = 0; for (const x of {self.one('arr')}) n++; return n;",
            lambda: f"return () => {{ console.log({self.word()}); return 7; }};",
            lambda: (
                f"if (typeof arguments[0] === 'function') arguments[0]({self.word()}); return 8;"
            ),
            lambda: f"{{ let obj = {{}}; obj.a = 1; }} {self.one('obj')}.a = 9; return 9;",
            lambda: f"new Uint8Array({self.one('buf')})[1] = {self.number}; return 10;",
            lambda: f"return {self.one('it')}.next().value;",
            lambda: f"return {self.one('re')}.test('aaa');",
        ]
        return self.rng.choice(some)()


def _function(w: Writer) -> str:
    body = w.body()
    return f"export function {w.fresh('fn')}() {{ {body} }}"


def _shadowed(w: Writer) -> str:
    """Return a function whose defaults name what `var` in its body names, too."""
    named = [fn for fn in w.module.known.get("fn", []) if fn[0] != "("]
    if not named:
        return _function(w)
    one = w.rng.choice(named)
    return (
        f"export function {w.fresh('fn')}(a = {one}, b = () => {one}) {{ "
        f"var {one.partition('.')[0]} = 1; return typeof a + typeof b(); }}"
    )


def _closure(w: Writer) -> str:
    body = w.body().replace("arguments[0]", "given[0]")
    return (
        f"export const {w.fresh('fn')} = (() => {{ let kept = () => 0; "
        f"return (...given) => {{ const last = kept; kept = () => {{ {body} }}; "
        "return last(); }; })();"
    )


def _object(w: Writer) -> str:
    parts = ["a: 1", "f() { return 2; }"]
    parts += w.rng.sample(
        [
            f"get g() {{ {w.body()} }}",
            f"set b(v) {{ {w.body()} }}",
            f"toString() {{ {w.body()} }}",
            f"b: {w.one('fn')}",
            f"[{w.word()}]: {w.one('fn')}",
            f"...{w.one('obj')}",
            f"*[Symbol.iterator]() {{ console.log({w.word()}); yield 1; }}",
        ],
        k=w.rng.randrange(3),
    )
    return f"export const {w.fresh('obj')} = {{ {', '.join(parts)} }};"


def _array(w: Writer) -> str:
    held = [w.one("fn") for _ in range(w.rng.randrange(3))]
    return f"export const {w.fresh('arr')} = [{', '.join(held)}];"


def _class(w: Writer) -> str:
    parts = [f"m() {{ {w.body()} }}", f"static s() {{ {w.body()} }}"]
    parts += w.rng.sample(
        [
            f"static {{ {w.one('arr')}.push({w.number}); }}",
            f"static {{ console.log({w.word()}); }}",
            "static q = () => 1;",
            f"p = {w.one('fn')};",
            f"get v() {{ {w.body()} }}",
            f"set u(x) {{ {w.body()} }}",
        ],
        k=w.rng.randrange(3),
    )
    name = w.fresh("cls")
    base = ""
    if w.rng.random() < 0.4:
        other = [c for c in w.module.known["cls"] if c != name]
        if other:
            base = f" extends {w.rng.choice(other)}"
            parts.append(f"constructor() {{ super(); {w.one('arr')}.push({w.number}); }}")
            parts.append("n() { return super.m(); }")
    return f"export class {name}{base} {{ {' '.join(parts)} }}"


def _variable(w: Writer) -> str:
    name = w.fresh("fn")
    then = f"\n{name} = {w.one('fn')};" if w.rng.random() < 0.6 else ""
    body = w.body().replace("arguments[0]", "0")
    setter = f"\nexport function {w.fresh('fn')}() {{ {name} = () => {{ {body} }}; }}"
    return f"export let {name} = () => 0;{then}{setter}"


def _buffer(w: Writer) -> str:
    sort = w.rng.choice(("ArrayBuffer", "SharedArrayBuffer"))
    return f"export const {w.fresh('buf')} = new {sort}(8);"


def _view(w: Writer) -> str:
    sort = w.rng.choice(("Uint8Array", "Int16Array", "Float32Array"))
    of = w.rng.choice((w.one("buf"), f"{w.one('view')}.buffer", "8", "[1, 2]"))
    return f"export const {w.fresh('view')} = new {sort}({of});"


def _iterator(w: Writer) -> str:
    if w.rng.random() < 0.4:
        made = w.rng.choice(("values", "entries", "keys"))
        return f"export const {w.fresh('it')} = {w.one('arr')}.{made}();"
    step = f"yield (() => {{ {w.body().replace('arguments[0]', '0')} }})();"
    return f"export const {w.fresh('it')} = (function* () {{ yield 0; {step} yield 2; }})();"


def _regex(w: Writer) -> str:
    made = w.rng.choice(("/a/g", "/a/y", "/a/", "new RegExp('a', 'g')"))
    return f"export const {w.fresh('re')} = {made};"


def _hidden(w: Writer) -> str:
    """Return a statement that changes what it does not name, or by no assignment."""
    fn, obj, arr, cls, it, re = (w.one(sort) for sort in ("fn", "obj", "arr", "cls", "it", "re"))
    buf, view, key, word = w.one("buf"), w.one("view"), w.key(), w.word()
    tmp, n = w.fresh("tmp"), w.number
    getter = f"{{ get q() {{ console.log({word}); return 1; }} }}"
    some = (
        f"new Uint8Array({buf})[{n % 8}] = {n};",
        f"new Uint8Array({view}.buffer).set([{n}], 1);",
        f"new Float32Array({buf}).fill({n});",
        f"new DataView({view}.buffer).setInt8(0, {n});",
        f"{view}.subarray(1).fill({n});",
        f"const {tmp} = new Uint8Array({buf}); {tmp}[2] = {n};",
        f"{it}.next();",
        f"const {tmp} = {it}.next().value;",
        f"for (const x of {it}) {{ if (x) break; }}",
        f"const [{tmp}] = {it};",
        f"const {tmp} = [...{it}];",
        f"{re}.test('aaa');",
        f"const {tmp} = 'aa'.replace({re}, 'b');",
        f"const {tmp} = {re}.exec('baa');",
        f"{obj}.toString = () => {{ console.log({word}); return ''; }};",
        f"const {tmp} = [{obj}].join();",
        f"const {tmp} = `${{[{obj}]}}`;",
        f"Object.getPrototypeOf(new (class extends {cls} {{}})()).{key} = {fn};",
        f"Object.getPrototypeOf(class extends {cls} {{}}).s = {fn};",
        f"Object({obj}).{key} = {fn};",
        f"Object.defineProperty({obj}, '{key}', Object.getOwnPropertyDescriptor({getter}, 'q'));",
        f"const {tmp} = Reflect.get({obj}, '{key}');",
        f"new (class extends Array {{}})({obj}, {obj})[0].{key} = {fn};",
        f"Promise.resolve({{ then() {{ {w.body()} }} }});",
        f"(async () => {{ for await (const x of [Promise.resolve({obj})]) x.{key} = {n}; }})();",
        f"Array.prototype.push.apply({arr}, [{fn}]);",
        f"Object.keys(new Proxy({obj}, {{ ownKeys() {{ console.log({word}); return []; }} }}));",
    )
    chosen = w.rng.choice(some)
    if chosen.startswith(("new", "Object")):  # may set what only has a getter
        return f"try {{ {chosen} }} catch {{ console.log({word}); }}"
    return chosen


def _statement(w: Writer) -> str:
    fn, obj, arr, cls, key = w.one("fn"), w.one("obj"), w.one("arr"), w.one("cls"), w.key()
    word = w.word()
    some: list[Callable[[], str]] = [
        lambda: f"{fn}();",
        lambda: f"{fn}({w.one('fn')});",
        lambda: f"{obj}.{key} = {w.one('fn')};",
        lambda: f"{obj}[['{key}'][0]] = {w.one('fn')};",
        lambda: f"typeof {obj}.{key} === 'function' && {obj}.{key}();",
        lambda: f"{arr}.push({w.one('fn')});",
        lambda: f"{arr}.forEach((x) => typeof x === 'function' && x());",
        lambda: f"for (const x of {arr}) if (typeof x === 'function') x();",
        lambda: f"Object.assign({obj}, {{ {key}: {w.one('fn')} }});",
        lambda: f"Object.defineProperty({obj}, '{key}', {{ get() {{ {w.body()} }} }});",
        lambda: f"try {{ new {cls}().m(); }} catch {{ console.log({word}); }}",
        lambda: f"try {{ {cls}.s(); }} catch {{ console.log({word}); }}",
        lambda: f"try {{ {cls}.prototype.m = {w.one('fn')}; }} catch {{ console.log({word}); }}",
        lambda: f"(() => {{ const f = {fn}; f.bind(null, {w.one('fn')})(); }})();",
        lambda: f"{fn}.call({obj}, ...{arr});",
        lambda: f"{fn}`${{{w.one('fn')}}}`;",
        lambda: (
            f"(function go(n, f) {{ if (n) go(n - 1, {w.one('fn')}); else f(); }})(2, () => 0);"
        ),
        lambda: f"[{w.one('fn')}].reduce((acc, f) => {{ acc.{key} = f; return acc; }}, {obj});",
        lambda: f"if ({arr}.length > 1) {{ {fn}(); }} else {{ {obj}.a = {w.number}; }}",
        lambda: f"{{ const {w.fresh('tmp')} = {{}}; {obj}.{key} = {w.one('fn')}; }}",
        lambda: f"queueMicrotask(() => {obj});",
        lambda: (
            f"process.on('e{w.number}', () => {{ {w.change()} }}); process.emit('e{w.number}');"
        ),
        lambda: f"globalThis.g{w.number} = () => {{ {w.change()} }}; globalThis.g{w.number}();",
        lambda: f"(globalThis.bus ??= []).push({{ run() {{ {w.change()} }} }});",
        lambda: "for (const one of globalThis.bus ?? []) one.run();",
        lambda: (
            f"globalThis.last?.({obj}, {cls}); globalThis.last = (o, c) => {{ o.{key} = {fn}; }};"
        ),
        lambda: (
            f"const {w.fresh('tmp')} = (() => {{ {w.body().replace('arguments[0]', '0')} }})();"
        ),
        lambda: f"const {{ {key}: {w.fresh('tmp')} = {fn}() }} = {obj};",
        lambda: f"const {w.fresh('tmp')} = {arr}.map((x) => typeof x);",
        lambda: f"const {w.fresh('tmp')} = {arr}.sort(); {arr}.length > 5 && {fn}();",
        lambda: f"export const {w.fresh('seen')} = {arr}.length;",
        lambda: f"export const {w.fresh('seen')} = typeof {obj}.{key};",
    ]
    return w.rng.choice(some)()


_MAKERS = (_function, _function, _shadowed, _closure, _object, _array, _class, _variable)
_MAKERS_OF_STATE = (_buffer, _view, _iterator, _regex)


def program(seed: int) -> dict[str, str]:
    """Return the files of a program; ``main.mjs`` is loaded first and exports ``run``."""
    rng = random.Random(seed)  # noqa: S311 - the same seed, the same program
    modules: list[Module] = []
    commonjs = _commonjs(rng)
    for number in range(rng.randrange(2, 7)):
        modules.append(_module(rng, f"m{number}.mjs", modules, commonjs))
    main = _module(rng, "main.mjs", modules, commonjs, is_main=True)
    return {m.path: "\n".join(m.lines) + "\n" for m in [commonjs, *modules, main]}


def _commonjs(rng: random.Random) -> Module:
    """Return a CommonJS module that exports what it declares in blocks."""
    module = Module("common.cjs")
    writer = Writer(rng, module)
    blocks = (
        "{{ {} }}",
        "if (exports) {{ {} }} else {{ function other() {{}} }}",
        "switch (1) {{ case 1: {} }}",
        "try {{ {} }} catch {{}}",
        "{}",
    )
    for number in range(rng.randrange(1, 5)):
        body = writer.body()
        block = rng.choice(blocks).format(f"function f{number}() {{ {body} }}")
        asks = rng.choice((f"f{number}", f"() => f{number}()"))
        module.lines += [block, f"exports.g{number} = {asks};"]
        if rng.random() < 0.2:
            module.lines.append(f"f{number}();")
        module.own.setdefault("fn", []).append(f"common.g{number}")
    return module


def _module(
    rng: random.Random,
    path: str,
    others: list[Module],
    commonjs: Module,
    *,
    is_main: bool = False,
) -> Module:
    module = Module(path)
    writer = Writer(rng, module)
    chosen = rng.sample(others, k=min(len(others), rng.randrange(1, 4)))
    for other in chosen:
        _import(rng, module, other)
    if rng.random() < 0.3:
        module.lines.append(f"import common from './{commonjs.path}';")
        module.known.setdefault("fn", []).extend(commonjs.own["fn"])
    if rng.random() < 0.2:  # a circle; used in functions only, as they are called later
        module.lines.append(f"import * as self_{path[:-4]} from './{path}';")
    for _ in range(rng.randrange(3, 9)):
        sort = rng.random()
        some = _MAKERS if sort < 0.5 else _MAKERS_OF_STATE if sort < 0.65 else (_statement, _hidden)
        module.lines.append(rng.choice(some)(writer))
    if is_main:
        module.lines.append(_run(rng, module, others))
    return module


def _import(rng: random.Random, module: Module, other: Module) -> None:
    known = {name for some in module.known.values() for name in some}
    names = [
        (sort, name)
        for sort, some in other.own.items()
        for name in some
        if sort != "tmp" and name not in known
    ]
    way = rng.random()
    source = f"'./{other.path}'"
    if way < 0.1:
        module.lines.append(f"import {source};")
        return
    taken = rng.sample(names, k=min(len(names), rng.randrange(1, 5)))
    if way < 0.3:
        space = f"ns_{other.path[:-4]}"
        module.lines.append(f"import * as {space} from {source};")
        for sort, name in taken:
            module.known.setdefault(sort, []).append(f"{space}.{name}")
        return
    listed = ", ".join(name for _, name in taken)
    module.lines.append(f"import {{ {listed} }} from {source};")
    for sort, name in taken:
        module.known.setdefault(sort, []).append(name)
    if way < 0.5:
        module.lines.append(f"export {{ {listed} }};")
        for sort, name in taken:
            module.own.setdefault(sort, []).append(name)
    elif way < 0.6:
        module.lines.append(f"export * from {source};")


def _run(rng: random.Random, module: Module, others: list[Module]) -> str:
    """Return a function that shows what is left of everything that main knows."""
    calls = []
    for sort, names in module.known.items():
        for name in rng.sample(names, k=min(len(names), 3)):
            calls += {
                "fn": [f"show(() => {name}());"],
                "obj": [f"show(() => Object.keys({name}).join());", f"show(() => {name}.f?.());"],
                "arr": [f"show(() => {name}.map((x) => typeof x).join());"],
                "cls": [f"show(() => new {name}().m());", f"show(() => {name}.s());"],
                "seen": [f"show(() => {name});"],
                "buf": [f"show(() => new Uint8Array({name}).join());"],
                "view": [f"show(() => {name}.join());"],
                "it": [f"show(() => {name}.next().value);"],
                "re": [f"show(() => {name}.lastIndex);"],
            }.get(sort, [])
    lazy = ""
    if others and rng.random() < 0.4:
        late = rng.choice(others)
        lazy = f"const late = await import('./{late.path}'); show(() => Object.keys(late).join());"
    return (
        "function show(f) { try { const x = f(); console.log(typeof x === 'function' || "
        "typeof x === 'object' ? typeof x : x); } catch (e) { console.log(e.name); } }\n"
        f"export async function run() {{ {' '.join(calls)} {lazy} }}"
    )
