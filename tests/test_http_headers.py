"""What a server is told to send: patterns that browsers read, and the smallest form first."""

from __future__ import annotations

import base64
import hashlib

import pytest

from toolchain.formats.compression_dictionary import delta_name, encode_delta
from toolchain.http_headers import headers, pattern
from toolchain.ir import Artifact, ArtifactId, Digest, Edge, Graph, Kind, MemoryStore, Relation
from toolchain.units import Bytes

_OLD, _NEW = b"let a = 1;\n" * 200, b"let a = 1;\n" * 199 + b"let b = 2;\n"


def _artifact(store: MemoryStore, name: str, data: bytes) -> Artifact:
    return Artifact(ArtifactId(name), Kind.JS, store.put(data), Bytes(len(data)))


def _released() -> tuple[Graph, MemoryStore]:
    store = MemoryStore()
    name = delta_name("app/a.js", Digest(hashlib.sha256(_OLD).hexdigest()))
    forms = [
        _artifact(store, "app/a.js", _NEW),
        _artifact(store, "app/a.js.br", b"b" * 300),
        _artifact(store, "app/a.js.gz", b"g" * 400),
        _artifact(store, name, encode_delta(_NEW, _OLD, 3)),
        _artifact(store, "app/short.js", b"let c"),
    ]
    edges = {
        Edge(ArtifactId("app/a.js.br"), ArtifactId("app/a.js"), Relation.ENCODES),
        Edge(ArtifactId("app/a.js.gz"), ArtifactId("app/a.js"), Relation.ENCODES),
        Edge(ArtifactId(name), ArtifactId("app/a.js"), Relation.DELTA),
    }
    return Graph({a.id: a for a in forms}, frozenset(edges), frozenset()), store


def test_every_form_is_listed_with_what_it_takes_the_smallest_first() -> None:
    first, second = headers(*_released())["files"]
    digest = base64.b64encode(hashlib.sha256(_OLD).digest()).decode()
    assert first["headers"] == {
        "Use-As-Dictionary": 'match="a.js"',
        "Vary": "accept-encoding, available-dictionary",
    }
    assert [(r["requires"], r["headers"]) for r in first["representations"]] == [
        (
            {"Accept-Encoding": "dcz", "Available-Dictionary": f":{digest}:"},
            {"Content-Encoding": "dcz"},
        ),
        ({"Accept-Encoding": "br"}, {"Content-Encoding": "br"}),
        ({"Accept-Encoding": "gzip"}, {"Content-Encoding": "gzip"}),
        ({}, {}),
    ]
    assert "Use-As-Dictionary" not in second["headers"]  # one packet anyway
    assert [r["file"] for r in second["representations"]] == ["app/short.js"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("app/main.js", "main.js"),
        ("chunk-3ZB2RMEH.js", "chunk-*.js"),
        ("a b.js", "a%20b.js"),
        ("è.js", "%C3%A8.js"),
        ("a+b(1):*.js", r"a\+b\(1\)\:\*.js"),
        ("what?.js", "what%3F.js"),
        ('"{}".js', "%22%7B%7D%22.js"),
        ("100%.js", "100%25.js"),
    ],
)
def test_what_means_something_in_a_pattern_is_escaped(name: str, written: str) -> None:
    assert pattern(name) == written


def test_the_header_is_a_string_of_a_structured_field() -> None:
    store = MemoryStore()
    odd = _artifact(store, "a+b.js", _NEW)
    (row,) = headers(Graph({odd.id: odd}, frozenset(), frozenset()), store)["files"]
    assert row["headers"]["Use-As-Dictionary"] == r'match="a\\+b.js"'
