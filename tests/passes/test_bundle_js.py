"""bundle-js on the reference application, and on what cannot be bundled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from posixpath import normpath

import golden
import pytest

from toolchain.errors import InputError
from toolchain.formats.javascript import read
from toolchain.formats.kinds import HEAD_BYTES, kind_of
from toolchain.ingest import javascript
from toolchain.ir import (
    Artifact,
    ArtifactId,
    DirectoryStore,
    Edge,
    Graph,
    Kind,
    MemoryStore,
    Relation,
    Store,
    digest_of,
)
from toolchain.passes.bundle_js import BundleJs
from toolchain.passes.tree_shake import TreeShake
from toolchain.sources import registries
from toolchain.sources.lock import Lock
from toolchain.tables import load
from toolchain.units import Bytes
from toolchain.verify import same_exports

APP = Path(__file__).parents[2] / "fixtures" / "voice-app"
_ENDINGS = {".js", ".mjs", ".ts", ".json", ".wasm", ".onnx"}
_TOO_LARGE = 300_000  # ours: larger files are models, wasm and builds that nothing here imports


class _Disk:
    """The application's files as resolvers ask for them."""

    def __init__(self) -> None:
        roots = {"src": APP / "src"}
        for package in load(APP / "vtool.lock", Lock).package:
            for folder in package.install:
                roots[folder] = registries.unpacked(package.pinned).folder
        self.files = {
            f"{at}/{p.relative_to(root).as_posix()}": p
            for at, root in roots.items()
            for p in sorted(root.rglob("*"))
            if p.is_file() and p.suffix in _ENDINGS and "lib" not in p.relative_to(root).parts
        }
        self.files["package.json"] = APP / "package.json"

    def __contains__(self, name: object) -> bool:
        return name in self.files

    def read(self, name: ArtifactId) -> bytes:
        """Return the bytes of a file."""
        return self.files[name].read_bytes()

    def in_folder(self, folder: str) -> list[ArtifactId]:
        """Return all files below a folder."""
        return [ArtifactId(n) for n in sorted(self.files) if n.startswith(f"{folder}/")]

    def named(self, basename: str) -> list[ArtifactId]:
        """Return all files of a name."""
        return [ArtifactId(n) for n in sorted(self.files) if n.rpartition("/")[2] == basename]


def _application(store: Store) -> Graph:
    """Return the graph of the application; of what is not code the bytes are left out."""
    disk = _Disk()
    artifacts, edges = {}, set()
    for name, path in disk.files.items():
        small = path.stat().st_size < _TOO_LARGE
        data = path.read_bytes() if small else b""
        kind = kind_of(name, data[:HEAD_BYTES])
        artifacts[ArtifactId(name)] = Artifact(
            ArtifactId(name), kind, store.put(data), Bytes(len(data))
        )
        if kind not in javascript.KINDS or not small:
            continue
        for reference in javascript.read(memoryview(data)).references:
            found = javascript.resolve(
                reference, ArtifactId(name), disk, frozenset({"browser", "module"})
            )
            targets = [t for t in found or () if t != name]
            edges |= {Edge(ArtifactId(name), t, reference.relation) for t in targets}
    return Graph(artifacts, frozenset(edges), frozenset({ArtifactId("src/main.ts")}))


@pytest.fixture(scope="module")
def application() -> tuple[Graph, Graph, MemoryStore]:
    store = MemoryStore()
    before = _application(store)
    return before, BundleJs().apply(before, store), store


def _reached(graph: Graph, *relations: Relation) -> set[ArtifactId]:
    seen, todo = set(graph.roots), list(graph.roots)
    while todo:
        found = set(graph.targets(todo.pop(), *relations)) - seen
        seen |= found
        todo += found
    return seen


def test_the_application_becomes_a_core_a_lazy_chunk_and_what_both_share(
    application: tuple[Graph, Graph, MemoryStore],
) -> None:
    before, after, _ = application
    assert after.problems() == []
    code = {i: a for i, a in after.files.items() if i.startswith("app/") and a.kind is Kind.JS}
    main = ArtifactId("app/main.js")
    assert after.roots == {main, ArtifactId("app/LICENSES.txt")}
    eager, lazy = after.targets(main, Relation.IMPORT), after.targets(main, Relation.LAZY)
    assert {name.partition("-")[0] for name in eager} == {"app/chunk"}
    assert "app/speech" in [name.partition("-")[0] for name in lazy]
    assert {main, *eager, *lazy} <= code.keys()
    assert sum(a.size for a in code.values()) < 250_000
    gone = before.artifacts.keys() - after.artifacts.keys()
    assert len(gone) > 30
    assert not any(i.startswith("src/") for i in after.artifacts)
    # the files of the package that nobody imports are not this pass's business
    assert not [i for i in gone if before.artifacts[i].kind not in {Kind.JS, Kind.TS}]


