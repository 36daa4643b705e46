"""From a script's text to the files it needs: references, and what they lead to in a project."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import real

from toolchain.errors import FormatError
from toolchain.ingest import javascript
from toolchain.ingest.base import Reference
from toolchain.ir import ArtifactId, Relation

BROWSER = frozenset({"browser", "module"})
VAD = "npm:@ricky0123/vad-web@0.0.31"
WEB_ONNX = "npm:@runanywhere/web-onnx@0.1.0-beta.10"


class Project:
    """The files of a project in memory, as resolvers may ask for them."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = files

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def read(self, name: ArtifactId) -> bytes:
        """Return the bytes of a file."""
        return self.files[name].encode()

    def in_folder(self, folder: str) -> list[ArtifactId]:
        """Return all files below a folder."""
        return [
            ArtifactId(n) for n in sorted(self.files) if not folder or n.startswith(f"{folder}/")
        ]

    def named(self, basename: str) -> list[ArtifactId]:
        """Return all files of a name."""
        return [ArtifactId(n) for n in sorted(self.files) if n.rpartition("/")[2] == basename]


FILES = Project(
    {
        **dict.fromkeys(
            (
                *("src/a.ts", "src/b.ts", "src/w/c.js", "models/v5.onnx", "models/v6.onnx"),
                *("node_modules/p/lib/x.js", "node_modules/p/lib/x.mjs", "node_modules/p/big.wasm"),
                *("node_modules/p/one/same.bin", "node_modules/p/two/same.bin"),
                *("node_modules/p/node_modules/q/v7.onnx", "node_modules/p/v[7].onnx"),
                *("public/b.mp3", "public/a b.css", "public/vocabulary", "public/l/de.json"),
                *("src/l/de.json", "c.png"),
            ),
            "",
        ),
        "package.json": "{}",
        "node_modules/p/package.json": '{"name": "p", "exports": {"import": "./lib/x.mjs", '
        '"require": "./lib/x.js"}}',
    }
)


def _needs(code: str, source: str = "src/a.ts") -> list[tuple[str, list[str]]]:
    contents = javascript.read(memoryview(code.encode()))
    return [
        (r.relation.value, list(javascript.resolve(r, ArtifactId(source), FILES, BROWSER) or ()))
        for r in contents.references
    ]


