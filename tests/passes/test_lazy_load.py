"""A feature is loaded late only where that is certain to be safe; else the edit is shown."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import golden
import pytest

from toolchain.behaviour.coverage import coverage
from toolchain.behaviour.lazy_loading import Feature, Lateness
from toolchain.behaviour.staging import entries
from toolchain.formats.chromium import find_chromium
from toolchain.formats.javascript_purity import effect
from toolchain.ir import ArtifactId, Graph, Play, Relation, Store
from toolchain.passes.bundle_js import BundleJs
from toolchain.passes.lazy_load import LazyLoad
from toolchain.verify import same_behaviour

FEATURE = ArtifactId("feature.js")
USE = "export const start = async (x) => { await report(x); };"


def _features(main: str, feature: str, more: str = "") -> list[Feature]:
    graph, store = _graph(main, feature, more)
    return list(Lateness(graph, store, ()).features({FEATURE}))


def _graph(main: str, feature: str, more: str = "") -> tuple[Graph, Store]:
    lines = "".join(f"    {line}\n" for line in main.splitlines())
    text = f"js *main.js -> feature.js\n{lines}{more}"
    if "js feature.js" not in more:
        text += "js feature.js\n" + "".join(f"    {line}\n" for line in feature.splitlines())
    return golden.parse(text)


IMPORT = 'import { report } from "./feature.js";\n'
REPORT = "export async function report(x) { return x; }"


def test_an_awaited_call_is_safe_and_is_shown_as_a_diff() -> None:
    (found,) = _features(IMPORT + USE, REPORT)
    assert not found.unsafe
    assert found.diff.startswith(
        "--- a/main.js\n+++ b/main.js\n@@ -1,2 +1,2 @@\n-import { report }"
    )


@pytest.mark.parametrize(
    ("use", "why"),
    [
        (
            "export const start = (x) => report(x);",
            "line 2: report is called where nothing is async",
        ),
        ("export const start = async (x) => { report(x); };", "nobody waits for it"),
        ("export const start = async (x) => { const p = report(x); await p; };", "nobody waits"),
        ("export const start = async () => [report];", "used otherwise than by a call"),
        ("export const start = async () => ({ report });", "used otherwise than by a call"),
        ("export const start = async () => await new report();", "used otherwise than by a call"),
        ("export { report };", "used otherwise than by a call"),
        ("export const start = async (x) => await report?.(x);", "called if it is there"),
        ("export async function* start(x) { await report(x); }", "called in a generator"),
        ("export const start = async (x) => { try { return report(x); } catch {} };", "try block"),
        ("export const start = async (report) => await report();", "used otherwise"),
        ("export const start = async () => { const f = () => report(); await f(); };", "async"),
        ("await report(1);", "where nothing is async"),
        ("export class A { static a = async () => { await report(); }; b = report(); }", "async"),
    ],
)
def test_a_use_is_not_safe_that(use: str, why: str) -> None:
    (found,) = _features(IMPORT + use, REPORT)
    assert why in found.unsafe
    graph, store = _graph(IMPORT + use, REPORT)
    assert LazyLoad(idle=("feature.js",), least_bytes=0).apply(graph, store) == graph


@pytest.mark.parametrize(
    ("feature", "why"),
    [
        (
            f"{REPORT}\nglobalThis.seen = 1;",
            "feature.js does something when it is loaded: line 2: g",
        ),
        (f"{REPORT}\nexport const at = Date.now();", "does something"),
        ("export let report = async () => {};", "report is no function of feature.js"),
        ("const f = async () => {};\nexport { f as report };", "no function of feature.js"),
        ("export class report {}", "no function of feature.js"),
    ],
)
def test_a_feature_is_not_safe_that(feature: str, why: str) -> None:
    (found,) = _features(IMPORT + USE, feature)
    assert why in found.unsafe


def test_what_needs_the_importer_or_changes_the_order_stays() -> None:
    more = 'js feature.js -> main.js\n    import { start } from "./main.js";\n    ' + REPORT + "\n"
    (found,) = _features(IMPORT + USE, "", more)
    assert "it imports main.js, which imports it" in found.unsafe
    more = (
        'js feature.js -> b.js\n    import { b } from "./b.js";\n    ' + REPORT + "\n"
        "js a.js\n    globalThis.log += 'a';\njs b.js\n    globalThis.log += 'b';\n"
    )
    main = IMPORT + 'import "./a.js";\nimport "./b.js";\n' + USE
    graph, store = golden.parse(
        "js *main.js -> feature.js -> a.js -> b.js\n"
        + "".join(f"    {line}\n" for line in main.splitlines())
        + more
    )
    (found,) = Lateness(graph, store, ()).features({FEATURE})
    assert "another order" in found.unsafe


def test_one_importer_that_cannot_wait_keeps_the_feature_for_all() -> None:
    more = 'js *other.js -> feature.js\n    export * from "./feature.js";\n'
    (found,) = _features(IMPORT + USE, REPORT, more)
    assert "other.js: feature.js is imported as a whole, or passed on" in found.unsafe
    assert not found.diff


def test_an_edit_that_somebody_has_to_judge_is_exact() -> None:
    use = "export const start = async (x) => { const r = report; await r(x); };"
    (found,) = _features(IMPORT + use, REPORT)
    assert found.unsafe
    assert (
        '+export const start = async (x) => { const r = (await import("./feature.js"))'
        in found.diff
    )


@pytest.mark.parametrize(
    "text",
    [
        "export const a = 1, b = [1, { c: -2, f() {} }], d = () => go();",
        "import 'x';\n'use strict';",
        "export default class { #a = go(); m() { go(); } static b = 1 }",
        "const seen = new Map();\nexport { seen };\nlet x;\nfunction* g() {}",
        "export default () => 1;",
        "interface A {}\ntype B = A;\nexport const c = `t` as B;\ndeclare const d: number;",
    ],
)
def test_a_module_does_nothing_that_only_says_what_names_mean(text: str) -> None:
    assert effect(text.encode()) == ""


@pytest.mark.parametrize(
    "text",
    [
        "go();",
        "const a = b.c;",
        "const a = other;",
        "const { a } = {};",
        "const a = [...b];",
        "const a = { [go()]: 1 };",
        "const a = { ...b };",
        "const a = { __proto__: b };",
        "const a = `${go()}`;",
        "const a = new Map([[1, go()]]);",
        "class A extends go() {}",
        "class A { static { go(); } }",
        "class A { static a = go(); }",
        "class A { [go()]() {} }",
        "enum A { B = 1 }",
        "export default go();",
        "if (a) go();",
        "@go class A {}",
    ],
)
def test_a_module_acts_that(text: str) -> None:
    assert effect(text.encode())


APP = """\
ts *src/main.ts -> src/turn.ts -> src/settings.ts
    import { turn } from "./turn";
    import { openSettings } from "./settings";
    export const start = async (): Promise<string> => turn();
    export async function settings(): Promise<string> { return await openSettings("dark"); }