def test_what_the_application_fetches_is_still_reached_from_the_chunk_that_fetches_it(
    application: tuple[Graph, Graph, MemoryStore],
) -> None:
    before, after, _ = application
    kinds = {Kind.WASM, Kind.ONNX, Kind.DATA}
    assets = {i for i in _reached(before) if before.artifacts[i].kind in kinds}
    assert {i.rpartition("/")[2] for i in assets} >= {
        "ort-wasm-simd-threaded.wasm",
        "sherpa-onnx.wasm",
        "silero_vad_v6.onnx",
    }
    assert assets <= _reached(after)
    eager = _reached(after, Relation.IMPORT, Relation.FETCH, Relation.WORKER)
    assert "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm" in eager
    assert not [i for i in eager if "sherpa" in i]
    assert not [i for i in _reached(after) if "jsep" in i or "asyncify" in i]


def test_the_application_exports_what_it_did_and_node_agrees(
    application: tuple[Graph, Graph, MemoryStore],
) -> None:
    proof = same_exports.prove(*application, asdict(BundleJs()))
    assert proof.holds, proof.detail
    assert "5 exports as in src/main.ts, same names and types in node" in proof.detail


def test_every_address_in_the_bundles_leads_to_a_file_that_is_shipped(
    application: tuple[Graph, Graph, MemoryStore],
) -> None:
    _, after, store = application
    found = set()
    for artifact in after.files.values():
        if artifact.id.startswith("app/") and artifact.kind is Kind.JS:
            for mention in read(store.get(artifact.digest)).mentions:
                if mention.how == "url" and not mention.computed:
                    found.add(normpath(f"app/{mention.target}"))
    # where a module was, so that names computed from that stay right; nothing is loaded from there
    base = "node_modules/@runanywhere/web-onnx/dist/Foundation/SherpaHelperLoader.js"
    assert found - after.artifacts.keys() <= {base}
    assert {name.rpartition("/")[2] for name in found} >= {
        "ort-wasm-simd-threaded.wasm",
        "ort-wasm-simd-threaded.mjs",
        "silero_vad_v6.onnx",
        "vad.worklet.bundle.min.js",
        "sherpa-onnx-glue.js",
    }


def test_licences_of_what_went_in_come_out(
    application: tuple[Graph, Graph, MemoryStore],
) -> None:
    _, after, store = application
    text = store.get(after.artifacts[ArtifactId("app/LICENSES.txt")].digest).decode()
    for line in ("@ricky0123/vad-web 0.0.31: ISC", "onnxruntime-web 1.30.0: MIT"):
        assert line in text
    assert "Copyright (c) Microsoft Corporation" in text


def test_the_same_input_gives_the_same_bytes_from_every_store_and_no_path_of_the_machine(
    application: tuple[Graph, Graph, MemoryStore], tmp_path: Path
) -> None:
    before, after, _ = application
    store = DirectoryStore(tmp_path / "store")
    assert _application(store) == before
    assert BundleJs().apply(before, store) == after
    for artifact in after.files.values():
        if artifact.id.startswith("app/"):
            data = store.get(artifact.digest)
            assert digest_of(data) == artifact.digest
            assert str(tmp_path).encode() not in data
            assert b"vtool-code" not in data


def _bundle(text: str, options: BundleJs | None = None) -> Graph:
    graph, store = golden.parse(text)
    return (options or BundleJs()).apply(graph, store)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            'js *src/main.js\n    import "./a.js";\njs src/a.js\n    let a = 1;\n    let b = ;\n',
            'src/a.js:2: Unexpected ";"',
            "correct the code: let b = ;",
        ),
        (
            'ts *src/main.ts\n    let a = 1;\n\n    import "gone";\n    import "./gone";\n',
            'src/main.ts:3: Could not resolve "gone" (and 1 more)',
            "install the package",
        ),
        (
            'js *main.js\n    import "p";\njson node_modules/p/package.json\n    {"exports": {}}\n',
            'main.js:1: Could not resolve "p"',
            "install the package",
        ),
        (
            'js *main.js\n    import fs from "fs";\n',
            "main.js:1: fs is a module of Node, which a browser does not have",
            "",
        ),
        (
            'js *src/a.js -> chime.mp3\n    import at from "../chime.mp3";\naudio chime.mp3\n',
            "src/a.js:1: ../chime.mp3 is no code, so nobody says what importing it gives",
            'new URL("../chime.mp3", import.meta.url)',
        ),
        (
            'js *a.js -> a.css\n    import "./a.css";\ncss a.css\n    b{c:url(b.svg)}\ndata b.svg',
            "a.css:1: b.svg is loaded by a style sheet, which bundle-js cannot follow",
            "`external`",
        ),
        (
            "js *main.js\n    export const a = 1;\nwasm app/main.js\n",
            "the project has a file app/main.js already",
            "another `outdir`",
        ),
    ],
)
def test_what_cannot_be_bundled_is_an_error_at_its_place(
    text: str, message: str, hint: str
) -> None:
    with pytest.raises(InputError) as caught:
        _bundle(text)
    assert str(caught.value) == message
    assert hint in caught.value.hint