@pytest.mark.parametrize(
    ("code", "needs"),
    [
        ('import "./b"; import "./w/c.js"', [("import", ["src/b.ts"]), ("import", ["src/w/c.js"])]),
        ('import "p"', [("import", ["node_modules/p/lib/x.mjs"])]),
        ('require("p")', [("import", ["node_modules/p/lib/x.js"])]),
        ('import("./b.js")', [("lazy", ["src/b.ts"])]),
        ('import "fs"; import "node:path"; import "gone"; import "./gone"', [("import", [])] * 4),
        ("import(`./w/${x}.js`)", [("dynamic", ["src/w/c.js"])]),
        ("import(x)", [("dynamic", [])]),
        ('new URL("../models/v6.onnx", import.meta.url)', [("fetch", ["models/v6.onnx"])]),
        ('new URL("../public/a%20b.css?v#x", import.meta.url)', [("fetch", ["public/a b.css"])]),
        ('new Worker(new URL("./w%2Fc.js", import.meta.url))', [("worker", ["src/w/c.js"])]),
        ('f("../public/l%2Fde.json")', [("fetch", ["public/l/de.json"])]),
        ("new URL(`../public/a%20${x}.css`, import.meta.url)", [("dynamic", ["public/a b.css"])]),
        ('new URL("../models/gone.onnx", import.meta.url)', [("fetch", [])]),
        ('new URL("p/big.wasm", import.meta.url)', [("fetch", [])]),  # p does not export it
        ("new URL(`../models/${x}.onnx`, import.meta.url)",
         [("dynamic", ["models/v5.onnx", "models/v6.onnx"])]),
        ('new URL("../models/", import.meta.url)', [("dynamic", [])]),
        ('new URL(".", import.meta.url)', []),
        ('new Worker(new URL("./w/c.js", import.meta.url))', [("worker", ["src/w/c.js"])]),
        ('new Worker("w/c.js")', [("worker", ["src/w/c.js"])]),
        ('audio.addModule(base + "c.js")', [("dynamic", ["src/w/c.js"])]),
        ('const m = "v6.onnx"', [("fetch", ["models/v6.onnx"])]),
        ('const m = "models/v6.onnx?x"', [("fetch", ["models/v6.onnx"])]),
        ('const m = "other/v6.onnx"', [("fetch", [])]),
        ("const m = `${base}v6.onnx`", [("dynamic", ["models/v6.onnx"])]),
        ('const m = "/v6.onnx"', [("fetch", ["models/v6.onnx"])]),
        ('new Audio("/public/b.mp3")', [("fetch", ["public/b.mp3"])]),
        ('f("./public/b.mp3?v=1#t", "public/b.mp3", "c.png", "../c.png")',
         [("fetch", ["public/b.mp3"])] * 2 + [("fetch", ["c.png"])] * 2),
        ('f("/b.mp3", "/public/a%20b.css", "/public/a b.css", "/public/vocabulary")',
         [("fetch", ["public/b.mp3"])] + [("fetch", ["public/a b.css"])] * 2
         + [("fetch", ["public/vocabulary"])]),
        ('f("b.mp3", "p/b.mp3", "/other/b.mp3", "./vocabulary")', [("fetch", [])] * 4),
        ("a.innerHTML = '<img src=\"/c.png\">'", [("fetch", ["c.png"])]),
        ("fetch(`/public/l/${x}.json`)", [("dynamic", ["public/l/de.json"])]),
        ('fetch("./l/" + x + ".json")', [("dynamic", ["src/l/de.json"])]),
        ("fetch(`/l/${x}.json`)", [("dynamic", ["public/l/de.json", "src/l/de.json"])]),
        ("fetch(`/public/v-${x}.json`)", [("dynamic", [])]),
    ],
)  # fmt: skip
def test_code_needs(code: str, needs: list[tuple[str, list[str]]]) -> None:
    assert _needs(code) == needs


def test_a_name_that_two_files_have_and_a_file_of_another_package_are_not_meant() -> None:
    inside = "node_modules/p/lib/x.js"
    assert _needs('f("same.bin")', inside) == [("fetch", [])]
    assert _needs('f("one/same.bin")', inside) == [("fetch", ["node_modules/p/one/same.bin"])]
    assert _needs('f("v6.onnx")', inside) == [("fetch", [])]
    assert _needs('f("v7.onnx")', inside) == [("fetch", [])]
    assert _needs("f(`${b}v[7].onnx`)", inside) == [("dynamic", ["node_modules/p/v[7].onnx"])]


def test_a_string_in_a_package_names_what_is_beside_it_or_at_the_root_of_the_site() -> None:
    inside = "node_modules/p/lib/x.js"
    assert _needs('f("c.png", "public/b.mp3", "/b.mp3")', inside) == [("fetch", [])] * 3
    assert _needs('f("/public/b.mp3")', inside) == [("fetch", ["public/b.mp3"])]


def test_what_a_browser_field_removes_is_not_missing() -> None:
    project = Project(
        {"package.json": '{"browser": {"fs": false, "./node.js": false}}', "node.js": ""}
    )
    code = 'import "fs"; require("fs"); import("./node.js"); import "path";'
    found = javascript.read(memoryview(code.encode())).references

    def resolved(conditions: frozenset[str]) -> list[object]:
        source = ArtifactId("main.js")
        return [javascript.resolve(r, source, project, conditions) for r in found]

    assert resolved(BROWSER) == [None, None, None, []]
    assert resolved(frozenset()) == [[], [], ["node.js"], []]


def test_a_source_map_is_no_need() -> None:
    assert _needs("let a;\n//# sourceMappingURL=a.js.map") == []


def test_a_file_that_is_no_text_is_refused_and_a_syntax_error_is_a_problem() -> None:
    with pytest.raises(FormatError, match="at byte 2") as caught:
        javascript.read(memoryview(b"a;\0"))
    assert caught.value.offset == 2
    contents = javascript.read(memoryview(b'import "./a.js";\nlet = = ;'))
    assert [r.target for r in contents.references] == ["./a.js"]
    assert contents.problems[0].startswith("line 2: ")


