"""The proof of bundles refuses every way in which a bundle can be wrong."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict
from pathlib import Path

import golden
import pytest

from toolchain.errors import ToolError
from toolchain.formats import node_module
from toolchain.formats.node_module import Laid, load_both, load_module
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Proof, Relation, Store
from toolchain.passes.bundle_js import BundleJs
from toolchain.sources.tools import node
from toolchain.units import Bytes
from toolchain.verify import same_exports

SOURCES = """\
js *src/main.js -> src/tones.js ~> src/speech.js
    export * from "./tones.js";
    export const start = () => import("./speech.js");
js src/tones.js -> src/main.js
    export * from "./main.js";
    export const low = 55, high = "880";
    export default 1;
js src/speech.js
    export const say = () => "said";
"""
MAIN = ArtifactId("app/main.js")


def prove(before: Graph, after: Graph, store: Store) -> Proof:
    """Prove what BundleJs makes with its defaults."""
    return same_exports.prove(before, after, store, asdict(BundleJs()))


def _bundled(text: str = SOURCES) -> tuple[Graph, Graph, Store]:
    graph, store = golden.parse(text)
    return graph, BundleJs(minify=False).apply(graph, store), store


def _with(text: str, *edges: Edge, of: str = SOURCES) -> Proof:
    """Prove the bundle with ``text`` in place of what bundle-js wrote."""
    before, after, store = _bundled(of)
    data = text.encode()
    forged = Artifact(MAIN, Kind.JS, store.put(data), Bytes(len(data)))
    return prove(before, after.with_artifacts([forged]).with_edges(edges), store)


def _text() -> str:
    _, after, store = _bundled()
    return store.get(after.artifacts[MAIN].digest).decode()


def test_a_true_bundle_is_proved_by_name_by_import_and_in_node() -> None:
    proof = prove(*_bundled())
    assert proof.holds
    assert proof.detail == (
        "2 files, all imports resolve; app/main.js: 3 exports as in src/main.js, "
        "same names and types in node as its modules one by one, same console and globals; "
        "1 chunk loads in node"
    )
    assert _with(_text()).holds


@pytest.mark.parametrize(
    ("change", "by", "detail"),
    [
        ("  low,\n", "", "app/main.js exports not what src/main.js does: lost ['low'], added []"),
        ("  low,\n", "  low, low as mid,\n", "lost [], added ['mid']"),
        ('import("./speech-', 'import("./speach-', "leads nowhere"),
        ("var low", 'import "left-pad";\nvar low', "the import of 'left-pad' leads nowhere"),
        ("var low", 'import "node:fs";\nvar low', "the import of 'node:fs' leads nowhere"),
        ("var low", 'console.log("file:///home/me/x.js");\nvar low', "path of this machine: file:"),
        ('"880"', "880", "app/main.js gives other values for ['high']"),
        (
            "var low",
            "throw new TypeError('odd');\nvar low",
            "only app/main.js fails to load in node",
        ),
        ("var low", "let x = y; let y = 1;\nvar low", "before initialization"),
        ("var low", "syntax error;\nvar low", "only app/main.js fails to load in node"),
        ("var low", "console.warn('hm', {});\nvar low", "says 'warn: hm object' where the source"),
        ("var low", "globalThis.seen = 1;\nvar low", "built-in members are changed: seen"),
        (
            "var low",
            "Array.prototype.at = null;\nvar low",
            "built-in members are changed: Array.prototype.at",
        ),
    ],
)
def test_a_bundle_is_refused_that(change: str, by: str, detail: str) -> None:
    text = _text()
    assert change in text
    proof = _with(text.replace(change, by, 1))
    assert not proof.holds
    assert detail in proof.detail


def test_what_the_sources_print_and_change_must_stay() -> None:
    acting = """\
js *main.js
    console.log("loaded", 1);
    String.prototype.shout = function () { return `${this}!`; };
    globalThis.isReady = true;
    export const a = 1;