def test_guarded_requests_for_node_stay_and_an_installed_package_of_that_name_goes_in() -> None:
    text = """\
js *main.js
    export const fs = globalThis.process?.versions?.node ? () => import("fs") : null;
    export const emit = () => import("events");
json node_modules/events/package.json
    {"name": "events", "version": "3.3.0", "main": "events.js"}
js node_modules/events/events.js
    exports.on = () => "ours";
"""
    after = _bundle(text)
    outside = {e.target for e in after.edges if e.target.startswith("external:")}
    assert outside == {"external:fs"}
    assert after.artifacts[ArtifactId("external:fs")].kind is Kind.EXTERNAL
    assert "node_modules/events/events.js" not in after.artifacts


def test_two_roots_of_one_name_get_two_bundles() -> None:
    after = _bundle(
        "js *a/main.js\n    export const a = 1;\njs *b/main.js\n    export const b = 1;\n"
    )
    assert after.roots == {"app/main.js", "app/b-main.js"}


def test_a_file_whose_name_is_put_together_stays_one_that_the_bundle_loads() -> None:
    after = _bundle(
        "js *src/main.js @> sounds/beep.mp3\n"
        '    const sound = "/sounds/beep";\n'
        "    globalThis.all ??= [sound];\n"
        '    fetch(sound + ".mp3"); fetch(`${sound}.mp3`);\n'
        "audio sounds/beep.mp3\n"
    )
    main, beep = ArtifactId("app/main.js"), ArtifactId("sounds/beep.mp3")
    assert after.targets(main, Relation.FETCH) == [beep]


def test_a_file_that_would_leave_the_folder_is_refused() -> None:
    store = MemoryStore()
    name = ArtifactId("../main.js")
    artifact = Artifact(name, Kind.JS, store.put(b"1"), Bytes(1))
    with pytest.raises(InputError, match="lies outside the project"):
        BundleJs().apply(Graph({name: artifact}, frozenset(), frozenset({name})), store)


def _bundled_by_each(graph: Graph, store: Store) -> Iterator[tuple[Graph, bytes]]:
    """Yield what each bundler makes of ``graph``, and its script ``app/main.js``."""
    for name in ("esbuild", "rolldown", "rollup+swc", "rspack", "bun"):
        made = [a.graph for a in BundleJs(candidates=(name,)).attempts(graph, store) if a.graph]
        assert made
        for bundled in made:
            yield bundled, store.get(bundled.artifacts[ArtifactId("app/main.js")].digest)


def test_a_workspace_is_bundled_from_its_folder_with_what_its_configurations_say() -> None:
    graph, store = golden.parse(
        "js *packages/app/main.js\n"
        '    import { tag } from "@m/ui"; import "@m/ui/quiet.js"; import { h } from "@m/core";\n'
        "    console.log(tag, h.calls);\n"
        'json package.json\n    {"workspaces": ["packages/*"]}\n'
        'json packages/ui/package.json\n    {"name": "@m/ui", "main": "index.tsx", '
        '"sideEffects": false}\n'
        'json packages/ui/tsconfig.json\n    {"compilerOptions": {"jsxFactory": "h"}}\n'
        'ts packages/ui/index.tsx\n    import { h } from "@m/core";\n'
        "    export const tag = <b/>;\n"
        'js packages/ui/quiet.js\n    console.log("quiet");\n'
        'json packages/core/package.json\n    {"name": "@m/core", "exports": "./h.js"}\n'
        "js packages/core/h.js\n    export const h = (name) => (h.calls++, name);\n"
        "    h.calls = 0;\n"
    )
    for bundled, data in _bundled_by_each(graph, store):
        assert b"quiet" not in data
        assert b"React" not in data
        assert data.count(b"calls") >= 2
        assert not [i for i in bundled.artifacts if i.startswith("external:")]


def test_what_a_module_resolves_itself_is_found_from_its_bundle() -> None:
    graph, store = golden.parse(
        "js *src/main.js => src/w.js @> src/t.txt\n"
        '    fetch(import.meta.resolve("./t.txt"));\n'
        '    new Worker(import.meta.resolve("./w.js"), { type: "module" });\n'
        'js src/w.js\n    postMessage("ready");\n'
        "text src/t.txt\n    text\n"
    )
    for bundled, data in _bundled_by_each(graph, store):
        assert b"resolve" not in data
        assert all(address in data for address in (b"../src/t.txt", b"./w.js"))
        assert ArtifactId("app/w.js") in bundled.artifacts


def test_a_worker_that_a_pass_edited_before_is_bundled_all_the_same() -> None:
    graph, store = golden.parse(
        "js *main.js => w.js\n"
        '    new Worker(new URL("./w.js", import.meta.url), { type: "module" });\n'
        "js w.js\n"
        "    export const nobody = 1;\n"
        '    postMessage("ready");\n'
    )
    shaken = TreeShake().apply(graph, store)
    assert "w.js" in {e.target for e in shaken.edges if e.relation is Relation.MAPS}
    made = BundleJs().apply(shaken, store)
    assert ArtifactId("app/w.js") in made.targets(ArtifactId("app/main.js"), Relation.WORKER)
    assert ArtifactId("w.js") not in made.artifacts
