"""What one module says: which names its items declare and use, and what it imports and exports."""

from __future__ import annotations

import pytest

from toolchain.program.module import DEFAULT, JSX, NAMESPACE, WHOLE, ModuleText
from toolchain.program.reader import read_module


def _read(text: str) -> ModuleText:
    return read_module(text.encode())


def _uses(text: str) -> dict[str, list[str]]:
    """Return what the last item of a module uses, with members."""
    return {n: sorted(m) for n, m in _read(text).items[-1].uses.items()}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("function f(a, { b, c: [d = e], ...g }, ...h) { return a + b + d + g + h; }", "e"),
        ("{ let a = 1; { a; } }", ""),
        ("{ { let a = 1; } a; }", "a"),
        ("function f() { return v; { var v = 1; } }", ""),
        ("function f() { g(); function g() {} }", ""),
        ("function f() { { function g() {} } }", ""),
        ("const f = function g() { return g; };", ""),
        ("const C = class D extends B { m() { return D; } };", "B"),
        ("class C { [k] = v; static { s; } #p = this.#p; }", "k s v"),
        ("try { a; } catch ({ b }) { b; c; }", "a c"),
        ("for (const x of xs) x; for (y in z) y;", "xs"),
        ("for (let i = n; i < n; i++) i;", "n"),
        ("label: for (;;) break label;", ""),
        ("const o = { a, b: c, [d]: e, f() {}, get g() { return h; } };", "a c d e h"),
        ("switch (a) { case b: let c = 1; c; }", "a b"),
        ("const f = () => arguments;", "arguments"),
        ("const t = tag`a${b}`;", "b tag"),
        ("{ using a = b; await using c = a; c; }", "await b"),
        ("for (using a of b) a;", "b"),
        ("async function f() { for (await using a of b) a; }", "b"),
        ("x: y;", "y"),
        ("({ a: b, c = d, ...e } = f);", "b c d e f"),
        ("function f(a = b) { let b; const c = 1; }", "b"),
        ("function f(a = b) { var b = 1; return a; }", "b"),
        ("function* f(a = () => b) { { var b; } }", "b"),
        ("const f = (a = b) => { var b; }, g = function (a = () => c) { var c; };", "b"),
        ("class C { m(a = b) { var b; b; } }", "b"),
        ("function f(a) { { var a = 1; } return () => a; }", ""),
        ("try { a; } catch ({ b = c }) { let c; }", "a c"),
        ("class A { @d m() {} [e()](f) { f; } }", "d e"),
        ("const o = <Panel a={b}><div>{c}</div></Panel>;", "<> Fragment Panel React b c h"),
        ("namespace N.M { const a = 1; a; export const b = c; }", "c"),
        ("enum E { A, B = A + c }", "c"),
        ("const a = b as c.D; const d = <e.F>g;", "b"),
        ("function f(this: A, b: typeof c, d?: e.F): g is h.I { return b; }", ""),
    ],
)
def test_only_names_that_no_scope_of_an_item_declares_are_used(text: str, names: str) -> None:
    found = _read(text).items[0].uses
    assert " ".join(sorted(set(found) - {"this"})) == names


def test_members_are_told_apart_from_the_whole() -> None:
    assert _uses("f(a.b, a['c'], d, e.f.g, h[i]);") == {
        "f": [WHOLE],
        "a": ["b", "c"],
        "d": [WHOLE],
        "e": ["f"],
        "h": [WHOLE],
        "i": [WHOLE],
    }


def test_what_an_item_assigns_to_is_noted_wherever_it_stands() -> None:
    item = _read("function f(p) { a = 1; b++; [c, { x: d }] = p; for (e of p); p = 1; }").items[0]
    assert sorted(item.writes) == ["a", "b", "c", "d", "e"]


def test_members_that_are_assigned_are_noted() -> None:
    text = "a.b = 1; a['c'] = 2; [a.d] = x; for (a.e of x); a.f++; a[g] = 1;"
    assert sorted(_read(text).set_members) == ["b", "c", "d", "e", "f"]


@pytest.mark.parametrize(
    ("text", "members", "via"),
    [
        ("const m = await import('./x'); m.a; m.b();", None, "m"),
        ("async function f() { const m = await import('./x'); m.a; }", {"a"}, ""),
        ("async function f() { if (1) { var m = await import('./x'); } m.a; }", {"a"}, ""),
        ("async function f() { const m = await import('./x'); m[k]; }", None, ""),
        ("async function f() { const m = await import('./x'); g(m); }", None, ""),
        ("const { a, b: c } = await import('./x');", {"a", "b"}, ""),
        ("const { a, ...r } = await import('./x');", None, ""),
        ("import('./x').then((m) => m.a);", {"a"}, ""),
        ("import('./x').then(({ a }) => a);", {"a"}, ""),
        ("import('./x').then(function () { return arguments[0]; });", None, ""),
        ("import('./x').then(f);", None, ""),
        ("import('./x').then((m, b = m.b) => { m.a; });", {"a", "b"}, ""),
        ("import('./x');", set(), ""),
        ("(await import('./x')).a;", {"a"}, ""),
        ("const a = require('./x').a;", {"a"}, ""),
        ("const m = require('./x');", None, "m"),
        ("f(require(`./x`));", None, ""),
    ],
)
def test_members_of_what_is_loaded(text: str, members: set[str] | None, via: str) -> None:
    (load,) = [load for item in _read(text).items for load in item.loads]
    assert (load.source, load.members, load.via) == ("./x", members, via)