"""
    assert prove(*_bundled(acting)).holds
    lines = {
        "console.log('loaded', 1);": "the console says nothing where",
        "String.prototype.shout = () => 1;": "members are changed: String.prototype.shout",
        "globalThis.isReady = true;": "members are changed: isReady",
    }
    for gone, detail in lines.items():
        proof = _with("export const a = 1;" + "".join(lines.keys() - {gone}), of=acting)
        assert not proof.holds
        assert detail in proof.detail
    assert _with("export const a = 1;" + "".join(lines), of=acting).holds


def test_a_console_that_tells_the_time_is_no_difference() -> None:
    timely = "js *main.js\n    console.log(performance.now());\n    export const a = 1;\n"
    proof = prove(*_bundled(timely))
    assert proof.holds
    assert "so does the whole bundle from run to run" in proof.detail


def test_what_is_said_after_a_lazy_import_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "b.mjs").write_text("await 0; export const b = 'later';")
    module = tmp_path / "a.mjs"
    begun = "import('./b.mjs').then(({ b }) => setTimeout(() => console.log(b), 50));"
    for alive in ("", "setInterval(() => {}, 1e6);", "setInterval(console.log, 60, 'again');"):
        module.write_text(f"{begun}{alive}")
        assert "log: later" in load_module(node(), module).said
    module.write_text("Promise.reject(new TypeError('odd')); export const a = 1;")
    loading = load_module(node(), module)
    assert (loading.exports, loading.said) == (
        (("a", "number"),),
        ("unhandledRejection: TypeError",),
    )
    module.write_text("setTimeout(() => process.exit(3)); export const a = 1;")
    assert load_module(node(), module).said == ("exit: 3",)
    module.write_text("await new Promise(() => {});")
    assert load_module(node(), module).error.startswith("its top level waits for ever")


def test_a_lazy_module_that_says_something_else_is_refused() -> None:
    lazy = SOURCES.replace(
        "export const start = ()",
        "import('./speech.js').then(m => console.log(m.say()));\n    export const start = ()",
    )
    assert _chunk_with("", lazy).holds
    proof = _chunk_with("console.log('odd');", lazy)
    assert (proof.holds, proof.detail) == (
        False,
        "app/main.js: the console says 'log: odd' where the source says 'log: said'",
    )


def test_a_module_that_never_stops_to_speak_is_compared_as_far_as_both_got() -> None:
    ticking = "js *main.js\n    let n = 0; setInterval(() => console.log(n++), 15); export {};\n"
    assert prove(*_bundled(ticking)).holds
    other = "let n = 1; setInterval(() => console.log(n++), 15); export {};"
    assert "says 'log: 1' where the whole bundle says 'log: 0'" in _with(other, of=ticking).detail


def test_a_difference_that_a_second_run_does_not_see_is_none(tmp_path: Path) -> None:
    (tmp_path / "ours.mjs").write_text("""
        import { existsSync, writeFileSync } from "node:fs";
        const mark = new URL("ran", import.meta.url);
        console.log(existsSync(mark) ? "same" : "other");
        writeFileSync(mark, "");
    """)
    (tmp_path / "theirs.mjs").write_text("console.log('same')")
    (tmp_path / "dice.mjs").write_text("console.log(Math.random())")
    ours, theirs, dice = (Laid(tmp_path / f"{n}.mjs", tmp_path) for n in ("ours", "theirs", "dice"))
    both = load_both(node(), ours, theirs)
    assert (both.ours, both.steady) == (both.theirs, True)
    assert load_both(node(), dice, theirs).steady
    assert not load_both(node(), theirs, dice).steady


def test_what_the_bundle_is_called_is_no_difference() -> None:
    own = """\
js *src/main.js
    console.log(import.meta.filename, import.meta.dirname, import.meta.url.length);
    if (typeof document === "undefined") throw new Error(`not at ${import.meta.url}`);
