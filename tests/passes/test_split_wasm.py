"""Splitting a real engine by a real profile; skipped where binaryen is not installed."""

import re
from pathlib import Path

import pytest
import real

from toolchain.errors import InputError, UnavailableError
from toolchain.execution.cache import ActionCache
from toolchain.execution.local import LocalPool
from toolchain.formats import binaryen, wasm, wasm_split
from toolchain.ir import (
    Artifact,
    ArtifactId,
    Digest,
    DirectoryStore,
    Edge,
    Graph,
    Kind,
    Relation,
    digest_of,
)
from toolchain.passes.base import Step
from toolchain.passes.split_wasm import SplitWasm
from toolchain.pipeline import Pipeline, Result
from toolchain.sources.tree import SourceFile
from toolchain.units import Bytes

needs_binaryen = pytest.mark.skipif(
    binaryen.find("wasm-split") is None, reason="wasm-split is not installed: apt install binaryen"
)
PFFFT = "npm:@echogarden/pffft-wasm@0.4.2"
GLUE, ENGINE = ArtifactId("lib/pffft.js"), ArtifactId("lib/pffft.wasm")
PART = ArtifactId("lib/pffft.deferred.wasm")

# The real transform of 64 numbers, or the convolution of two of them, as text.
_PROGRAM = """
import PFFFT from "../lib/pffft.js";
const engine = await PFFFT();
const SIZE = 64;
const setup = engine._pffft_new_setup(SIZE, 0);
const room = () => engine._pffft_aligned_malloc(4 * SIZE);
const [input, output, work] = [room(), room(), room()];
for (let i = 0; i < SIZE; i += 1) engine.setValue(input + 4 * i, Math.sin(i * i), "float");
%s
const numbers = Array.from({ length: SIZE }, (_, i) => engine.getValue(output + 4 * i, "float"));
console.log(numbers.join());
"""
_FORWARD = _PROGRAM % "engine._pffft_transform_ordered(setup, input, output, work, 0);"
_CONVOLVED = _PROGRAM % "engine._pffft_zconvolve_accumulate(setup, input, input, output, 1.5);"


class Bench:
    """A project of one engine, its glue, and programs, with a pipeline of its own."""

    def __init__(self, folder: Path, build: str = "simd") -> None:
        self.folder = folder
        self.store = DirectoryStore(folder / "store")
        contents = {
            GLUE: real.file(PFFFT, f"dist/{build}/pffft.js").read_bytes(),
            ENGINE: real.file(PFFFT, f"dist/{build}/pffft.wasm").read_bytes(),
            ArtifactId("package.json"): b'{"type": "module"}',
        }
        kinds = {GLUE: Kind.JS, ENGINE: Kind.WASM}
        artifacts = {
            i: Artifact(i, kinds.get(i, Kind.JSON), self.store.put(d), Bytes(len(d)))
            for i, d in contents.items()
        }
        edges = frozenset({Edge(GLUE, ENGINE, Relation.FETCH)})
        self.graph = Graph(artifacts, edges, frozenset({GLUE}))

    def run(self, programs: dict[str, str], **options: object) -> Result:
        reference = {}
        for name, text in programs.items():
            path = self.folder / name.replace("/", "-")
            path.write_text(text)
            data = path.read_bytes()
            reference[name] = SourceFile(path, digest_of(data), len(data))
        pipeline = Pipeline(
            self.store, ActionCache(self.folder / "cache"), LocalPool(1), reference=reference
        )
        return pipeline.run(self.graph, [Step("split-wasm", "a test", options)])

    def data(self, result: Result, name: ArtifactId) -> bytes:
        return self.store.get(Digest(result.graph.artifacts[name].digest))


@needs_binaryen
@pytest.mark.parametrize("build", ["simd", "non-simd"])
def test_an_engine_is_split_by_what_ran_and_the_rest_still_works(
    tmp_path: Path, build: str
) -> None:
    bench = Bench(tmp_path, build)
    programs = {"profile/forward.mjs": _FORWARD, "profile/convolve.mjs": _CONVOLVED}
    result = bench.run(programs, profile=["profile/forward.mjs"], others=["profile/convolve.mjs"])
    (row,) = result.ledger
    assert row.kept, row.proof.detail
    assert "profile/forward.mjs: the same 1 line, 0 misses" in row.proof.detail
    assert "profile/convolve.mjs: the same 1 line, 1 misses" in row.proof.detail
    before = bench.graph.artifacts[ENGINE].size
    assert result.graph.artifacts[ENGINE].size < 0.9 * before
    assert Edge(GLUE, PART, Relation.LAZY) in result.graph.edges
    again = bench.run(programs, profile=["profile/forward.mjs"], others=["profile/convolve.mjs"])
    assert again.ledger[0].cached
    assert again.graph == result.graph


