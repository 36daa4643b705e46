"""Modules without their dead code load as before, or the proof says what is different."""

from __future__ import annotations

import golden
import pytest

from toolchain.formats import node_module
from toolchain.ir import Artifact, ArtifactId, Graph, Kind, Proof, Store
from toolchain.units import Bytes
from toolchain.verify import same_program

MAIN = ArtifactId("main.js")
BEFORE = """\
js *main.js
    import "./decoding.js";
    console.log("ready", 7);
    export const low = 55;
    export const high = () => 440;
js decoding.js
    const decoder = typeof TextDecoder === "undefined" ? null : new TextDecoder();
"""


def _prove(old: str, new: str) -> Proof:
    before, store = golden.parse(BEFORE)
    return same_program.prove(before, _changed(before, store, old, new), store, {})


def _changed(graph: Graph, store: Store, old: str, new: str) -> Graph:
    text = store.get(graph.artifacts[MAIN].digest).decode()
    assert old in text
    data = text.replace(old, new).encode()
    return graph.with_artifacts([Artifact(MAIN, Kind.JS, store.put(data), Bytes(len(data)))])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('import "./decoding.js";\n', ""),  # node makes TextDecoder when it is first asked for
        ("() => 440", "() => 441"),  # no export is called: other proofs play the program
    ],
)
def test_what_nobody_notices_while_a_program_loads_is_no_difference(old: str, new: str) -> None:
    assert _prove(old, new) == Proof(
        "same-program", holds=True, detail="1 roots load in node as before"
    )


@pytest.mark.parametrize(
    ("old", "new", "detail"),
    [
        ("export const low", "const low", "main.js gives other values for ['low']"),
        ("() => 440", "440", "main.js gives other values for ['high']"),
        (
            "7);",
            "8);",
            "main.js prints something else: number 1 was log: ready 7 and is log: ready 8",
        ),
        (
            "7);",
            "7); globalThis.lost = 1;",
            "changes other globals: number 1 was nothing and is lost",
        ),
        ("7);", "7); nowhere();", "before it loads; after ReferenceError: nowhere is not defined"),
    ],
)
def test_what_is_different_is_told(old: str, new: str, detail: str) -> None:
    found = _prove(old, new)
    assert not found.holds
    assert detail in found.detail


def test_a_program_that_never_ends_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_module, "_TIMEOUT_SECONDS", 2.0)
    assert _prove('"ready", 7);', '"ready", 7);\n    for (;;);').detail == (
        "main.js: before it loads; after it did not load within 2 s"
    )
    before, store = golden.parse("js *main.js\n    for (;;);\n    1;\n")
    after = _changed(before, store, "1;", "2;")
    assert same_program.prove(before, after, store, {}).detail == (
        "1 roots load in node as before; 1 of them never came to an end, so nothing of them was "
        "compared"
    )


def test_a_program_that_is_not_changed_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(same_program, "load_both", None)
    graph, store = golden.parse(BEFORE)
    assert same_program.prove(graph, graph, store, {}).holds
