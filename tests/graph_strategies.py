"""Graphs for properties: files with parts and siblings, what is absent, every relation."""

from __future__ import annotations

from hypothesis import strategies as st

from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Relation, digest_of, part_id
from toolchain.units import Bytes

_KINDS = (Kind.JS, Kind.WASM, Kind.ONNX, Kind.SOURCEMAP, Kind.TEXT, Kind.EXTERNAL, Kind.UNKNOWN)
_NEEDS = (
    Relation.IMPORT,
    Relation.LAZY,
    Relation.WORKER,
    Relation.FETCH,
    Relation.LINK,
    Relation.DYNAMIC,
)
_FOLDERS = ("", "src/", "node_modules/a/", "node_modules/@s/b/")


def artifact(name: str, kind: Kind = Kind.JS, size: int = 1) -> Artifact:
    """Return an artifact whose bytes are its name over and over."""
    content = (name.encode() * size)[:size]
    return Artifact(ArtifactId(name), kind, digest_of(content), Bytes(size))


def graph_of(*artifacts: Artifact, edges: str = "", roots: str = "") -> Graph:
    """Return a graph; ``edges`` are written ``a->b`` (import) or ``a~>b`` (lazy), roots as ids."""
    arrows = {"~>": Relation.LAZY, "->": Relation.IMPORT}
    made = set()
    for word in edges.split():
        sign = "~>" if "~>" in word else "->"
        source, _, target = word.partition(sign)
        made.add(Edge(ArtifactId(source), ArtifactId(target), arrows[sign]))
    return Graph(
        {a.id: a for a in artifacts}, frozenset(made), frozenset(map(ArtifactId, roots.split()))
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Draw a valid graph of up to nine files, some of them with parts or a compressed sibling."""
    count = draw(st.integers(1, 9))
    artifacts: list[Artifact] = []
    edges: set[Edge] = set()
    for number in range(count):
        kind = draw(st.sampled_from(_KINDS))
        absent = kind in {Kind.EXTERNAL, Kind.UNKNOWN}
        name = f"{kind}:{number}" if absent else f"{draw(st.sampled_from(_FOLDERS))}f{number}"
        size = 0 if absent else draw(st.sampled_from([0, 1, 2, 50]))
        file = artifact(name, kind, size)
        artifacts.append(file)
        if kind is Kind.WASM and size:
            cut = draw(st.integers(0, size))
            for part, length in (("head", cut), ("code", size - cut)):
                inner = artifact(part_id(file.id, Kind.SECTION, part), Kind.SECTION, length)
                artifacts.append(inner)
                edges.add(Edge(file.id, inner.id, Relation.CONTAINS))
        if kind is Kind.JS and size > 1 and draw(st.booleans()):
            sibling = artifact(f"{name}.gz", Kind.COMPRESSED, size - 1)
            artifacts.append(sibling)
            edges.add(Edge(sibling.id, file.id, Relation.ENCODES))
    files = [a.id for a in artifacts if a.kind in {Kind.JS, Kind.WASM, Kind.ONNX}]
    ends = st.sampled_from([*(a.id for a in artifacts), *files, *files])  # mostly files: long ways
    edges |= draw(st.sets(st.builds(Edge, ends, ends, st.sampled_from(_NEEDS)), max_size=16))
    roots = draw(st.sets(st.sampled_from(files), max_size=2)) if files else set()
    return Graph({a.id: a for a in artifacts}, frozenset(edges), frozenset(roots))
