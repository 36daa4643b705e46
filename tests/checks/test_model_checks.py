"""Checks of models: what they say of broken ones, of crashes, and of two files with one content."""

from __future__ import annotations

import pytest
import real
from onnx import parser

from toolchain import plugins
from toolchain.checks.base import Advice, measured
from toolchain.ir import (
    Artifact,
    ArtifactId,
    Edge,
    Finding,
    Graph,
    Kind,
    MemoryStore,
    Relation,
    Severity,
)
from toolchain.units import Bytes

CHECKS = ("bindable-input", "duplicate-tensor", "half-precision-weights", "unused-weight")
MOONSHINE = "moonshine_voice/assets/tiny-en/"


def graph_of(files: dict[str, tuple[Kind, bytes]]) -> tuple[Graph, MemoryStore]:
    store = MemoryStore()
    artifacts = {
        ArtifactId(n): Artifact(ArtifactId(n), kind, store.put(data), Bytes(len(data)))
        for n, (kind, data) in files.items()
    }
    return Graph(artifacts, frozenset(), frozenset()), store


def findings(name: str, files: dict[str, tuple[Kind, bytes]]) -> list[Finding]:
    graph, store = graph_of(files)
    return list(plugins.find("checks", name).check(graph, store))


def confusing() -> bytes:
    """Return a model that can be parsed, but whose If has no condition and whose name is none."""
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        main (float[2] x, bool on) => (float[2] y) {
           y = If (on) <
              then_branch = a () => (float[2] p) { p = Neg (x) },
              else_branch = b () => (float[2] q) { q = Abs (x) }
           >
        }"""
    )
    del model.graph.node[0].input[:]
    model.graph.initializer.add(data_type=99, dims=[-5], name="odd")
    data: bytes = model.SerializeToString()
    return data


@pytest.mark.parametrize("name", CHECKS)
def test_of_what_is_no_model_others_have_spoken(name: str) -> None:
    broken = (b"", b"no model", b"\0\0\0\0ORTM", confusing())
    files = {
        f"{number}.{kind}": (kind, data)
        for number, data in enumerate(broken)
        for kind in (Kind.ONNX, Kind.ORT)
    }
    found = findings(name, files)
    assert all(f.cost is not None for f in found), found


def test_a_crash_is_a_finding_and_the_others_are_still_checked() -> None:
    """The built-in ``eval`` stands for a fix: what it is given says what happens."""
    graph, store = graph_of(
        {
            "a.onnx": (Kind.ONNX, b"__import__('os').abort()"),
            "b.onnx": (
                Kind.ONNX,
                b"__import__('toolchain.formats.onnx_savings').formats.onnx_savings.Saved(7)",
            ),
            "c.onnx": (Kind.ONNX, b"None"),
        }
    )
    says = Advice("some-check", "saves {bytes}", "do it")
    first, second = measured(graph, store, eval, says)
    assert first.where == "a.onnx"
    assert "SIGABRT" in first.message
    assert (first.cost, first.severity) == (None, Severity.NOTE)
    assert (second.where, second.cost, second.message) == ("b.onnx", 7, "saves 7 B")


def test_what_no_root_reaches_is_not_checked() -> None:
    graph, store = graph_of({"app.js": (Kind.JS, b"1"), "a.onnx": (Kind.ONNX, b"1/0")})
    root = ArtifactId("app.js")
    rooted = Graph(graph.artifacts, frozenset(), frozenset({root}))
    says = Advice("some-check", "saves {bytes}", "do it")
    assert list(measured(rooted, store, eval, says)) == []
    used = rooted.with_edges([Edge(root, ArtifactId("a.onnx"), Relation.FETCH)])
    assert [f.where for f in measured(used, store, eval, says)] == ["a.onnx"]


def test_an_ort_file_is_looked_into_as_well() -> None:
    name = "decoder_model_merged.ort"
    data = real.file("pypi:moonshine-voice==0.0.73", MOONSHINE + name).read_bytes()
    (found,) = findings("duplicate-tensor", {name: (Kind.ORT, data)})
    assert found.cost is not None
    assert found.cost > 32_768 * 288
    assert "9.44 MB" in found.evidence[0]


def test_silero_says_which_input_to_bind_and_what_that_saves() -> None:
    data = real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx").read_bytes()
    (found,) = findings("bindable-input", {"vad.onnx": (Kind.ONNX, data)})
    assert found.cost is not None
    assert found.cost > 1_000_000
    assert [line.partition(":")[0] for line in found.evidence] == ["sr = 16000", "sr = 0"]


def test_two_versions_of_a_model_share_their_weights() -> None:
    """Version 6 and version 5 of the web package's model differ in some tensors only."""
    files = {}
    for version in ("v5", "v6"):
        path = real.file("npm:@ricky0123/vad-web@0.0.31", f"dist/silero_vad_{version}.onnx")
        files[f"{version}.onnx"] = (Kind.ONNX, path.read_bytes())
    across = [f for f in findings("duplicate-tensor", files) if "another model" in f.message]
    (found,) = across
    assert found.where == "v6.onnx"
    assert found.cost is not None
    assert 0 < found.cost < len(files["v6.onnx"][1])
    assert all(line.endswith("in v5.onnx") for line in found.evidence)