"""
    for text in (own, own.replace("throw", "console.log(new Error().message); throw")):
        proof = prove(*_bundled(text))
        assert proof.holds, proof.detail
        assert proof.detail.endswith("(Error: not at ./src/main.js)")


CIRCLE = """\
js *src/main.js -> src/b.js
    import { b } from "./b.js";
    export const a = "A";
    console.log("a", b);
js src/b.js -> src/main.js
    import { a } from "./main.js";
    let r;
    try { r = a; } catch (error) { r = error.name; }
    export const b = `B ${r}`;
"""
KEPT = """let r;
try { r = a; } catch (error) { r = error.name; }
const b = `B ${r}`, a = "A";
console.log("a", b);
export { a };
"""


def test_modules_in_a_circle_mean_what_they_say_and_not_what_esbuild_makes_of_them() -> None:
    proof = prove(*_bundled(CIRCLE))  # it writes var, which can be read too early
    assert not proof.holds
    assert proof.detail == (
        "app/main.js: the console says 'log: a B undefined' where the source says 'log: a B "
        "ReferenceError'"
    )
    proof = _with(KEPT, of=CIRCLE)
    assert proof.holds, proof.detail
    assert "same names and types in node as its modules one by one" in proof.detail
    typed = CIRCLE.replace("js *src/main.js", "ts *src/main.ts").replace(
        "-> src/main.js", "-> src/main.ts"
    )
    assert not prove(*_bundled(typed)).holds
    assert _with(KEPT, of=typed).holds


def test_a_circle_that_cannot_be_loaded_is_no_bundle_that_can() -> None:
    early = CIRCLE.replace("try { r = a; } catch (error) { r = error.name; }", "r = a;")
    proof = prove(*_bundled(early))
    assert not proof.holds
    assert proof.detail == (
        "only the source fails to load in node: "
        "ReferenceError: Cannot access a name before initialization"
    )
    renamed = KEPT.replace("try { r = a; } catch (error) { r = error.name; }", "r = q;")
    proof = _with(renamed.replace('a = "A"', 'q = "A"').replace("{ a }", "{ q as a }"), of=early)
    assert proof.holds, proof.detail
    assert "not run, since its source does not load in node either" in proof.detail


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        (
            CIRCLE.replace("b.js", "b.cjs")
            .replace('import { a } from "./main.js";', 'const { a } = require("./main.js");')
            .replace("export const b =", "exports.b ="),
            "CommonJS",
        ),
        (
            CIRCLE.replace(".js", ".ts")
            .replace("js ", "ts ")
            .replace("import { a }", 'export { Kind } from "./c.ts"; import { a }')
            + "ts src/c.ts\n    export type Kind = string;\n",
            "a type that is passed on, which only a bundler sees",
        ),
        (
            CIRCLE.replace("import { a }", 'import "p"; import { a }')
            + "js node_modules/p/index.js\n    document.title;\n"
            'json node_modules/p/package.json\n    {"sideEffects": false}\n',
            "a package without effects, which bundlers leave out",
        ),
    ],
    ids=lambda text: "" if "\n" in text else text,
)
def test_a_circle_that_node_cannot_show_is_compared_with_the_whole_bundle(
    sources: str, why: str
) -> None:
    proof = prove(*_bundled(sources))
    assert proof.holds, (why, proof.detail)
    assert "as an unshaken, unminified bundle" in proof.detail


def test_typescript_that_is_commonjs_exports_what_it_gives() -> None:
    sources = """\
ts *src/main.cts -> src/q.cjs
    import x = require("./q.cjs");
    export = { v: x.q + 1 };
js src/q.cjs
    exports.q = 1;
"""
    proof = prove(*_bundled(sources))
    assert proof.holds, proof.detail


def test_what_node_does_not_know_yet_is_lowered_on_both_sides() -> None:
    sources = """\
ts *src/main.ts
    using one = { [Symbol.dispose ?? Symbol.for("Symbol.dispose")]() { console.log("gone"); } };
    class Two { accessor three = 3; }
    console.log("here", new Two().three);
