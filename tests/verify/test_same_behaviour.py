"""The proof by scenario sees every difference that somebody who uses the program could see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import golden
import pytest

from toolchain.behaviour.baseline import baseline
from toolchain.errors import ConfigError
from toolchain.formats.chromium import find_chromium
from toolchain.ir import Artifact, ArtifactId, Graph, Kind, Play, Proof, Store
from toolchain.passes.bundle_js import BundleJs
from toolchain.units import Bytes
from toolchain.verify import same_behaviour

SOURCES = """\
ts *src/main.ts -> src/tones.ts ~> src/speech.ts -> node_modules/old/index.js @> models/a.bin
    import { low, type Tone } from "./tones";
    import old from "old";
    import data from "./data.json";
    export async function start(): Promise<Tone> {
      console.warn("starting", old.answer, data.rate);
      const { say } = await import("./speech");
      return { name: say(), hertz: low, model: new URL("../models/a.bin", import.meta.url).href };
    }
ts src/tones.ts
    export interface Tone { name: string; hertz: number; model: string }
    export const low = 55;
    console.log("tones are here");
ts src/speech.ts
    export const say = (): string => "said";
js node_modules/old/index.js -> node_modules/old/answer.js
    exports.answer = require("./answer").value;
js node_modules/old/answer.js
    exports.value = 42;
json node_modules/old/package.json
    {"name": "old", "version": "1.0.0"}
json src/data.json
    {"rate": 16000}
json package.json
    {"type": "module"}
data models/a.bin
    model
"""
SCRIPT = """
export default async (entry, report) => {
  const app = await import(entry);
  report("names", Object.keys(app));
  return app.start();
};
"""
MAIN = ArtifactId("app/main.js")


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return _play(tmp_path, SCRIPT)


def _play(folder: Path, script: str) -> Play:
    path = folder / "turn.mjs"
    path.write_text(script)
    return Play("turn.mjs", {"turn.mjs": path}, runs_in=("node",), limit_s=20)


def _graphs(text: str = SOURCES) -> tuple[Graph, Graph, Store]:
    before, store = golden.parse(text)
    return before, BundleJs().apply(before, store), store


def _prove(before: Graph, after: Graph, store: Store, play: Play | None) -> Proof:
    return same_behaviour.prove(before, after, store, {**asdict(BundleJs()), "scenario": play})


def _changed(after: Graph, store: Store, changes: Mapping[str, str]) -> Graph:
    """Return ``after`` with its main bundle edited; each text must be there."""
    text = store.get(after.artifacts[MAIN].digest).decode()
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    data = text.encode()
    return after.with_artifacts([Artifact(MAIN, Kind.JS, store.put(data), Bytes(len(data)))])


def test_typescript_packages_json_and_chunks_behave_as_before(play: Play) -> None:
    proof = _prove(*_graphs(), play)
    assert proof.holds, proof.detail
    assert proof.detail == (
        "same in node: 1 console.log, 1 console.warn, 1 event, 1 exit, 1 result"
    )


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ('"starting"', '"Starting"', "console.warn `starting 42 16000` and is console.warn `St"),
        ('console.log("tones are here")', "0", "was console.log `tones are here` and is event"),
        ("models/a.bin", "models/b.bin", 'is result `{"name": "said", "hertz": 55'),
        ("as start}", "as start,Xx as more};const Xx=1;", 'is event `names ["more", "start"]`'),
        ("as start}", "as start};Promise.reject(new TypeError('odd'));", "TypeError: odd"),
        ("as start}", "as start};process.exitCode=3;", "was exit `0` and is exit `3`"),
        ("as start}", "as start};process.stdout.write('x');", "is stdout `x`"),
        ("as start}", "as start};fetch('http://127.0.0.1:9/x').catch(()=>0);", "failed request"),
    ],
)
def test_a_bundle_is_refused_that_differs_in(old: str, new: str, detail: str, play: Play) -> None:
    before, after, store = _graphs()
    proof = _prove(before, _changed(after, store, {old: new}), store, play)
    assert not proof.holds
    assert detail in proof.detail
    assert proof.detail.startswith("in node: ")


def test_what_differs_from_run_to_run_is_named_and_the_rest_still_counts(tmp_path: Path) -> None:
    script = SCRIPT.replace(
        "return", 'report("took", performance.now()); report("id", crypto.randomUUID()); return'
    )
    play = _play(tmp_path, script)
    before, after, store = _graphs()
    proof = _prove(before, after, store, play)
    assert proof.holds, proof.detail
    assert "unknown: event `id ...`, the numbers in event `took #`" in proof.detail
    other = _changed(after, store, {'"starting"': '"Starting"'})
    assert not _prove(before, other, store, play).holds


def test_a_result_that_never_ends_is_refused_in_time(tmp_path: Path) -> None:
    play = replace(_play(tmp_path, SCRIPT), limit_s=2)
    before, after, store = _graphs()
    hangs = "as start};setInterval(() => 0, 9);await new Promise(() => 0);"
    proof = _prove(before, _changed(after, store, {"as start}": hangs}), store, play)
    assert not proof.holds
    assert 'was event `names ["start"]` and is nothing' in proof.detail
    assert proof.detail.endswith("was exit `0` and is exit `did not come within 2 s`")


def test_a_baseline_judges_any_number_of_results(play: Play) -> None:
    before, after, store = _graphs()
    base = baseline(before, store, replace(play, conditions=("browser", "module")))
    assert base.judge(after).holds
    assert not base.judge(_changed(after, store, {'"starting"': '""'})).holds
    assert base.judge(after).holds


STARTS = """\
ts *src/main.ts
    import { readFile } from "node:fs/promises";
    const ready = async (name: string, pause: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, pause));
      await readFile(new URL(import.meta.url));
      console.log(name, "is ready");
    };
    export const start = async (): Promise<void> => {
      await Promise.all([ready("ear", 1), ready("mouth", 9)]);
      console.log("both are ready");
    };
