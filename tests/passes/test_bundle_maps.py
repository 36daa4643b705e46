"""Whoever bundled it: an error in the optimized program is traced to the line that threw it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import golden
import pytest

from toolchain.formats.sourcemap import SourceMap, parse
from toolchain.formats.stack_trace import traced
from toolchain.ir import ArtifactId, Fate, Graph, Kind, Store
from toolchain.passes.base import Attempt
from toolchain.passes.bundle_js import BundleJs
from toolchain.passes.drop_unreachable import DropUnreachable
from toolchain.passes.lazy_load import LazyLoad
from toolchain.passes.tree_shake import TreeShake
from toolchain.sources.tools import node

NAMES = (
    "esbuild",
    "rolldown",
    "rolldown+oxc",
    "rspack",
    "rspack+swc",
    "bun",
    "bun+swc",
    "rollup+swc",
    "rollup+oxc",
    "rollup+terser",
)
# Everything that moves code before a bundler sees it stands before what throws: dead code, types,
# an enum, an address, a call that is made to load late, an import whose name becomes another.
FILES = {
    "src/main.ts": """\
import { add } from "./numbers";
import { save } from "./late.js";
import old from "./old.cjs";

export const shown: string[] = [];
function dead(level: number): number {
  return add(level, 1);
}
/** Listens. */
export async function listen(level: number): Promise<void> {
  const at = new URL("../models/a.bin", import.meta.url); if (level > 9) throw new RangeError("9");
  shown.push(at.href, old.name); if (level === 5) { await save(level); }
  if (level === 4) old.fail(level);
  const { answer } = await import("./answer");
  answer(level);
}
export const start = () => new Worker(new URL("./ear.ts", import.meta.url), { type: "module" });
""",
    "src/numbers.ts": "export const add = (a: number, b: number): number => a + b;\n",
    "src/answer.ts": """\
import { check } from "./check";
enum Kind { Short, Long }
export function unused(): void { console.log("nobody asks"); }
export function answer(level: number): void {
  const kind: Kind = level > 1 ? Kind.Long : Kind.Short; check("lazy", kind);
}
""",
    "src/check.ts": """\
export const unused = (n: number): number => n;
export function check(who: string, kind: number): void {
  console.log(who); if (kind > 0) { console.log(kind); throw new TypeError(`${who}: ${kind}`); }
}
""",
    "src/late.js": """\
const unused = () => 1;
export async function save(level) {
  const note = { level }; if (level) throw new SyntaxError(`not saved: ${note.level}`);
}
""",
    "src/old.cjs": """\
const level = 1;
exports.name = "old " + level;
exports.fail = function (n) { console.log(n); throw new EvalError("old: " + n); };
""",
    "src/ear.ts": """\
import { check } from "./check";
interface Heard { level: number }
const heard: Heard = { level: 2 }; console.log("worker"); check("worker", heard.level);
""",
}
PROJECT = """\
ts *src/main.ts -> src/numbers.ts -> src/late.js -> src/old.cjs \
~> src/answer.ts => src/ear.ts @> models/a.bin
ts src/numbers.ts
ts src/answer.ts -> src/check.ts
ts src/check.ts
js src/late.js
js src/old.cjs
ts src/ear.ts -> src/check.ts
data models/a.bin
json package.json
    {"name": "app", "type": "module"}