"""
    proof = prove(*_bundled(sources))
    assert proof.holds, proof.detail
    assert "same names and types in node" in proof.detail


def test_what_the_browser_field_takes_away_is_not_there_on_both_sides() -> None:
    sources = """\
js *src/main.js -> src/shim.js -> external:fs
    import fs from "fs";
    import crypto from "crypto";
    console.log(JSON.stringify(fs), crypto);
js src/shim.js
    export default "shim";
json package.json
    {"name": "p", "browser": {"fs": false, "crypto": "./src/shim.js"}}
external external:fs
"""
    before, after, store = _bundled(sources)
    still = Edge(MAIN, ArtifactId("external:fs"), Relation.IMPORT)
    external = before.artifacts[ArtifactId("external:fs")]
    for graph in (after, after.with_artifacts([external]).with_edges([still])):
        proof = prove(before, graph, store)
        assert proof.holds, proof.detail
        assert "same names and types in node" in proof.detail


def test_a_program_that_never_ends_is_waited_for_once_and_the_proof_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node_module, "_TIMEOUT_SECONDS", 2.0)
    before, after, store = _bundled("js *main.js\n    export const a = 1;\n    for (;;);\n")
    runs = []
    loaded = node_module._loaded
    monkeypatch.setattr(node_module, "_loaded", lambda *asked: runs.append(asked) or loaded(*asked))
    proof = prove(before, after, store)
    assert proof.holds
    assert proof.detail.endswith(
        "app/main.js: 1 export as in main.js, and that alone was compared: in node neither it nor "
        "its whole bundle came to an end (it did not load within 2 s)"
    )
    assert len(runs) == 1  # both sides at a time


def test_temporary_and_working_folders_are_found_but_not_what_a_source_says_itself() -> None:
    for place in (f"{tempfile.gettempdir()}/vtool-code-x/a.js", f"{Path.cwd()}/src/a.js"):
        assert not _with(f'{_text()}\nconsole.log("{place}");').holds
    said = 'js *src/main.js\n    export const isFile = (u) => u.startsWith("file:///");\n'
    assert prove(*_bundled(said)).holds


def test_a_root_without_a_bundle_is_refused() -> None:
    before, after, store = _bundled("js *a.js\n    export {};\njs *b.js\n    export {};\n")
    assert prove(before, after, store).holds
    proof = prove(before, after.keep(after.artifacts.keys() - {"app/b.js"}), store)
    assert (proof.holds, proof.detail) == (False, "there is no bundle for b.js")


def test_nothing_bundled_is_nothing_to_prove() -> None:
    graph, store = golden.parse("onnx *a.onnx\n")
    assert prove(graph, graph, store).detail == "nothing was bundled"


def test_an_import_left_to_the_page_must_be_declared() -> None:
    text = f'import "peer";\n{_text()}'
    assert not _with(text).holds
    declared = 'js *main.js -> external:p\n    import "p";\nexternal external:p\n'
    graph, memory = golden.parse(declared)
    after = BundleJs(external=("p",)).apply(graph, memory)
    proof = prove(graph, after, memory)
    assert proof.holds, proof.detail
    hidden = after.keep(after.artifacts.keys() - {"external:p"})
    assert "the import of 'p' leads nowhere" in prove(graph, hidden, memory).detail


def test_code_that_needs_a_browser_to_load_rests_on_the_text() -> None:
    proof = prove(*_bundled("js *main.js\n    export const title = document.title;\n"))
    assert proof.holds
    assert proof.detail.endswith(
        "app/main.js: 1 export as in main.js; not run, since its whole bundle does not load in "
        "node either (ReferenceError: document is not defined)"
    )


def test_no_temporary_folder_is_in_what_node_says(tmp_path: Path) -> None:
    graph, store = golden.parse("js *main.js\n    export const a = __dirname;\n")
    proof = prove(graph, BundleJs().apply(graph, store), store)
    assert proof.holds, proof.detail  # node names the package.json above the bundle
    assert proof.detail.endswith("__dirname is not defined in ES module scope)")
    folder = tmp_path / "vtool-load-0" / "app"
    folder.mkdir(parents=True)
    module = folder / "a.mjs"
    module.write_text(
        "throw Error(`in ${import.meta.dirname}/..\n${new URL('..', import.meta.url)}`)"
    )
    assert load_module(node(), module).error == "Error: in ./.. ./"
    assert load_module(node(), module, root=folder.parent).error == "Error: in ./app/.. ./"


def test_sources_that_are_damaged_are_no_proof() -> None:
    before, after, store = _bundled()
    broken = Artifact(ArtifactId("src/speech.js"), Kind.JS, store.put(b"let ="), Bytes(5))
    proof = prove(before.with_artifacts([broken]), after, store)
    assert not proof.holds
    assert "the sources do not bundle: src/speech.js:1" in proof.detail


def test_a_module_that_never_finishes_loading_is_given_up(tmp_path: Path) -> None:
    module = tmp_path / "a.mjs"
    module.write_text("for (;;);")
    start = time.monotonic()
    assert "did not load within 1 s" in load_module(node(), module, timeout_seconds=1).error
    assert time.monotonic() - start < 45
    module.write_text("process.exit(7)")
    assert load_module(node(), module).error == "node ended with exit code 7 while loading it"
    module.write_text("setInterval(() => {}, 1e6); console.log('noise'); export const a = 1n;")
    assert load_module(node(), module).exports == (("a", "bigint"),)
    with pytest.raises(ToolError, match="node cannot be started"):
        load_module(tmp_path / "gone", module)


def test_lazy_edges_are_part_of_what_bundle_js_says() -> None:
    _, after, _ = _bundled()
    assert [i.partition("-")[0] for i in after.targets(MAIN, Relation.LAZY)] == ["app/speech"]


def _chunk_with(text: str, of: str = SOURCES) -> Proof:
    """Prove the bundle with ``text`` at the start of its lazy chunk."""
    before, after, store = _bundled(of)
    chunk = next(i for i in after.artifacts if i.startswith("app/speech-"))
    data = text.encode() + store.get(after.artifacts[chunk].digest)
    forged = Artifact(chunk, Kind.JS, store.put(data), Bytes(len(data)))
    return prove(before, after.with_artifacts([forged]), store)


def test_a_lazy_chunk_that_does_not_load_is_refused() -> None:
    assert _chunk_with("").holds
    proof = _chunk_with("throw new TypeError('odd');")
    assert not proof.holds
    assert proof.detail.endswith(".js fails to load in node: TypeError: odd")


def test_a_lazy_chunk_that_needs_a_browser_fails_as_its_module_does() -> None:
    sources = SOURCES.replace('=> "said"', "=> title, title = document.title")
    proof = _chunk_with("", sources)
    assert proof.holds, proof.detail
    assert proof.detail.endswith(
        "does not load in node, nor does a whole bundle of src/speech.js "
        "(ReferenceError: document is not defined)"
    )
    assert not _chunk_with("throw new TypeError('odd');", sources).holds


def test_the_conditions_of_the_pass_choose_the_sources_of_the_whole_bundle() -> None:
    sources = """\
js *main.js -> node_modules/p/for-node.js
    export * from "p";
js node_modules/p/for-node.js
    export const here = "node";
js node_modules/p/for-page.js
    export const there = document.title;
json node_modules/p/package.json
    {"name": "p", "exports": {"node": "./for-node.js", "default": "./for-page.js"}}
"""
    graph, store = golden.parse(sources)
    made = BundleJs(conditions=("node",))
    after = made.apply(graph, store)
    assert same_exports.prove(graph, after, store, asdict(made)).holds
    assert not prove(graph, after, store).holds


def test_a_global_that_node_defines_when_it_is_first_read_is_not_changed(tmp_path: Path) -> None:
    script = tmp_path / "main.mjs"
    script.write_text("new TextDecoder(); Array.prototype.extra = Number.NaN;\n", "utf-8")
    assert load_module(node(), script).changed == ("Array.prototype.extra",)
