"""Golden cases: text files of command, input and expected result, for passes and checks.

    # Why the case exists; one or more lines.
    drop-unreachable{keep=["extra/*"]}
    ---
    js *index.js -> core.js ~> big.wasm
        import "./core.js"
    js core.js
    wasm big.wasm
    ---
    js core.js
    ...

The command is a name and its options as a TOML inline table. An artifact is its kind, its id (``*``
marks a root) and its edges; the lines below it, indented by four spaces, are its content: text, or
what ``tests/codecs/<kind>.py`` makes of it (``encode(text) -> bytes``, ``decode(bytes) -> str``).
Content that is no text and has no codec is shown as ``(N bytes)``. A pass that refuses an artifact
leaves it as it is and adds a line ``! id: message``. A check yields lines ``severity where cost
message``, where a cost nobody measured is ``-``, with ``/N`` for N bytes that it holds, and its
evidence below, indented.

``UPDATE_GOLDENS=1`` writes what was found into the file.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from toolchain import plugins
from toolchain.errors import InputError
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, MemoryStore, Relation, Store
from toolchain.passes.base import ArtifactPass, GraphPass, make_pass
from toolchain.units import Bytes

ROOT = Path(__file__).parent.parent
_INDENT = "    "
_RULE = "---"

ARROWS = {
    "->": Relation.IMPORT,
    "~>": Relation.LAZY,
    "=>": Relation.WORKER,
    "@>": Relation.FETCH,
    "+>": Relation.LINK,
    "#>": Relation.STYLE,
    "?>": Relation.DYNAMIC,
    "%>": Relation.ENCODES,
    "^>": Relation.DELTA,
    "[>": Relation.CONTAINS,
    "{>": Relation.UNPACKS,
    "&>": Relation.MAPS,
}
_SIGNS = {relation: sign for sign, relation in ARROWS.items()}


@dataclass(frozen=True)
class Case:
    """One golden file."""

    path: Path
    reason: str
    name: str
    options: dict[str, Any]
    given: str
    expected: str

    def settle(self, found: str) -> None:
        """Compare ``found`` with what is expected, or write it where UPDATE_GOLDENS is set."""
        if found == self.expected:
            return
        if os.environ.get("UPDATE_GOLDENS"):
            head = self.path.read_text("utf-8").split(f"\n{_RULE}\n")
            self.path.write_text(f"\n{_RULE}\n".join([*head[:2], found]), "utf-8")
            return
        diff = difflib.unified_diff(
            self.expected.splitlines(), found.splitlines(), "expected", "found", n=2, lineterm=""
        )
        where = self.path.relative_to(ROOT)
        raise AssertionError(
            "\n".join(
                [f"{where}: {self.reason}", *diff, "(UPDATE_GOLDENS=1 accepts what was found)"]
            )
        )


def cases(room: str) -> list[Path]:
    """Return the golden files of "passes" or "checks", sorted."""
    return sorted((ROOT / "fixtures" / room).glob("*/*.txt"))


def read(path: Path) -> Case:
    """Read a golden file; a broken one is an error of the test."""
    blocks = path.read_text("utf-8").split(f"\n{_RULE}\n")
    assert len(blocks) == 3, f"{path}: two lines of --- are needed"
    *reasons, command = blocks[0].splitlines()
    assert reasons, f"{path}: the case has no reason"
    assert all(r.startswith("#") for r in reasons), f"{path}: the reason is a comment"
    name, brace, _ = command.partition("{")
    options = tomllib.loads(f"options = {command[len(name) :]}")["options"] if brace else {}
    assert name == path.parent.name, f"{path}: {name} belongs in another folder"
    reason = " ".join(r.lstrip("# ") for r in reasons)
    return Case(path, reason, name, options, blocks[1], blocks[2])


def run_pass(case: Case) -> str:
    """Run the case's pass on its input; return the result as text.

    A pass over the whole graph is also proved, and run a second time: that must change nothing.
    """
    graph, store = parse(case.given)
    assert graph.problems() == []
    made = make_pass(case.name, case.options)
    if isinstance(made, ArtifactPass):
        graph, refused = _rewrite(made, graph, store)
        return show(graph, store) + "".join(f"! {line}\n" for line in refused)
    assert isinstance(made, GraphPass)
    after = made.apply(graph, store)
    assert after.problems() == []
    proof = plugins.find("verify", made.proof).prove(graph, after, store, asdict(made))
    assert proof.holds, proof.detail
    assert made.apply(after, store) == after, "running twice is not running once"
    return show(after, store)


def run_check(case: Case) -> str:
    """Run the case's check on its input; return the findings as text."""
    assert not case.options, "checks have no options"
    graph, store = parse(case.given)
    lines = []
    for finding in plugins.find("checks", case.name).check(graph, store):
        assert finding.check == case.name
        assert finding.advice
        cost = "-" if finding.cost is None else f"{finding.cost}"
        cost += f"/{finding.holds}" if finding.holds else ""
        lines.append(f"{finding.severity} {finding.where} {cost} {finding.message}")
        lines += [_INDENT + e for e in finding.evidence]
    return "".join(f"{line}\n" for line in lines)


