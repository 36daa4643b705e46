"""A program that was written for a bundler runs without one, module by module."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from toolchain.errors import InputError
from toolchain.formats.esbuild import service
from toolchain.formats.node_resolution import Resolver
from toolchain.formats.unbundled import Unbundled, unbundled
from toolchain.sources.tools import tool


class _Files(dict[str, bytes]):
    def read(self, name: str, /) -> bytes:
        return self[name]

    def named(self, basename: str, /) -> list[str]:
        return sorted(name for name in self if name.rpartition("/")[2] == basename)


def _unbundled(folder: Path, files: Mapping[str, str]) -> Unbundled:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code = [n for n in files if not n.endswith((".json", ".bin", ".css"))]
    resolver = Resolver(
        _Files({n: t.encode() for n, t in files.items()}), frozenset({"browser", "module"})
    )
    with service(tool("esbuild")) as esbuild:
        return unbundled(folder.resolve(), code, resolver, esbuild, "production")


@pytest.mark.parametrize(
    ("written", "runs"),
    [
        ('import "./b";', 'import "./b.js";'),
        ('import("./b");', 'import("./b.js");'),
        ('import "p/deep";', 'import "../node_modules/p/lib/deep.mjs";'),
        ('import "p";', 'import "../node_modules/p/for%20pages.js";'),
        ('import "./style.css";', 'import "data:text/javascript,export default {}";'),
        ('import data from "./d.json";', 'import data from "./d.json.vtool.mjs";'),
        ('import "node:fs"; import "https://x.org/y.js";', None),
        ('import(`./${name}.js`); import "gone";', None),
        ('new Worker(new URL("./w.ts", import.meta.url));', 'new Worker(new URL("./w.js", import'),
        ('new URL("../models/a.bin?v=1", import.meta.url);', None),
        ('require("./b");', 'require("./b.js");'),
        ('require("gone-in-pages");', 'require("../vtool-nothing.cjs");'),
    ],
)
def test_an_import_leads_to_the_file_that_it_means(
    written: str, runs: str | None, tmp_path: Path
) -> None:
    files = {
        "src/a.js": f"const name = 'b';\n{written}",
        "src/b.ts": "export const b: number = 1;",
        "src/w.ts": "postMessage(1 as number);",
        "src/d.json": "{}",
        "src/style.css": "",
        "models/a.bin": "",
        "package.json": '{"browser": {"gone-in-pages": false}}',
        "node_modules/p/package.json": (
            '{"name": "p", "exports": {"./*": "./lib/*.mjs", ".": {"browser": "./for pages.js"}}}'
        ),
        "node_modules/p/lib/deep.mjs": "",
        "node_modules/p/for pages.js": "",
    }
    text = _unbundled(tmp_path, files).files["src/a.js"].decode()
    assert (runs or written) in text


def test_typescript_is_lowered_beside_itself_and_never_over_another_file(tmp_path: Path) -> None:
    files = {
        "a.ts": "enum E { A = 1 } export const a: E = E.A; import './b.tsx'; import './c';",
        "a.js": "export const other = 1;",
        "b.tsx": "import type { T } from './t'; export const b = <p>{1 as T}</p>;",
        "c.mts": "export default 1;",
        "t.ts": "export type T = number;",
        "tsconfig.json": '{"compilerOptions": {"jsx": "react", "jsxFactory": "h"}}',
    }
    made = _unbundled(tmp_path, files)
    assert made.paths == {"a.ts": "a.ts.js", "b.tsx": "b.js", "c.mts": "c.mjs", "t.ts": "t.js"}
    assert made.files["a.js"] == b"export const other = 1;"
    assert b'import "./b.js"' in made.files["a.ts.js"]
    assert b'h("p", null, 1)' in made.files["b.js"]
    assert b"import" not in made.files["b.js"]


def test_a_module_that_no_browser_loads_is_named(tmp_path: Path) -> None:
    files = {"a.js": 'require("./b");', "b.js": "self.x = 1;", "c.js": 'import "./a";'}
    assert _unbundled(tmp_path, files).commonjs == ("a.js",)


def test_json_gives_its_value_and_its_fields(tmp_path: Path) -> None:
    text = '{"rate": 16000, "a-b": 1, "default": 2}'
    made = _unbundled(tmp_path, {"a.js": 'import { rate } from "./d.json";', "d.json": text})
    module = made.files["d.json.vtool.mjs"].decode()
    assert "export { field0 as rate };" in module
    assert module.count("export") == 2


def test_the_mode_stands_where_a_module_asks_for_it(tmp_path: Path) -> None:
    made = _unbundled(tmp_path, {"a.js": "export const m = process.env.NODE_ENV; import './b';",
                                 "b.js": "typeof process;"})  # fmt: skip
    assert made.files["a.js"].startswith(b'export const m = "production";')
    assert made.files["b.js"] == b"typeof process;"


def test_typescript_that_is_wrong_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.ts:2: "):
        _unbundled(tmp_path, {"a.ts": "let a = 1;\nlet = ;"})
