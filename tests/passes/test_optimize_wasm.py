"""wasm-opt on real modules: kept where the download becomes smaller, else the reason is said."""

from pathlib import Path

import pytest
import real

from toolchain.errors import InputError, ToolError
from toolchain.execution.cache import ActionCache
from toolchain.execution.local import LocalPool
from toolchain.formats import binaryen
from toolchain.ir import Artifact, ArtifactId, DirectoryStore, Graph, Kind
from toolchain.passes.base import Step
from toolchain.passes.optimize_wasm import OptimizeWasm
from toolchain.pipeline import Pipeline
from toolchain.units import Bytes
from toolchain.verify import same_calls

needs_binaryen = pytest.mark.skipif(
    binaryen.find("wasm-opt") is None, reason="wasm-opt is not installed: apt install binaryen"
)


@needs_binaryen
def test_a_module_that_becomes_smaller_is_kept_and_does_the_same() -> None:
    data = real.file("npm:@echogarden/pffft-wasm@0.4.2", "dist/simd/pffft.wasm").read_bytes()
    made = OptimizeWasm().rewritten(data)
    assert len(made.data) < len(data)
    proof = same_calls.prove(data, made.data)
    assert proof.holds, proof.detail


@needs_binaryen
def test_a_module_that_brotli_makes_no_smaller_stays_and_says_so() -> None:
    data = real.file("npm:@echogarden/fvad-wasm@0.2.0", "fvad.wasm").read_bytes()
    made = OptimizeWasm().rewritten(data)
    assert made.data is data
    assert made.note.startswith("nothing gained: 7.12 kB in brotli became 7.1")


@needs_binaryen
def test_what_binaryen_cannot_read_is_an_error_of_the_input() -> None:
    with pytest.raises(InputError, match="cannot rewrite it"):
        OptimizeWasm().rewrite(b"\0asm\1\0\0\0\x0a\x02\x01\x05")


@needs_binaryen
def test_time_is_limited() -> None:
    data = real.file("npm:@echogarden/rnnoise-wasm@0.2.0", "rnnoise.wasm").read_bytes()
    program = binaryen.find("wasm-opt")
    assert program is not None
    with pytest.raises(ToolError, match=r"did not finish in 0\.01 s"):
        binaryen.optimize(program, data, ["-Oz"], timeout_s=0.01)


def test_where_binaryen_is_missing_the_ledger_says_how_to_get_it(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    data = b"\0asm\1\0\0\0"
    name = ArtifactId("engine.wasm")
    module = Artifact(name, Kind.WASM, store.put(data), Bytes(len(data)))
    graph = Graph({name: module}, frozenset(), frozenset({name}))
    pipeline = Pipeline(store, ActionCache(tmp_path / "cache"), LocalPool(1))
    result = pipeline.run(graph, [Step("optimize-wasm", "a test", {"binaryen": str(tmp_path)})])
    (row,) = result.ledger
    assert (row.kept, row.proof.holds) == (False, True)
    assert "there is no wasm-opt" in row.proof.detail
    assert "apt install binaryen" in row.proof.detail