@needs_binaryen
def test_what_a_window_could_not_compile_at_once_becomes_several_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wasm_split, "_ROOM_BYTES", wasm_split.LIMIT_BYTES - 1_000)
    bench = Bench(tmp_path)
    programs = {"profile/forward.mjs": _FORWARD, "profile/convolve.mjs": _CONVOLVED}
    result = bench.run(programs, profile=["profile/forward.mjs"], others=["profile/convolve.mjs"])
    (row,) = result.ledger
    assert row.kept, row.proof.detail
    parts = sorted(i for i in result.graph.files if ".deferred" in i)
    assert len(parts) > 2
    assert parts[0] == "lib/pffft.deferred-1.wasm"
    assert "profile/convolve.mjs: the same 1 line" in row.proof.detail


@needs_binaryen
def test_the_same_profile_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name)
        result = bench.run({"profile/run.mjs": _FORWARD}, profile=["profile/run.mjs"])
        made.append({i: a.digest for i, a in result.graph.artifacts.items()})
    assert made[0] == made[1]


@needs_binaryen
def test_a_program_that_fails_drops_the_result_and_is_named(tmp_path: Path) -> None:
    result = Bench(tmp_path).run(
        {"profile/run.mjs": "throw new Error('no microphone');"}, profile=["profile/run.mjs"]
    )
    (row,) = result.ledger
    assert not row.kept
    assert row.proof.detail == "profile/run.mjs fails (1): Error: no microphone"
    assert ENGINE in result.graph.artifacts
    assert PART not in result.graph.artifacts


@needs_binaryen
def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    (row,) = Bench(tmp_path).run({}, profile=["profile/run.mjs"]).ledger
    assert row.proof.detail == "there is no program profile/run.mjs"


@needs_binaryen
def test_an_engine_that_no_program_uses_stays_whole(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    result = bench.run({"profile/run.mjs": "console.log(1);"}, profile=["profile/run.mjs"])
    assert result.graph == bench.graph
    assert result.ledger[0].proof.holds


@needs_binaryen
def test_programs_that_print_different_things_each_time_prove_nothing(tmp_path: Path) -> None:
    noisy = _FORWARD + "console.log(process.hrtime.bigint());"
    (row,) = Bench(tmp_path).run({"profile/run.mjs": noisy}, profile=["profile/run.mjs"]).ledger
    assert not row.kept
    assert "prints other things" in row.proof.detail


def test_where_binaryen_is_missing_the_ledger_says_how_to_get_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    options = {"profile": ["profile/run.mjs"], "binaryen": str(tmp_path)}
    result = bench.run({"profile/run.mjs": _FORWARD}, **options)
    (row,) = result.ledger
    assert (row.kept, row.proof.holds) == (False, True)
    assert re.search(r"not run: there is no wasm-split .*apt install binaryen", row.proof.detail)
    assert result.graph == bench.graph
    with pytest.raises(UnavailableError):
        SplitWasm(binaryen=str(tmp_path)).installed()


@needs_binaryen
def test_a_script_that_suspends_is_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    text = bench.store.get(bench.graph.artifacts[GLUE].digest) + b"WebAssembly.Suspending;"
    script = Artifact(GLUE, Kind.JS, bench.store.put(text), Bytes(len(text)))
    graph = bench.graph.with_artifacts([script])
    with pytest.raises(InputError, match="suspends WebAssembly"):
        SplitWasm(profile=("run.mjs",)).apply_with(graph, bench.store, {})


@needs_binaryen
def test_the_primary_module_offers_what_the_whole_one_did(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    result = bench.run({"profile/run.mjs": _FORWARD}, profile=["profile/run.mjs"])
    whole = wasm.read(bench.store.get(bench.graph.artifacts[ENGINE].digest))
    primary = wasm.read(bench.data(result, ENGINE))
    assert {e.name for e in whole.exports} <= {e.name for e in primary.exports}
    assert set(whole.imports) <= set(primary.imports)


@needs_binaryen
def test_what_javascript_cannot_call_is_not_deferred() -> None:
    # a: (v128) -> i32, b and c: () -> i32, all exported; only c ran
    sections = (
        (1, "02 60 01 7b 01 7f 60 00 01 7f"),
        (3, "03 00 01 01"),
        (7, "03 01 61 00 00 01 62 00 01 01 63 00 02"),
        (10, "03 04 00 41 01 0b 04 00 41 02 0b 04 00 41 03 0b"),
    )
    module = b"\0asm\1\0\0\0"
    for kind, text in sections:
        payload = bytes.fromhex(text)
        module += bytes([kind, len(payload)]) + payload
    split, opt = binaryen.find("wasm-split"), binaryen.find("wasm-opt")
    assert split is not None
    assert opt is not None
    pieces = wasm_split.split(wasm_split.Programs(split, opt), module, {2}, timeout_s=60)
    (part,) = pieces.parts
    assert len(wasm.read(part.data).bodies) == 1