ts src/turn.ts
    export function turn(): string { return "heard"; }
    export function retry(): string { return "again"; }
ts src/settings.ts -> src/themes.ts
    import { themes } from "./themes";
    export function openSettings(name: string): string { return themes()[name] ?? "none"; }
ts src/themes.ts
    export const themes = (): Record<string, string> => ({ dark: "night", light: "day" });
"""
SCRIPT = """
export default async (entry, report) => {
  const app = await import(entry);
  report("turn", await app.start());
  LATER
};
"""


def _play(folder: Path, later: str = "", runs_in: tuple[str, ...] = ("node",)) -> Play:
    path = folder / "turn.mjs"
    path.write_text(SCRIPT.replace("LATER", later))
    return Play("turn.mjs", {"turn.mjs": path}, runs_in=runs_in, limit_s=60)


def test_what_the_first_turn_does_not_need_becomes_a_chunk_and_behaves_the_same(
    tmp_path: Path,
) -> None:
    graph, store = golden.parse(APP)
    lazy = LazyLoad(least_bytes=0)
    after = lazy.apply_played(graph, store, _play(tmp_path))
    assert after.targets(ArtifactId("src/main.ts"), Relation.LAZY) == ["src/settings.ts"]
    later = _play(tmp_path, 'report("settings", await app.settings());')
    proof = same_behaviour.prove(graph, after, store, {**asdict(lazy), "scenario": later})
    assert proof.holds, proof.detail
    bundle = BundleJs()
    bundled = bundle.apply(after, store)
    main, chunk = (
        next(a for i, a in bundled.files.items() if i.startswith(f"app/{name}"))
        for name in ("main", "settings")
    )
    assert b"night" in store.get(chunk.digest)
    assert b"night" not in store.get(main.digest)
    proof = same_behaviour.prove(graph, bundled, store, {**asdict(bundle), "scenario": later})
    assert proof.holds, proof.detail


def test_a_scenario_that_needs_the_feature_keeps_it(tmp_path: Path) -> None:
    graph, store = golden.parse(APP)
    play = _play(tmp_path, "await app.settings();")
    assert LazyLoad(least_bytes=0).apply_played(graph, store, play) == graph


@pytest.mark.parametrize(
    "runtime",
    [
        "node",
        pytest.param(
            "chromium",
            marks=pytest.mark.skipif(
                find_chromium() is None, reason="there is no Chromium in PATH"
            ),
        ),
    ],
)
def test_coverage_names_the_functions_that_ran_and_those_that_did_not(
    runtime: str, tmp_path: Path
) -> None:
    old = APP.replace("-> src/settings.ts\n", "-> src/settings.ts -> old.js\n", 1)
    old = old.replace('from "./settings";', 'from "./settings";\n    import "../old.js";')
    old += "js old.js\n    exports.used = (function ran() { return require; })();\n"
    for text in (APP, old) if runtime == "chromium" else (APP,):  # the second is one joined file
        graph, store = golden.parse(text)
        play = _play(tmp_path, runs_in=(runtime,))
        uses = coverage(graph, store, play, entries(graph)[0])
        assert uses[ArtifactId("src/turn.ts")].ran == ("turn",)
        assert uses[ArtifactId("src/turn.ts")].idle == ("retry",)
        assert not uses[ArtifactId("src/settings.ts")].ran
        assert uses[ArtifactId("src/settings.ts")].idle == ("openSettings",)