def test_facts_tell_the_language_and_the_exports() -> None:
    facts = dict(javascript.read(memoryview(b"export const a: number = 1;")).facts)
    assert facts == {"dialect": "typescript", "modules": "esm", "exports": "a"}
    many = "".join(f"export const n{number:02} = 1;\n" for number in range(22))
    assert dict(javascript.read(memoryview(many.encode())).facts)["exports"].endswith(
        "n19 and 2 more"
    )


def _package(package: str) -> Project:
    folder = real.folder(package)
    files = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    text = {".js", ".mjs", ".json"}
    return Project({n: p.read_text("utf-8") if p.suffix in text else "" for n, p in files.items()})


def test_the_detector_names_its_models_and_its_worklet() -> None:
    project = _package(VAD)
    source = ArtifactId("dist/real-time-vad.js")
    contents = javascript.read(memoryview(project.read(source)))
    found = {
        t: r.relation
        for r in contents.references
        for t in javascript.resolve(r, source, project, BROWSER) or ()
    }
    assert {t for t, relation in found.items() if relation is Relation.FETCH} == {
        "dist/silero_vad_legacy.onnx",
        "dist/silero_vad_v5.onnx",
        "dist/silero_vad_v6.onnx",
        "dist/vad.worklet.bundle.min.js",
    }
    unknown = Reference("*", Relation.DYNAMIC, "path", 104)
    assert unknown in contents.references
    outside = [r.target for r in contents.references if r.form == "require" and "/" in r.target[2:]]
    assert outside == ["onnxruntime-web/wasm"]


def test_every_relative_import_of_a_real_package_leads_to_a_file() -> None:
    for package in (VAD, WEB_ONNX, "npm:@runanywhere/web@0.1.0-beta.10"):
        project = _package(package)
        count = 0
        for name in project.files:
            if not name.endswith(".js") or "bundle" in name:
                continue
            source = ArtifactId(name)
            for reference in javascript.read(memoryview(project.read(source))).references:
                if reference.form in {"import", "require"} and reference.target.startswith("."):
                    assert javascript.resolve(reference, source, project, BROWSER), (
                        name,
                        reference,
                    )
                    count += 1
        assert count > 5


def test_the_glue_of_sherpa_is_found_from_the_bridge() -> None:
    project = _package(WEB_ONNX)
    source = ArtifactId("dist/Foundation/SherpaONNXBridge.js")
    found = [
        (r.relation, *(javascript.resolve(r, source, project, BROWSER) or ()))
        for r in javascript.read(memoryview(project.read(source))).references
    ]
    assert (Relation.FETCH, "wasm/sherpa/sherpa-onnx-glue.js") in found
    assert (Relation.FETCH, "wasm/sherpa/sherpa-onnx.wasm") in found


@pytest.mark.parametrize(
    ("text", "jsx", "runtime"),
    [
        ("export const a = <b/>;", "react-jsx", "react/jsx-runtime"),
        ("export const a = <><b>x</b></>;", "react-jsxdev", "react/jsx-dev-runtime"),
        ("/** @jsxImportSource preact */ export const a = <b/>;", "react", "preact/jsx-runtime"),
        ("/** @jsxRuntime automatic */ export const a = <b/>;", "react", "react/jsx-runtime"),
        ("export const a = <b/>;", "react", ""),
        ("export const a = '</b>';", "react-jsx", ""),
    ],
)
def test_jsx_needs_what_its_compiler_imports(text: str, jsx: str, runtime: str) -> None:
    runtimes = [f"{p}/jsx-{d}runtime" for p in ("react", "preact") for d in ("", "dev-")]
    project = Project(
        {
            "src/a.jsx": text,
            "tsconfig.json": f'{{"compilerOptions": {{"jsx": "{jsx}"}}}}',
            **{f"node_modules/{name}.js": "" for name in runtimes},
        }
    )
    found = javascript.read(memoryview(text.encode())).references
    asked = [one for one in found if one.form == "jsx"]
    assert len(asked) == ("<b" in text)
    for one in asked:
        targets = javascript.resolve(one, ArtifactId("src/a.jsx"), project, BROWSER)
        assert targets == ([f"node_modules/{runtime}.js"] if runtime else [])
