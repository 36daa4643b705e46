"""What is read in JavaScript and TypeScript, against esbuild's own reading of real packages."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import real

from toolchain.formats import esbuild
from toolchain.formats.javascript import read
from toolchain.formats.javascript_addresses import Rebase, needs_itself
from toolchain.formats.node_resolution import Resolver
from toolchain.sources.tools import tool

ORT = "npm:onnxruntime-web@1.30.0"
PACKAGES = [
    "npm:@runanywhere/web@0.1.0-beta.10",
    "npm:@runanywhere/web-onnx@0.1.0-beta.10",
    "npm:@ricky0123/vad-web@0.0.31",
    "npm:onnxruntime-common@1.30.0",
    "npm:@deepgram/sdk@5.13.0",
]


def _mentions(code: str) -> list[tuple[str, str]]:
    module = read(code.encode())
    assert module.problem == ""
    return [(m.how, m.target) for m in module.mentions]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('import a, { b } from "./a.js";', [("import", "./a.js")]),
        ('import "./a.js"; export * from "b"; export { c } from "c";',
         [("import", "./a.js"), ("import", "b"), ("import", "c")]),
        ('import d from "./d.json" with { type: "json" };', [("import", "./d.json")]),
        ('const a = require("a"), b = module.require("b");', [("require", "a")]),
        ('import("./a.js")', [("import()", "./a.js")]),
        ("import(/* @vite-ignore */ `./${x}/voice.js`)", [("import()", "./*/voice.js")]),
        ('import("./a/" + name + ".js")', [("import()", "./a/*.js")]),
        ("import(name)", [("import()", "*")]),
        ('new URL("a b.wasm", import.meta.url)', [("url", "a b.wasm")]),
        ('new URL("x", import.meta.url).href + new URL("y", location.href)', [("url", "x")]),
        ('new Worker(new URL("w.js", import.meta.url), {})', [("worker url", "w.js")]),
        ('new Worker(new URL("w.js", import.meta.url).href)', [("worker url", "w.js")]),
        ('new SharedWorker("w.js")', [("worker", "w.js")]),
        ("new Worker(blob)", [("worker", "*")]),
        ('new Worker(b + "a.js")', [("worker", "*a.js")]),
        ('new Worker(x ? "a.js" : y)', [("worker", "*"), ("string", "a.js")]),
        ('context.audioWorklet.addModule("vad.worklet.js")', [("worker", "vad.worklet.js")]),
        ('a.audioWorklet.addModule(new URL("v.js", import.meta.url))', [("worker url", "v.js")]),
        ('importScripts("a.js")', [("worker", "a.js")]),
        ('const m = { v6: "silero_v6.onnx" }', [("string", "silero_v6.onnx")]),
        ("const m = `${base}ort-${kind}.wasm?v=1`", [("string", "*ort-*.wasm?v=1")]),
        ('const m = "beep.mp3"; f("/a b.css?v", "./LICENSE")',
         [("path", "beep.mp3"), ("path", "/a b.css?v"), ("path", "./LICENSE")]),
        ("fetch(`/voices/${x}.json`)", [("path", "/voices/*.json")]),
        ('f("/voices/" + x + ".json", "a" + ".css")',
         [("path", "/voices/*.json"), ("path", "a.css")]),
        ("""a.innerHTML = `<b>\n<img src="/${x}.png"><a href='/é.html'>`""",
         [("path", "/é.html")]),
        ('import.meta.resolve("./t.txt"); import(import.meta.resolve("../a.js"))',
         [("url", "./t.txt"), ("url", "../a.js")]),
        ('new Worker(import.meta.resolve("./w.js"), { type: "module" })',
         [("worker url", "./w.js")]),
        ("import.meta.resolve(`./${x}.txt`)", [("url", "./*.txt")]),
        (r'const m = "\x61\u0062\u{63}.onnx"', [("string", "abc.onnx")]),
    ],
)  # fmt: skip
def test_a_module_mentions(code: str, found: list[tuple[str, str]]) -> None:
    assert _mentions(code) == found


@pytest.mark.parametrize(
    "code",
    [
        'import type { A } from "a"; export type { B } from "b"; import { type C } from "c";',
        'const a = "https://example.com/model.onnx";',
        'const a = "no file here. js"; const b = "n/a"; const c = ".onnx";',
        "const a = `${name}.js` + `${base}/${name}.mp3` + (name + '.css');",
        '// import("./comment.js")\n/* require("a") */',
        'const a = new URL("x", base); new Date(); f("a.b c", "//x", "..");',
        'import.meta.resolve("pkg"); import.meta.resolve(x);',
    ],
)
def test_what_loads_nothing_is_not_mentioned(code: str) -> None:
    assert _mentions(code) == []


def test_a_value_among_types_is_a_need() -> None:
    assert _mentions('import d, { type A } from "a"; import { type B, c } from "b";') == [
        ("import", "a"),
        ("import", "b"),
    ]
    assert _mentions('import e = require("e");') == [("require", "e")]


def test_a_need_has_its_line() -> None:
    module = read(b"\n\nimport './a.js';\nconst b = () =>\n  import('./b.js');\n")
    assert [(m.target, m.line) for m in module.mentions] == [("./a.js", 3), ("./b.js", 5)]


def test_exported_names_are_those_of_values() -> None:
    exports = read(
        b"""
        export const a = 1, { b, c: [d, ...e], f = 2, ...g } = x;
        export function h() {} export class I {} export default () => 1;
        export { j as "k l", type M, n }; export * as o from "o"; export * from "p";
        export type Q = 1; export interface R {} export enum S { A } interface T {} export { T };
        export abstract class U {} export async function* v() {}
        """
    ).exports
    assert set(exports.names) == {
        *("a", "b", "d", "e", "f", "g", "h", "I", "default", "k l", "n", "o", "S", "U", "v"),
    }
    assert exports.stars == ("p",)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("let a = 1;\nlet b = (2;\n", "line 2"),
        ("\n\nfunction {", "line 3"),
        ("let a = `open", "line 1"),
        ("export const a: = 1;", "line 1"),
    ],
)
def test_a_syntax_error_has_its_line_and_the_rest_is_still_read(code: str, problem: str) -> None:
    assert read(code.encode()).problem.startswith(problem)
    assert [m.target for m in read(f'import "./a.js";\n{code}'.encode()).mentions] == ["./a.js"]


def _scripts(folder: Path) -> list[str]:
    names = [p.relative_to(folder).as_posix() for p in folder.rglob("*.[cm]?js")]
    names += [p.relative_to(folder).as_posix() for p in folder.rglob("*.js")]
    return sorted({n for n in names if ".min." not in n})


@pytest.mark.parametrize("package", PACKAGES)
def test_esbuild_sees_the_same_imports_and_exports_in_real_packages(package: str) -> None:
    folder = real.folder(package)
    names = _scripts(folder)
    assert names
    flags = (
        "--bundle",
        "--format=esm",
        "--outdir=/out",
        "--packages=external",
        "--preserve-symlinks",
    )
    with esbuild.service(tool("esbuild")) as service:
        entries = {f"out{number}": name for number, name in enumerate(names)}
        result = service.build(esbuild.Build(folder, entries, (*flags, "--platform=node")))
    assert [e for e in result.errors if not e.text.startswith("Could not resolve")] == []
    compared = 0
    for name, module in result.inputs.items():
        if not name.endswith("js"):
            continue
        ours = read((folder / name).read_bytes())
        assert ours.problem == "", name
        seen = {(i.kind, i.original) for i in module.imports if i.original}
        kinds = {
            "import": "import-statement",
            "require": "require-call",
            "import()": "dynamic-import",
        }
        said = {
            (kinds[m.how], m.target) for m in ours.mentions if m.how in kinds and not m.computed
        }
        assert {s for s in seen if s[0] in kinds.values()} <= said, name
        # optional packages and Node's own modules are not in esbuild's list
        assert not [target for _, target in said - seen if target.startswith(".")], name
        compared += len(seen)
    assert compared > 5
    by_entry = {o.entry: o for o in result.outputs if o.entry}
    for name in names:
        exports = read((folder / name).read_bytes()).exports
        if name in by_entry and exports.esm and not exports.stars:
            assert set(by_entry[name].exports) == set(exports.names), name


def test_what_is_read_of_six_megabytes_does_not_depend_on_their_being_minified() -> None:
    for name in ("dist/ort.all.js", "dist/ort.all.min.js"):
        module = read(real.file(ORT, name).read_bytes())
        assert module.problem == ""
        assert any(m.target == "ort-wasm-simd-threaded.jsep.mjs" for m in module.mentions)


def test_damaged_files_are_read_or_have_a_problem_but_never_crash() -> None:
    data = real.file("npm:@ricky0123/vad-web@0.0.31", "dist/real-time-vad.js").read_bytes()
    chance = random.Random(20_240_601)  # noqa: S311 - the same damage every time
    damaged = 0
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(broken))
            if chance.random() < 0.5:
                broken[at] = chance.randrange(256)
            else:
                del broken[at : at + chance.randint(1, 400)]
        module = read(bytes(broken))
        damaged += bool(module.problem)
        assert all(0 <= m.start < m.end <= len(broken) for m in module.mentions)
    assert damaged > 50
    for end in range(0, len(data), 997):
        read(data[:end])
    assert read(b"").mentions == ()
    assert read(bytes(range(256)) * 8).problem
    # not UTF-8: tree-sitter's binding would crash on a name with such a byte
    assert [m.target for m in read(b'const a = "\xff.wasm"').mentions] == ["_.wasm"]


class _Names(set[str]):
    def read(self, name: str, /) -> bytes:
        raise KeyError(name)

    def named(self, basename: str, /) -> list[str]:
        return sorted(name for name in self if name.rpartition("/")[2] == basename)


def _rebased(code: str, *files: str) -> str:
    names = _Names(files)
    rebase = Rebase(names, {"src/w.ts": "app/w.js"}, "app", Resolver(names, frozenset()))
    return rebase.module("src/main.js", code.encode()).decode()


def test_addresses_are_rewritten_at_their_place_and_nothing_else_is() -> None:
    code = 'const é = "import.meta.url"; f(new URL("./a%20b.wasm?x#y", import.meta.url), é);'
    wanted = code.replace("./a%20b.wasm?x#y", "../src/a%20b.wasm?x#y")
    assert _rebased(code, "src/a b.wasm") == wanted
    assert _rebased('new URL("w.ts", import.meta.url)', "src/w.ts") == (
        'new URL("./w.js", import.meta.url)'
    )
    own = 'new URL("../src/main.js", import.meta.url).href'
    assert _rebased("const here = import.meta.url;") == f"const here = {own};"
    assert _rebased('new URL("gone.wasm", import.meta.url)') == f'new URL("gone.wasm", {own})'
    assert _rebased('f(import.meta.resolve("./a.txt"))', "src/a.txt") == (
        'f(new URL("../src/a.txt", import.meta.url).href)'
    )
    assert _rebased("import.meta.resolve?.(`./${x}`)") == f"new URL(`./${{x}}`, {own}).href"
    plain = 'import.meta.env; import.meta.resolve("pkg")'
    assert _rebased(plain) == plain


def test_a_module_that_hands_out_its_address_is_told_from_one_that_builds_on_it() -> None:
    assert needs_itself(b"new Worker(import.meta.url)")
    assert needs_itself(b"const here = import.meta.url;")
    assert not needs_itself(b'new URL(x, import.meta.url); import.meta.url > "file:"')
