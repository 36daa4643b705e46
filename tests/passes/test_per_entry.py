"""A page from one bundler, its worker from another: where both are smallest alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import golden
import pytest

from toolchain.choosing import Chosen, smallest_proved
from toolchain.formats.sourcemap import parse
from toolchain.ir import ArtifactId, Fate, Graph, Kind, Relation, Store
from toolchain.passes.base import Attempt
from toolchain.passes.bundle_js import BundleJs
from toolchain.sources.tools import node
from toolchain.verify import same_exports

# rollup sees that the table is needed by nobody, whatever is called to make it. esbuild alone
# writes constants of another module's enum where they are used, and leaves the enum out.
FILES = {
    "src/app.ts": """\
import { greet } from "./words";
export const hello = greet("you");
export const start = () => new Worker(new URL("./ear.ts", import.meta.url), { type: "module" });
""",
    "src/words.ts": """\
function table(): number[] {
  const found: number[] = [];
  for (let n = 0; n < 64; n++) found.push(Math.round(32767 * Math.sin((n * Math.PI) / 64)));
  return found;
}
function mirrored(rows: number[]): number[] {
  return [...rows, ...rows.map((one) => -one).reverse()];
}
const waves = mirrored(table());
export const wave = (n: number): number => waves[n % waves.length];
export const greet = (who: string): string => `hello, ${who}`;
""",
    "src/ear.ts": """\
import { Level } from "./level";
const loud = (power: number): Level => (power < 50 ? Level.Whisper : Level.Speech);
const heard = (power: number): Level => (power < 1 ? Level.Silence : loud(power));
console.log("heard", [0, 20, 70].map(heard));
""",
    "src/level.ts": """\
export enum Level { Silence, Whisper, Murmur, Speech, Shouting, Thunder, Explosion, Eruption }
""",
}
PROJECT = """\
ts *src/app.ts -> src/words.ts => src/ear.ts
ts src/words.ts
ts src/ear.ts -> src/level.ts
ts src/level.ts
json package.json
    {"name": "app", "type": "module", "sideEffects": false}
"""
NAMES = ("esbuild", "rollup+swc")
MIX = "per entry: app=rollup+swc; ear=esbuild"
APP, EAR = ArtifactId("app/app.js"), ArtifactId("app/ear.js")


@pytest.fixture(scope="module")
def attempts() -> tuple[Graph, Store, Mapping[str, Attempt]]:
    graph, store = golden.with_texts(PROJECT, FILES)
    made = {a.name: a for a in BundleJs(candidates=NAMES, sourcemap=True).attempts(graph, store)}
    if made["rollup+swc"].fate is Fate.ABSENT:
        pytest.skip(f"rollup+swc is not installed: {made['rollup+swc'].detail}")
    return graph, store, made


@pytest.fixture(scope="module")
def kept(attempts: tuple[Graph, Store, Mapping[str, Attempt]]) -> Chosen:
    graph, store, made = attempts
    options = asdict(BundleJs(candidates=NAMES))
    return smallest_proved(
        graph, list(made.values()), lambda g: same_exports.prove(graph, g, store, options)
    )


def _script(name: ArtifactId, graph: Graph | None, store: Store) -> bytes:
    assert graph is not None
    return store.get(graph.artifacts[name].digest)


def test_each_entry_is_as_its_bundler_made_it_and_the_whole_is_the_smallest(
    attempts: tuple[Graph, Store, Mapping[str, Attempt]],
) -> None:
    _, store, made = attempts
    assert list(made) == [*NAMES, MIX]
    scripts = {(who, at): _script(at, made[who].graph, store) for who in made for at in (APP, EAR)}
    assert scripts[MIX, APP] == scripts["rollup+swc", APP] != scripts["esbuild", APP]
    assert scripts[MIX, EAR] == scripts["esbuild", EAR] != scripts["rollup+swc", EAR]
    assert made[MIX].size < min(made[n].size for n in NAMES)
    assert made[MIX].cost < min(made[n].cost for n in NAMES)
    graph = made[MIX].graph
    assert graph is not None
    assert (graph.problems(), graph.targets(APP, Relation.WORKER)) == ([], [EAR])


def test_the_mix_is_proved_made_again_and_in_the_ledger_with_those_that_lost(kept: Chosen) -> None:
    assert kept.proof.holds, kept.proof.detail
    assert "app/app.js: 2 exports as in src/app.ts" in kept.proof.detail
    assert "1 chunk loads" in kept.proof.detail
    rows = {c.name: c for c in kept.candidates}
    assert (next(iter(rows)), rows[MIX].fate) == (MIX, Fate.KEPT)
    assert {rows[n].fate for n in NAMES} == {Fate.LARGER}
    assert rows[MIX].size is not None
    assert rows[MIX].detail.startswith("a page loads ")
    assert ", workers " in rows[MIX].detail


def test_each_script_of_the_mix_has_the_map_of_its_bundler(
    kept: Chosen, attempts: tuple[Graph, Store, Mapping[str, Attempt]]
) -> None:
    _, store, made = attempts
    maps = {at: parse(store.get(a.digest)) for at, a in kept.graph.maps().items()}
    assert {at: set(one.sources) for at, one in maps.items()} == {
        APP: {"src/app.ts", "src/words.ts"},
        EAR: {"src/ear.ts"},
    }
    assert made[MIX].again().graph == kept.graph


def test_the_page_and_the_worker_of_the_mix_run(
    kept: Chosen, attempts: tuple[Graph, Store, Mapping[str, Attempt]], tmp_path: Path
) -> None:
    _, store, _ = attempts
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for name, artifact in kept.graph.files.items():
        if artifact.kind is Kind.JS:
            (tmp_path / Path(name).name).write_bytes(store.get(artifact.digest))
    code = f"""
        globalThis.Worker = class {{ constructor(at) {{ this.done = import(at.href); }} }};
        const page = await import({json.dumps((tmp_path / "app.js").as_uri())});
        console.log(page.hello);
        await page.start().done;
    """
    command = [node(), "--no-warnings", "--input-type=module", "-e", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["hello, you", "heard [ 0, 1, 3 ]"]


def test_a_page_and_a_worker_that_share_a_module_come_from_one_bundler() -> None:
    graph, store = golden.with_texts(PROJECT, FILES)
    text = 'import { greet } from "./words";\nimport { Level } from "./level";\n'
    text += "console.log(greet(String(Level.Speech)));\n"
    ear = graph.artifacts[ArtifactId("src/ear.ts")]
    graph = graph.with_artifacts([replace(ear, digest=store.put(text.encode()))])
    made = [a.name for a in BundleJs(candidates=NAMES).attempts(graph, store)]
    assert not [name for name in made if name.startswith("per entry")]
