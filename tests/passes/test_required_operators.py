"""required-operators on Silero VAD, on wrong requests, and its proof on wrong lists."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import real
from onnx import parser

from toolchain.errors import ConfigError, InputError
from toolchain.formats import onnx_operators
from toolchain.formats.onnx_operators import Operator
from toolchain.ir import Artifact, ArtifactId, Graph, Kind, MemoryStore
from toolchain.passes.required_operators import RequiredOperators
from toolchain.units import Bytes
from toolchain.verify import lists_operators


def graph_of(files: dict[str, tuple[Kind, bytes]]) -> tuple[Graph, MemoryStore]:
    store = MemoryStore()
    artifacts = {
        ArtifactId(n): Artifact(ArtifactId(n), kind, store.put(data), Bytes(len(data)))
        for n, (kind, data) in files.items()
    }
    return Graph(artifacts, frozenset(), frozenset()), store


def silero() -> bytes:
    return real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx").read_bytes()


def test_the_list_names_what_lies_five_branches_deep_and_a_missing_name_is_found() -> None:
    graph, store = graph_of({"vad.onnx": (Kind.ONNX, silero())})
    made = RequiredOperators()
    after = made.apply(graph, store)
    new = after.artifacts[ArtifactId("required_operators.config")]
    text = store.get(new.digest).decode()
    assert {"If", "LSTM", "Conv"} <= {o.name for o in onnx_operators.read(text)}
    assert lists_operators.prove(graph, after, store, asdict(made)).holds
    shorter = store.put(text.replace("LSTM,", "").encode())
    wrong = after.with_artifacts([replace(new, digest=shorter)])
    proof = lists_operators.prove(graph, wrong, store, asdict(made))
    assert not proof.holds
    assert "LSTM" in proof.detail


def test_a_second_new_file_is_not_proved() -> None:
    graph, store = graph_of({"vad.onnx": (Kind.ONNX, silero())})
    made = RequiredOperators()
    after = made.apply(graph, store)
    extra = Artifact(ArtifactId("more.txt"), Kind.TEXT, store.put(b"more"), Bytes(4))
    proof = lists_operators.prove(graph, after.with_artifacts([extra]), store, asdict(made))
    assert not proof.holds


def test_a_runtime_that_is_not_there_is_a_mistake_of_the_request() -> None:
    graph, store = graph_of({"vad.onnx": (Kind.ONNX, silero())})
    with pytest.raises(ConfigError, match=r"no file 'built\.config'") as caught:
        RequiredOperators(runtime="built.config").apply(graph, store)
    assert caught.value.hint


def test_a_file_in_the_way_is_not_overwritten() -> None:
    files = {"vad.onnx": (Kind.ONNX, silero()), "ops": (Kind.TEXT, b"mine")}
    graph, store = graph_of(files)
    with pytest.raises(ConfigError, match="already a file ops"):
        RequiredOperators(file="ops").apply(graph, store)


@pytest.mark.parametrize("line", ["Add", "ai.onnx;x;Add", "ai.onnx;;Add", "ai.onnx;1;Add;Mul"])
def test_a_line_that_is_none_is_named(line: str) -> None:
    with pytest.raises(InputError, match="line 2"):
        onnx_operators.read(f"# fine\n{line}\n")


def test_a_kernel_serves_the_opsets_up_to_the_next() -> None:
    """Onnxruntime has kernels of Relu for 6 to 12, 13, and 14 on."""
    needed = [Operator("ai.onnx", 17, "Relu")]
    assert onnx_operators.lacking(needed, [Operator("ai.onnx", 14, "Relu")]) == []
    assert onnx_operators.lacking(needed, [Operator("ai.onnx", 13, "Relu")]) == needed
    assert onnx_operators.lacking(needed, [Operator("com.microsoft", 17, "Relu")]) == needed


IMAGE = """
    <ir_version: 10, opset_import: ["" : 21]>
    main (uint8[n] x) => (uint8[h, w, c] y) { y = ImageDecoder (x) }
"""
TRAINING = """
    <ir_version: 10, opset_import: ["" : 21, "ai.onnx.preview.training" : 1]>
    main (float r, int64 t, float[2] x, float[2] g, float[2] v) => (float[2] y, float[2] w) {
        y, w = ai.onnx.preview.training.Momentum
            <alpha = 0.9, beta = 1.0, mode = "standard", norm_coefficient = 0.0> (r, t, x, g, v)
    }
"""
PLAIN = """
    <ir_version: 10, opset_import: ["" : 21]>
    main (float[2] x) => (float[2] y) { y = Abs (x) }
"""


def onnx(text: str) -> tuple[Kind, bytes]:
    return Kind.ONNX, parser.parse_model(text).SerializeToString(deterministic=True)


def test_what_a_target_lacks_is_named_with_the_model_that_needs_it() -> None:
    graph, store = graph_of({"a.onnx": onnx(IMAGE), "b.onnx": onnx(TRAINING), "c": onnx(PLAIN)})
    made = RequiredOperators(targets=("web-wasm",))
    after = made.apply(graph, store)
    assert lists_operators.prove(graph, after, store, asdict(made)).holds
    text = store.get(after.artifacts[ArtifactId(made.file)].digest).decode()
    assert [line for line in text.splitlines() if "lacking" in line] == [
        "# lacking in web-wasm: ai.onnx;21;ImageDecoder, needed by a.onnx",
        "# lacking in web-wasm: ai.onnx.preview.training;1;Momentum, needed by b.onnx",
    ]


def test_a_model_that_onnxruntime_refuses_is_listed_as_far_as_it_can_be_read() -> None:
    graph, store = graph_of({"a.onnx": onnx(IMAGE), "c": onnx(PLAIN)})
    after = RequiredOperators().apply(graph, store)
    text = store.get(after.artifacts[ArtifactId("required_operators.config")].digest).decode()
    assert "# not optimized: a.onnx: onnxruntime cannot load the model" in text
    assert "not optimized: c" not in text
    assert text.endswith("\nai.onnx;21;Abs,ImageDecoder\n")


@pytest.mark.parametrize("files", [{}, {"c": onnx(PLAIN)}])
def test_an_unknown_target_names_those_that_there_are(files: dict[str, tuple[Kind, bytes]]) -> None:
    graph, store = graph_of(files)
    with pytest.raises(ConfigError, match="no target 'phone'") as caught:
        RequiredOperators(targets=("native-cpu", "phone")).apply(graph, store)
    assert caught.value.hint == "targets: native-cpu, web-wasm"