def test_imports_and_exports_keep_what_they_are_called_on_both_sides() -> None:
    module = _read(
        "import d, { a as b, 'c d' as e } from './x';"
        "import * as n from './y' with { type: 'json' };"
        "export { b, d as default, e as 'f g' }; export { a as h, default as i } from './x';"
        "export * from './z'; export * as s from './z'; export default class {}"
    )
    assert [(i.local, i.imported) for i in module.imports] == [
        ("d", "default"),
        ("b", "a"),
        ("e", "c d"),
        ("n", NAMESPACE),
    ]
    assert [(e.name, e.local or e.imported) for e in module.exports] == [
        ("b", "b"),
        ("default", "d"),
        ("f g", "e"),
        ("h", "a"),
        ("i", "default"),
        ("s", NAMESPACE),
        ("default", DEFAULT),
    ]
    assert [star.source for star in module.stars] == ["./z"]
    assert module.clauses[1].tail == "with { type: 'json' }"


def test_commonjs_says_which_members_of_exports_it_sets() -> None:
    module = _read("exports.a = exports.b = f; module.exports.c = 1; module.exports = {}; x.d = 1;")
    assert module.form == "commonjs"
    assert [item.gives for item in module.items] == [("a", "b"), ("c",), (), ()]


@pytest.mark.parametrize(
    "text",
    [
        "{ function f() {} }",
        "if (a) { { function f() {} } }",
        "try { function f() {} } catch {}",
        "switch (a) { case 1: function f() {} }",
        "for (;;) { function f() {} }",
    ],
)
def test_a_function_in_a_block_is_one_of_the_module_in_commonjs_only(text: str) -> None:
    commonjs, module = _read(f"{text} exports.a = f;"), _read(f"{text} export const a = f;")
    assert (commonjs.items[0].declares, module.items[0].declares) == (("f",), ())


def test_types_declare_and_use_nothing() -> None:
    module = _read(
        "import type { A } from './a'; import { type B, b } from './b'; interface C { d: A }"
        "type E<T> = T extends A ? B : never; declare const f: number; export type { A };"
        "function g<T>(this: C, h: A, i?: B): asserts h is A { return b as unknown as A; }"
    )
    assert [i.local for i in module.imports] == ["b"]
    assert [(item.declares, sorted(item.uses)) for item in module.items] == [(("g",), ["b"])]


@pytest.mark.parametrize(
    "text",
    [
        "export const a = eval('b');",
        "import a = require('b');",
        "a b c",
        "const b = \\u0061;",
        "a.\\u{62}();",
        "export { a as \\u0062 };",
        "const { \\u0061: b } = c; let d: number;",
        "using a = b; let c: C;",
        "async function f(c: C) { await using a = b; }",
    ],
)
def test_what_cannot_be_told_is_a_problem(text: str) -> None:
    assert _read(text).problem


def test_jsx_uses_components_and_what_compilers_call() -> None:
    assert set(_uses("const a = <div b={c}><Panel {...d} /><n.E /></div>;")) == {
        "c", "d", "n", "Panel", JSX, "React", "h", "Fragment",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("comment", "more"),
    [
        ("/** @jsx createElement */", {"createElement"}),
        ("//@jsx Preact.h\n/*@jsxFrag Preact.Piece*/", {"Preact"}),
        ("f(/* @jsxFrag piece */);", {"piece"}),
        ("/** @jsxImportSource preact */", set()),
        ("/** @jsxRuntime classic */", set()),
        ("// see @jsxes of old", set()),
    ],
)
def test_comments_say_what_jsx_calls(comment: str, more: set[str]) -> None:
    text = f"{comment}\nexport const a = <b/>;"
    assert set(_uses(text)) == {JSX, "React", "h", "Fragment", *more}
    assert not _read(text).problem


def test_a_string_with_an_escape_is_no_problem() -> None:
    assert not _read(r"const a = '\u0061', b = /\u0061/u, c = `\u0061`;").problem


def test_a_directive_is_no_statement_that_may_go() -> None:
    assert _read('"use strict"; export {};').items == ()