json package.json
    {"type": "module"}
"""


def test_of_two_that_start_at_once_either_may_be_first(play: Play) -> None:
    before, store = golden.parse(STARTS)
    after = BundleJs(external=("node:*",)).apply(before, store)
    proof = _prove(before, _changed(after, store, {'"ear",1': '"ear",17'}), store, play)
    assert proof.holds, proof.detail
    assert proof.detail.endswith("(differs from run to run, so unknown: some of the order of main)")


def test_what_is_awaited_comes_first_however_late_it_is(play: Play) -> None:
    before, store = golden.parse(STARTS)
    after = BundleJs(external=("node:*",)).apply(before, store)
    proof = _prove(
        before, _changed(after, store, {"await Promise.all": "Promise.all"}), store, play
    )
    assert not proof.holds
    assert "comes before console.log `" in proof.detail


def test_a_result_that_is_never_the_same_twice_is_not_believed(play: Play) -> None:
    before, after, store = _graphs()
    wild = "as start};console.log(crypto.randomUUID(), 'x');"
    found = _prove(before, _changed(after, store, {"as start}": wild}), store, play)
    assert not found.holds
    lost = {"as start}": wild, 'console.log("tones are here")': "0"}
    assert not _prove(before, _changed(after, store, lost), store, play).holds


def test_without_a_scenario_nothing_is_claimed() -> None:
    assert _prove(*_graphs(), None).detail == "not run: the project names no scenario"


def test_a_script_that_is_no_scenario_and_an_entry_that_is_none_are_refused(
    tmp_path: Path, play: Play
) -> None:
    before, after, store = _graphs()
    with pytest.raises(ConfigError, match="its default export is not a function"):
        _prove(before, after, store, _play(tmp_path, "export const play = 1;"))
    with pytest.raises(ConfigError, match=r"scenario.entry: 'b.js' is no entry"):
        _prove(before, after, store, replace(play, entry="b.js"))


PAGE = """\
js *src/main.js -> node_modules/gain/index.js @> models/a.bin => src/ear.js
    import { gain } from "gain";
    export async function start() {
      const model = await fetch(new URL("../models/a.bin", import.meta.url));
      const ear = new Worker(new URL("./ear.js", import.meta.url), { type: "module" });
      return new Promise((resolve) => {
        ear.onmessage = async ({ data }) => resolve([data, gain, await model.text()]);
        ear.onerror = () => resolve("deaf");
      });
    }
js node_modules/gain/index.js
    export const gain = document.title.length;
json node_modules/gain/package.json
    {"name": "gain", "version": "1.0.0", "type": "module"}
js src/ear.js
    postMessage("heard");
data models/a.bin
    model
"""


@pytest.mark.skipif(
    find_chromium() is None, reason="there is no Chromium in PATH: apt-get install chromium"
)
def test_in_a_page_dangling_workers_and_assets_are_seen(play: Play) -> None:
    before, after, store = _graphs(PAGE)
    base = baseline(before, store, replace(play, runs_in=("chromium",), limit_s=60))
    proof = base.judge(after)
    assert proof.detail == "same in chromium: 1 event, 1 exit, 1 result"
    assert proof.holds
    for change, seen in (
        ({"models/a.bin": "models/b.bin"}, "failed request `/models/b.bin 404` is new"),
        ({"ear.js": "far.js"}, "is result `deaf`"),
    ):
        wrong = base.judge(_changed(after, store, change))
        assert not wrong.holds
        assert seen in wrong.detail


def test_a_browser_that_is_not_there_is_named(
    play: Play, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before, after, store = _graphs()
    find_chromium.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    proof = _prove(before, after, store, replace(play, runs_in=("chromium",)))
    find_chromium.cache_clear()
    assert proof.holds
    assert proof.detail == (
        "chromium: not run: none found in PATH; install it (Debian: apt-get install chromium)"
    )