def with_texts(text: str, files: Mapping[str, str]) -> tuple[Graph, MemoryStore]:
    """Return what ``parse`` does, where the contents of some artifacts are ``files``."""
    graph, store = parse(text)
    for name, content in files.items():
        artifact = graph.artifacts[ArtifactId(name)]
        graph = graph.with_artifacts([replace(artifact, digest=store.put(content.encode()))])
    return graph, store


def parse(text: str) -> tuple[Graph, MemoryStore]:
    """Return the graph that ``text`` describes and a store with its contents."""
    store = MemoryStore()
    artifacts: dict[ArtifactId, Artifact] = {}
    edges: set[Edge] = set()
    roots: set[ArtifactId] = set()
    for head, content in _entries(text):
        word, starred, *arrows = head.split()
        kind, name = Kind(word), ArtifactId(starred.removeprefix("*"))
        assert name not in artifacts, f"{name} is there twice"
        data = encode(kind, content)
        artifacts[name] = Artifact(name, kind, store.put(data), Bytes(len(data)))
        assert len(arrows) % 2 == 0, f"{head}: an arrow without a target"
        pairs = zip(arrows[::2], arrows[1::2], strict=True)
        edges |= {Edge(name, ArtifactId(target), ARROWS[sign]) for sign, target in pairs}
        if starred.startswith("*"):
            roots.add(name)
    return Graph(artifacts, frozenset(edges), frozenset(roots)), store


def show(graph: Graph, store: Store) -> str:
    """Return the text that ``parse`` reads, sorted by id, less the maps of edited modules.

    Those follow from the edits (tests/test_origins.py) and would be long lines of digits here.
    """
    needs: dict[ArtifactId, list[str]] = {}
    for edge in sorted(graph.edges, key=lambda e: (list(Relation).index(e.relation), e.target)):
        needs.setdefault(edge.source, []).append(f" {_SIGNS[edge.relation]} {edge.target}")
    lines = []
    for name, artifact in sorted(graph.artifacts.items()):
        if name.startswith("source-maps/"):
            continue
        star = "*" if name in graph.roots else ""
        lines.append(f"{artifact.kind} {star}{name}{''.join(needs.get(name, []))}")
        content = decode(artifact.kind, store.get(artifact.digest))
        lines += [(_INDENT + line).rstrip(" ") for line in content.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def encode(kind: Kind, content: str) -> bytes:
    """Return the bytes that a content block stands for."""
    codec = _codec(kind)
    if codec is not None and content:
        made: bytes = codec.encode(content)
        return made
    return content.encode()


def decode(kind: Kind, data: bytes) -> str:
    """Return the content block for ``data``."""
    codec = _codec(kind)
    if codec is not None and data:
        text: str = codec.decode(data)
        return text
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"({len(data)} bytes)"
    return text if all(c.isprintable() or c in "\n\t" for c in text) else f"({len(data)} bytes)"


@cache
def _codec(kind: Kind) -> ModuleType | None:
    # by path: the folder's name is that of a standard module
    path = ROOT / "tests" / "codecs" / f"{kind}.py"
    name = f"golden_codec_{kind}"
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.exists() or spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield each artifact's first line and its content, which ends with a newline unless empty."""
    head: str | None = None
    content: list[str] = []
    for line in text.splitlines():
        if line.startswith(_INDENT) or not line:
            assert head is not None, f"content of nothing: {line}"
            content.append(line.removeprefix(_INDENT))
            continue
        if head is not None:
            yield head, "".join(f"{c}\n" for c in content)
        head, content = line, []
    if head is not None:
        yield head, "".join(f"{c}\n" for c in content)


def _rewrite(made: ArtifactPass, graph: Graph, store: Store) -> tuple[Graph, list[str]]:
    changed: list[Artifact] = []
    names: dict[ArtifactId, ArtifactId] = {}
    refused: list[str] = []
    for name, artifact in graph.files.items():
        if artifact.kind not in made.kinds:
            continue
        try:
            data = made.rewrite(store.get(artifact.digest))
        except InputError as error:
            refused.append(f"{name}: {error}")
            continue
        if data == store.get(artifact.digest):
            continue
        digest, size = store.put(data), Bytes(len(data))
        changed.append(
            replace(artifact, kind=made.produces or artifact.kind, digest=digest, size=size)
        )
        if (new := made.rename(name)) != name:
            names[name] = new
    return graph.with_artifacts(changed).renamed(names), refused
