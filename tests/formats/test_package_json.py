"""Where package.json says its files are: Node on random tables, esbuild on real packages."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import real

from toolchain.errors import FormatError
from toolchain.formats import esbuild
from toolchain.formats.node_resolution import BUILTINS, EMPTY, Resolver
from toolchain.formats.package_json import (
    Package,
    Problem,
    browser_replacement,
    has_side_effects,
    main_files,
    parse,
    resolve_export,
    resolve_import,
)
from toolchain.sources.tools import node, tool

ORT_CONDITION = "onnxruntime-web-use-extern-wasm"


def _export(exports: object, subpath: str = ".", *conditions: str) -> object:
    found = resolve_export(Package({"name": "p", "exports": exports}), subpath, set(conditions))
    return found.text if isinstance(found, Problem) else found


def test_exports_of_onnxruntime_lead_to_the_build_for_each_condition() -> None:
    package = parse(real.file("npm:onnxruntime-web@1.30.0", "package.json").read_bytes())
    assert [
        resolve_export(package, subpath, {"browser", *conditions})
        for subpath, *conditions in (
            ("./wasm", "require"),
            ("./wasm", "import"),
            ("./wasm", "import", ORT_CONDITION),
            (".", "node", "require"),
            ("./ort-wasm-simd-threaded.wasm",),
        )
    ] == [
        "./dist/ort.wasm.min.js",
        "./dist/ort.wasm.bundle.min.mjs",
        "./dist/ort.wasm.min.mjs",
        "./dist/ort.node.min.js",
        "./dist/ort-wasm-simd-threaded.wasm",
    ]


def test_exports_that_point_nowhere_say_so() -> None:
    assert _export({"./a": "./a.js"}) == "p does not export its main entry"
    assert _export("./a.js", "./b") == "p does not export ./b"
    assert _export({".": {"node": "./a.js"}}, ".", "browser") == "p does not export its main entry"
    assert _export({"./*": None}, "./x") == "./x leads to null, which is no file"
    assert _export({".": "../a.js"}) == ". leads to '../a.js', outside the package"
    assert _export({"./*": "./*"}, "./../x") == "./../x leads to './../x', outside the package"
    assert _export({".": 7}) == ". leads to 7, which is no file"
    assert _export({"a": "./a.js", ".": "./b.js"}) == "the exports of p are malformed"
    assert resolve_export(Package({}), ".", set()) is None


@pytest.mark.parametrize(
    ("data", "offset"),
    [(b'{"a": }', 6), (b"[]", 0), (b"\xff\xfe", 0), (b"", 0), (b'{"\xc3\xa9" 1}', 6)],
)
def test_a_package_json_that_is_none_is_a_format_error(data: bytes, offset: int) -> None:
    with pytest.raises(FormatError) as caught:
        parse(data)
    assert caught.value.offset == offset


TARGETS = [
    *("./a.js", "./lib/b.js", "./lib/*.js", "./*/x.js", "./*", "../out.js", "bare", "./no/../a.js"),
    *("/a.js", "./node_modules/a.js", "", "./", "#other", None, 7),
]
NAMES = [".", "./a", "./a/b", "./*", "./a/*", "./a*", "./*/b", "./a/*/c.js", "./b/*.js"]
ASKED = [".", "./a", "./a/b", "./a/b/c.js", "./b/x.js", "./ab", "./zz/b", "./a/", "./b/.js"]
CONDITIONS = ["import", "require", "default", "node", "browser", "custom"]


def _target(chance: random.Random, depth: int) -> object:
    kind = chance.random() if depth else 1.0
    if kind < 0.35:
        return {
            c: _target(chance, depth - 1) for c in chance.sample(CONDITIONS, chance.randint(1, 3))
        }
    if kind < 0.5:
        return [_target(chance, depth - 1) for _ in range(chance.randint(0, 3))]
    return chance.choice(TARGETS)


def _tables(count: int) -> list[dict[str, object]]:
    chance = random.Random(20_240_602)  # noqa: S311 - the same tables every time
    tables: list[dict[str, object]] = []
    for number in range(count):
        exports: object = {
            name: _target(chance, 2) for name in chance.sample(NAMES, chance.randint(1, 4))
        }
        if number % 5 == 0:
            exports = _target(chance, 2)
        inner = {
            name.replace(".", "#", 1).replace("#/", "#"): _target(chance, 2)
            for name in chance.sample(NAMES[1:], chance.randint(1, 4))
        }
        tables.append({"name": f"p{number}", "exports": exports, "imports": inner})
    return tables


ASK_NODE = """
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const [root, questions] = [process.cwd(), JSON.parse(process.argv[2])];
const answers = questions.map(([from, specifier]) => {
  const parent = pathToFileURL(`${root}/${from}`).href;
  try {
    const found = decodeURI(import.meta.resolve(specifier, parent));
    return found.replace(pathToFileURL(root).href + "/", "");
  } catch (error) {
    return `! ${error.code}`;
  }
});
process.stdout.write(JSON.stringify(answers));
"""


def _ask_node(folder: Path, questions: list[tuple[str, str]]) -> list[str]:
    (folder / "ask.mjs").write_text(ASK_NODE)
    flags = ["--experimental-import-meta-resolve", "--no-warnings", "-C", "custom"]
    done = subprocess.run(
        [node(), *flags, "ask.mjs", json.dumps(questions)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answers: list[str] = json.loads(done.stdout)
    return answers


def test_node_resolves_random_exports_and_imports_to_the_same_files(tmp_path: Path) -> None:
    questions, ours = [], []
    conditions = {"node", "import", "custom", "module-sync", "node-addons"}
    for table in _tables(150):
        name, folder = table["name"], tmp_path / "node_modules" / str(table["name"])
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps(table))
        package = Package(table)
        for asked in ASKED:
            if table["exports"] is None:
                continue  # no exports at all: Node looks for main files then
            questions.append(("root.mjs", f"{name}{asked[1:]}"))
            ours.append((name, resolve_export(package, asked, conditions)))
            if asked != ".":
                inner = f"#{asked[2:]}"
                questions.append((f"node_modules/{name}/x.js", inner))
                ours.append((name, resolve_import(package, inner, conditions)))
    found = 0
    for question, (name, we), they in zip(
        questions, ours, _ask_node(tmp_path, questions), strict=True
    ):
        if isinstance(we, Problem):
            assert they.startswith("!"), (question, we.text, they)
            continue
        assert we is not None
        # a target that is another package's name is looked up further, and is not there
        expected = (
            f"node_modules/{name}/{we[2:]}" if we.startswith("./") else "! ERR_MODULE_NOT_FOUND"
        )
        if they != "! ERR_UNSUPPORTED_DIR_IMPORT" or not we.endswith("/"):
            assert they in {expected, "! ERR_MODULE_NOT_FOUND"}, (question, we)
        found += they == expected
    assert found > 150


def _project() -> dict[str, Path]:
    """Return a project of real packages by their paths in it."""
    roots = {
        "node_modules/@runanywhere/web": "npm:@runanywhere/web@0.1.0-beta.10",
        "node_modules/@runanywhere/web-onnx": "npm:@runanywhere/web-onnx@0.1.0-beta.10",
        "node_modules/@ricky0123/vad-web": "npm:@ricky0123/vad-web@0.0.31",
        "node_modules/onnxruntime-web": "npm:onnxruntime-web@1.30.0",
        "node_modules/onnxruntime-common": "npm:onnxruntime-common@1.30.0",
        "node_modules/livekit-client": "npm:livekit-client@2.23.0",
        "node_modules/@deepgram/sdk": "npm:@deepgram/sdk@5.13.0",
        "node_modules/@pipecat-ai/client-js": "npm:@pipecat-ai/client-js@1.13.1",
    }
    return {
        f"{root}/{path.relative_to(real.folder(package)).as_posix()}": path
        for root, package in roots.items()
        for path in real.folder(package).rglob("*")
        if path.is_file() and path.suffix in {".js", ".mjs", ".cjs", ".json", ".ts", ".mts"}
    }


class _Disk:
    def __init__(self, files: dict[str, Path]) -> None:
        self.files = files

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def read(self, name: str, /) -> bytes:
        return self.files[name].read_bytes()

    def named(self, basename: str, /) -> list[str]:
        return sorted(name for name in self.files if name.rpartition("/")[2] == basename)


@pytest.mark.parametrize(
    "conditions", [("browser", "module"), ("browser", ORT_CONDITION), ("browser", "node")]
)
def test_esbuild_resolves_every_import_of_real_packages_to_the_same_file(
    tmp_path: Path, conditions: tuple[str, ...]
) -> None:
    files = _project()
    for name, path in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(path)
    both = ["@ricky0123/vad-web", "onnxruntime-common", "onnxruntime-web", "onnxruntime-web/webgpu"]
    both += ["onnxruntime-web/all", "livekit-client/e2ee-worker"]
    text = "".join(f'import "{name}"; require("{name}");\n' for name in both)
    text += 'import "@runanywhere/web-onnx";\n'
    (tmp_path / "main.js").write_text(text)
    flags = (
        "--bundle",
        "--format=esm",
        "--outdir=out",
        "--platform=browser",
        "--preserve-symlinks",
    )
    with esbuild.service(tool("esbuild")) as service:
        flags += ("--external:node:*", *(f"--external:{name}" for name in BUILTINS))
        flags += (f"--conditions={','.join(conditions)}",)
        result = service.build(
            esbuild.Build(tmp_path, {"main": "main.js"}, (*flags, "--tree-shaking=false"))
        )
    assert result.errors == ()
    resolver = Resolver(_Disk({**files, "main.js": tmp_path / "main.js"}), frozenset(conditions))
    compared = 0
    for importer, module in result.inputs.items():
        for one in module.imports:
            if (
                one.kind not in {"import-statement", "require-call", "dynamic-import"}
                or not one.original
            ):
                continue
            ours = resolver.resolve(one.original, importer, require=one.kind == "require-call")
            if one.external or one.path.startswith("(disabled):"):
                assert isinstance(ours, Problem) or ours == EMPTY, (importer, one)
            else:
                assert ours == one.path, (importer, one)
                compared += 1
    assert compared > 50


class _Given(dict[str, str]):
    def read(self, name: str, /) -> bytes:
        return self[name].encode()

    def named(self, basename: str, /) -> list[str]:
        return sorted(name for name in self if name.rpartition("/")[2] == basename)


def _resolve(
    files: Mapping[str, object],
    specifier: str,
    importer: str = "src/a.ts",
    conditions: frozenset[str] = frozenset({"browser"}),
) -> object:
    given = _Given({n: v if isinstance(v, str) else json.dumps(v) for n, v in files.items()})
    found = Resolver(given, conditions).resolve(specifier, importer)
    return found.text if isinstance(found, Problem) else found


def test_files_are_found_without_extension_and_under_the_name_they_are_compiled_to() -> None:
    files = dict.fromkeys(("src/b.ts", "src/c/index.js", "src/d.js", "src/d.ts", "src/e.mts"), "")
    assert _resolve(files, "./b") == "src/b.ts"
    assert _resolve(files, "./b.js") == "src/b.ts"
    assert _resolve(files, "./e.mjs") == "src/e.mts"
    assert _resolve(files, "./c") == _resolve(files, "../src/c/") == "src/c/index.js"
    assert _resolve(files, "./d") == "src/d.ts"
    assert _resolve(files, "./d.js") == "src/d.js"
    assert _resolve(files, ".", "src/c/x.js") == "src/c/index.js"
    assert _resolve(files, "./gone") == "there is no file src/gone"
    assert _resolve(files, "../../x") == "../../x leads out of the project"
    assert (
        _resolve({"node_modules/p/x.ts": "", "node_modules/p/x.js": ""}, "p/x")
        == "node_modules/p/x.js"
    )


def test_the_nearest_installed_package_wins_and_a_package_may_name_itself() -> None:
    files = {
        "node_modules/p/index.js": "",
        "node_modules/q/node_modules/p/package.json": {"main": "lib"},
        "node_modules/q/node_modules/p/lib/index.js": "",
        "node_modules/q/package.json": {
            "name": "q",
            "exports": {"./x": "./y.js"},
            "imports": {"#i": "p"},
        },
        "node_modules/q/y.js": "",
    }
    inner = "node_modules/q/node_modules/p/lib/index.js"
    assert _resolve(files, "p") == "node_modules/p/index.js"
    assert _resolve(files, "p", "node_modules/q/y.js") == inner
    assert _resolve(files, "q/x", "node_modules/q/y.js") == "node_modules/q/y.js"
    assert _resolve(files, "#i", "node_modules/q/y.js") == inner
    assert _resolve(files, "q/y.js") == "q does not export ./y.js"
    assert _resolve(files, "r") == "the package r is not installed"
    assert _resolve(files, "fs") == "fs is a module of Node"
    assert (
        _resolve(files, "https://example.com/x.js")
        == "https://example.com/x.js is not a file of a package"
    )


def test_a_table_that_names_a_missing_file_says_which() -> None:
    files = {"node_modules/p/package.json": {"name": "p", "exports": "./dist/gone.js"}}
    assert _resolve(files, "p") == "p points to ./dist/gone.js, which is not there"
    assert (
        _resolve({"node_modules/p/package.json": {"name": "p"}}, "p")
        == "node_modules/p has no main file"
    )


def test_the_browser_field_replaces_files_and_packages() -> None:
    package = {
        "name": "p",
        "browser": {"./n.js": "./b.js", "fs": False, "net": "./net.js"},
        "main": "n",
    }
    files = {"node_modules/p/package.json": package}
    files |= dict.fromkeys(
        ("node_modules/p/n.js", "node_modules/p/b.js", "node_modules/p/net.js"), ""
    )
    inside = "node_modules/p/b.js"
    assert _resolve(files, "p") == "node_modules/p/b.js"
    assert _resolve(files, "./n", inside) == "node_modules/p/b.js"
    assert _resolve(files, "fs", inside) == EMPTY
    assert _resolve(files, "net", inside) == "node_modules/p/net.js"
    assert _resolve(files, "p", conditions=frozenset()) == "node_modules/p/n.js"
    assert browser_replacement(Package(package), "./other.js") is True


def test_main_fields_are_asked_in_the_order_of_the_import() -> None:
    package = Package({"main": "m.js", "module": "e.js", "browser": "b.js"})
    assert main_files(package, require=False, browser=True) == ["b.js", "e.js", "m.js"]
    assert main_files(package, require=True, browser=False) == ["m.js", "e.js"]


@pytest.mark.parametrize(
    ("effects", "path", "has"),
    [
        (None, "a.js", True),
        (False, "a.js", False),
        (["./src/*.js"], "src/a.js", True),
        (["./src/*.js"], "src/deep/a.js", False),
        (["**/*.css"], "a/b/c.css", True),
        (["*.css"], "a/b/c.css", True),
        (["./a.js"], "b/a.js", False),
        ([], "a.js", False),
    ],
)
def test_side_effects(effects: object, path: str, *, has: bool) -> None:
    fields = {} if effects is None else {"sideEffects": effects}
    assert has_side_effects(Package(fields), path) is has