"""
ERRORS = [
    ("listen(10)", "src/main.ts", "RangeError("),
    ("listen(5)", "src/late.js", "SyntaxError("),
    ("listen(4)", "src/old.cjs", "EvalError("),
    ("listen(2)", "src/check.ts", "TypeError("),
    ("worker", "src/check.ts", "TypeError("),
    ("worker", "src/ear.ts", "check("),
]


@pytest.fixture(scope="module")
def attempts() -> tuple[Graph, Store, Mapping[str, Attempt]]:
    graph, store = golden.with_texts(PROJECT, FILES)
    graph = TreeShake().apply(graph, store)
    graph = LazyLoad(idle=("src/late.js",), least_bytes=0).apply(graph, store)
    graph = DropUnreachable().apply(graph, store)
    text = store.get(graph.artifacts[ArtifactId("src/main.ts")].digest)
    assert b"dead" not in text
    assert b'import("./late.js")' in text
    made = BundleJs(candidates=NAMES, sourcemap=True).attempts(graph, store)
    return graph, store, {one.name: one for one in made}


@pytest.fixture(scope="module", params=NAMES)
def result(
    request: pytest.FixtureRequest,
    attempts: tuple[Graph, Store, Mapping[str, Attempt]],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Graph, Graph, Store]:
    _, store, made = attempts
    _skip_if_absent(made[request.param])
    plain = made[request.param].graph
    assert plain is not None, made[request.param].detail
    again = made[request.param].again()
    assert (again.different, again.detail) == ("", "")
    assert again.graph is not None
    folder = tmp_path_factory.mktemp("out")
    for name, artifact in again.graph.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(artifact.digest))
    return folder, plain, again.graph, store


def _skip_if_absent(one: Attempt) -> None:
    if one.fate is Fate.ABSENT:
        pytest.skip(f"{one.name} is not installed: {one.detail}")


def _maps(graph: Graph, store: Store) -> dict[str, SourceMap]:
    return {str(name): parse(store.get(made.digest)) for name, made in graph.maps().items()}


def _stack(folder: Path, call: str) -> str:
    script = folder / "app" / ("ear.js" if call == "worker" else "main.js")
    then = "" if call == "worker" else f".then((m) => m.{call})"
    code = f"import({json.dumps(script.as_uri())}){then}.catch((e) => console.log(e.stack));"
    done = subprocess.run(
        [node(), "--no-warnings", "-e", code],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(("call", "place", "code"), ERRORS)
def test_the_frame_is_the_line_and_column_that_threw(
    result: tuple[Path, Graph, Graph, Store], call: str, place: str, code: str
) -> None:
    folder, _, graph, store = result
    stack = _stack(folder, call)
    assert place not in stack
    lines = FILES[place].splitlines()
    line = next(n for n, text in enumerate(lines, 1) if code in text)
    found = [f for f in traced(stack, _maps(graph, store)).splitlines() if f"{place}:{line}:" in f]
    assert found, traced(stack, _maps(graph, store))
    column = int(found[0].rstrip(")").rpartition(":")[2])
    # a minifier may write an error without `new`: then the frame is where its name stands
    assert lines[line - 1][column - 1 :].removeprefix("new ").startswith(code), found


@pytest.mark.parametrize("name", ["rolldown+oxc", "rspack", "bun+swc", "rollup+swc"])
def test_maps_are_the_same_each_time(
    name: str, attempts: tuple[Graph, Store, Mapping[str, Attempt]]
) -> None:
    _, _, made = attempts
    _skip_if_absent(made[name])
    first, second = (made[name].again().graph for _ in range(2))
    assert first is not None
    assert first == second


def test_a_map_changes_nothing_and_does_not_ship(
    result: tuple[Path, Graph, Graph, Store],
) -> None:
    _, plain, graph, store = result
    assert plain.maps() == {}
    assert graph.files == plain.files
    scripts = {i for i, a in graph.files.items() if a.kind is Kind.JS}
    assert graph.maps().keys() == scripts
    assert graph.problems() == []
    for name in scripts:
        assert b"sourceMappingURL" not in store.get(graph.artifacts[name].digest)
        assert b"debugId" not in store.get(graph.artifacts[name].digest)
    for made in _maps(graph, store).values():
        assert set(made.sources) <= FILES.keys()
        assert made.contents == ()


RUNTIME = """\
js *main.js ~> late.cjs
    export const start = (n) => import("./late.cjs").then((m) => m.late(n));
js late.cjs
    exports.late = (n) => { if (n > 1) throw new RangeError("more"); return n; };
json package.json
    {"type": "module"}
"""


@pytest.mark.parametrize("name", ["rolldown", "rolldown+swc", "rspack", "bun"])
def test_a_chunk_that_only_holds_code_of_the_bundler_has_a_map_of_nothing(name: str) -> None:
    graph, store = golden.parse(RUNTIME)
    bundling = BundleJs(candidates=(name,), sourcemap=True)
    made = {one.name: one for one in bundling.attempts(graph, store)}
    _skip_if_absent(made[name])
    again = made[name].again()
    assert (again.different, again.detail) == ("", "")
    assert again.graph is not None
    maps = _maps(again.graph, store)
    assert maps.keys() == {i for i, a in again.graph.files.items() if a.kind is Kind.JS}
    assert {s for one in maps.values() for s in one.sources} == {"main.js", "late.cjs"}
