"""Running passes: proofs, the ledger, the cache, and what happens when a pass misbehaves."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import golden
import pytest

from toolchain import plugins
from toolchain.errors import ConfigError, InputError, PassError
from toolchain.execution.base import Outcome
from toolchain.execution.cache import ActionCache
from toolchain.ir import (
    Artifact,
    ArtifactId,
    DirectoryStore,
    Edge,
    Fate,
    Graph,
    Kind,
    Play,
    Proof,
    Relation,
    Store,
)
from toolchain.passes.base import ArtifactPass, Attempt, GraphPass, PortfolioPass, Step
from toolchain.pipeline import Pipeline
from toolchain.units import Bytes, Seconds


@dataclass(frozen=True)
class Halve(ArtifactPass):
    """Keep the first half; "bad" files cannot be read, "lie" ones are changed in content."""

    proof: ClassVar[str] = "is-prefix"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.DATA})
    produces: ClassVar[Kind | None] = Kind.TEXT

    def rewrite(self, data: bytes) -> bytes:
        if data.startswith(b"bad"):
            raise InputError("it is bad", hint="make it good")
        if data.startswith(b"grow"):
            return data + b"!"
        return b"xx" if data.startswith(b"lie") else data[: len(data) // 2]

    def rename(self, name: ArtifactId) -> ArtifactId:
        return ArtifactId(name.replace(".bin", ".half"))


@dataclass(frozen=True)
class Forget(GraphPass):
    """Drop one artifact; ``edges`` says whether the edges to it go too."""

    proof: ClassVar[str] = "always"
    name: str = "b.bin"
    edges: bool = True

    def apply(self, graph: Graph, store: Store) -> Graph:
        del store
        kept = graph.keep(graph.artifacts.keys() - {ArtifactId(self.name)})
        return kept if self.edges else Graph(kept.artifacts, graph.edges, kept.roots)


@dataclass(frozen=True)
class Compete(PortfolioPass):
    """Drop an artifact in two ways, of which the smaller leaves nothing; or lack a tool."""

    proof: ClassVar[str] = "some-left"
    lacks: bool = False

    def apply(self, graph: Graph, store: Store) -> Graph:
        raise NotImplementedError

    def attempts(self, graph: Graph, store: Store) -> Iterator[Attempt]:
        del store
        half = graph.keep(graph.artifacts.keys() - {ArtifactId("b.bin")})
        yield Attempt("half", Seconds(1), half, Bytes(5))
        yield Attempt("nothing", Seconds(2), graph.keep(()), Bytes(0))
        if self.lacks:
            yield Attempt("absent", Seconds(0), fate=Fate.ABSENT, detail="no such tool here")


def _some_left(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    del before, store, options
    return Proof("some-left", holds=bool(after.files), detail=f"{len(after.files)} files left")


def _is_prefix(before: bytes, after: bytes, options: Mapping[str, object]) -> Proof:
    del options
    return Proof("is-prefix", before.startswith(after), f"{len(after)} bytes compared")


def _always(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    del store, options
    return Proof("always", holds=True, detail=f"{len(before.files)} -> {len(after.files)} files")


class Here:
    """Runs in this process: these passes exist nowhere else."""

    def __init__(self) -> None:
        self.count = 0

    def run(self, function: object, items: list[object]) -> Iterator[Outcome[object]]:
        for index, item in enumerate(items):
            self.count += 1
            yield Outcome(index, function(item))  # type: ignore[operator]  # a function


@pytest.fixture(autouse=True)
def _passes(monkeypatch: pytest.MonkeyPatch) -> None:
    rooms: dict[tuple[str, str], ModuleType] = {}
    for room, name, contents in (
        ("passes", "halve", {"Halve": Halve}),
        ("passes", "forget", {"Forget": Forget}),
        ("passes", "compete", {"Compete": Compete}),
        ("verify", "is-prefix", {"prove": _is_prefix}),
        ("verify", "some-left", {"prove": _some_left}),
        ("verify", "always", {"prove": _always}),
    ):
        module = ModuleType(f"foreign_{name.replace('-', '_')}")
        vars(module).update(contents)
        for value in contents.values():
            monkeypatch.setattr(value, "__module__", module.__name__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        rooms[room, name] = module
    real = plugins.find
    monkeypatch.setattr(plugins, "find", lambda r, n: rooms.get((r, n)) or real(r, n))
    for module in ("pass_keys", "pipeline"):
        monkeypatch.setattr(f"toolchain.{module}.source_digest", lambda name: name)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(DirectoryStore(tmp_path / "store"), ActionCache(tmp_path / "actions"), Here())  # type: ignore[arg-type]  # items are given as a list


def _graph(pipeline: Pipeline, **files: bytes) -> Graph:
    artifacts = {}
    for name, data in files.items():
        full = ArtifactId(f"{name}.bin")
        digest = pipeline.store.put(data)
        artifacts[full] = Artifact(full, Kind.DATA, digest, Bytes(len(data)))
    edges = [
        Edge(a, b, Relation.FETCH) for a, b in zip(artifacts, list(artifacts)[1:], strict=False)
    ]
    return Graph(artifacts, frozenset(edges), frozenset(list(artifacts)[:1]))


def test_a_proved_rewrite_is_kept_renamed_and_booked(pipeline: Pipeline) -> None:
    result = pipeline.run(_graph(pipeline, a=b"12345678", b=b"1234"), [Step("halve", "why")])
    assert {i: a.size for i, a in result.graph.files.items()} == {"a.half": 4, "b.half": 2}
    assert [(r.artifact, r.before, r.after, r.proof.holds) for r in result.ledger] == [
        ("a.bin", 8, 4, True),
        ("b.bin", 4, 2, True),
    ]
    assert result.renames == {"a.bin": "a.half", "b.bin": "b.half"}
    assert sorted(result.graph.edges) == [
        Edge(ArtifactId("a.half"), ArtifactId("b.half"), Relation.FETCH)
    ]
    assert result.graph.artifacts[ArtifactId("a.half")].kind is Kind.TEXT


def test_what_fails_its_proof_is_dropped_and_the_ledger_says_so(pipeline: Pipeline) -> None:
    graph = _graph(pipeline, a=b"lie about it")
    result = pipeline.run(graph, [Step("halve", "why")])
    assert result.graph == graph
    (row,) = result.ledger
    assert (row.kept, row.saved, row.proof.holds) == (False, 0, False)


@pytest.mark.parametrize(
    ("data", "said"), [(b"bad file", "it is bad"), (b"grow", "larger"), (b"", "nothing to do")]
)
def test_what_cannot_be_rewritten_stays_as_it_was_with_the_reason(
    pipeline: Pipeline, data: bytes, said: str
) -> None:
    result = pipeline.run(_graph(pipeline, a=data), [Step("halve", "why")])
    (row,) = result.ledger
    assert (row.kept, row.saved) == (False, 0)
    assert said in row.proof.detail
    assert list(result.graph.files) == ["a.bin"]


def test_only_matching_files_are_touched(pipeline: Pipeline) -> None:
    graph = _graph(pipeline, a=b"1234", b=b"1234")
    result = pipeline.run(graph, [Step("halve", "why", match=("b*",))])
    assert list(result.graph.files) == ["a.bin", "b.half"]


def test_the_second_run_takes_everything_from_the_cache_and_gives_the_same(
    pipeline: Pipeline,
) -> None:
    graph = _graph(pipeline, a=b"12345678", b=b"grow", c=b"")
    steps = [Step("halve", "why"), Step("forget", "why")]
    first = pipeline.run(graph, steps)
    done = pipeline.executor.count  # type: ignore[attr-defined]  # of Here
    second = pipeline.run(graph, steps)
    assert pipeline.executor.count == done == 3  # type: ignore[attr-defined]  # of Here
    assert second.graph == first.graph
    assert [r.saved for r in second.ledger] == [r.saved for r in first.ledger]
    assert all(r.cached for r in second.ledger)


def test_what_failed_is_tried_again_since_a_tool_may_have_been_missing(
    pipeline: Pipeline,
) -> None:
    graph = _graph(pipeline, a=b"lie about", b=b"bad")
    for tries in (2, 4):
        pipeline.run(graph, [Step("halve", "why")])
        assert pipeline.executor.count == tries  # type: ignore[attr-defined]  # of Here


def test_a_new_name_that_is_taken_drops_the_rewrite_and_loses_no_file(pipeline: Pipeline) -> None:
    graph = _graph(pipeline, a=b"1234")
    other = Artifact(ArtifactId("a.half"), Kind.TEXT, pipeline.store.put(b"xyz"), Bytes(3))
    result = pipeline.run(graph.with_artifacts([other]), [Step("halve", "why")])
    assert {i: a.size for i, a in result.graph.files.items()} == {"a.bin": 4, "a.half": 3}
    assert "already a file a.half" in result.ledger[0].proof.detail


def test_a_cached_result_whose_bytes_are_gone_is_made_anew(pipeline: Pipeline) -> None:
    graph = _graph(pipeline, a=b"12345678")
    first = pipeline.run(graph, [Step("halve", "why")])
    pipeline.store.path(first.graph.artifacts[ArtifactId("a.half")].digest).unlink()
    second = pipeline.run(graph, [Step("halve", "why")])
    assert pipeline.store.get(second.graph.artifacts[ArtifactId("a.half")].digest) == b"1234"


def test_the_ledger_of_a_graph_pass_is_by_package_and_adds_up(pipeline: Pipeline) -> None:
    graph = _graph(pipeline, a=b"1", b=b"22", c=b"333")
    result = pipeline.run(graph, [Step("forget", "why")])
    assert [(r.artifact, r.before, r.after) for r in result.ledger] == [(".", 6, 4)]
    assert sum(r.saved for r in result.ledger) == graph.delivered - result.graph.delivered == 2


@pytest.mark.parametrize("lacks", [False, True])
def test_the_ledger_shows_candidates_and_what_lacked_a_tool_is_tried_again(
    pipeline: Pipeline, *, lacks: bool
) -> None:
    graph = _graph(pipeline, a=b"1234", b=b"12345678")
    steps = [Step("compete", "test", {"lacks": lacks})]
    first, second = pipeline.run(graph, steps), pipeline.run(graph, steps)
    assert first.graph == second.graph
    assert sorted(first.graph.files) == ["a.bin"]
    (row,), (again,) = first.ledger, second.ledger
    assert (row.saved, row.proof.detail, again.cached) == (8, "1 files left", not lacks)
    assert row.candidates == again.candidates
    fates = [(c.name, c.fate, c.detail) for c in row.candidates]
    assert fates[:2] == [
        ("nothing", Fate.UNPROVED, "0 files left"),
        ("half", Fate.KEPT, ""),
    ]
    assert fates[2:] == ([("absent", Fate.ABSENT, "no such tool here")] if lacks else [])


def test_a_pass_that_breaks_the_graph_is_stopped(pipeline: Pipeline) -> None:
    graph = _graph(pipeline, a=b"1", b=b"2")
    with pytest.raises(PassError, match=r"broke the graph: .*b\.bin is not in the graph"):
        pipeline.run(graph, [Step("forget", "why", {"edges": False})])


def test_an_option_that_a_pass_does_not_have_is_refused(pipeline: Pipeline) -> None:
    with pytest.raises(ConfigError, match="no option 'nmae'"):
        pipeline.run(_graph(pipeline, a=b"1"), [Step("forget", "why", {"nmae": "a"})])


def test_a_pass_is_judged_by_the_application_as_it_came_in(tmp_path: Path) -> None:
    """What drop-unreachable takes away that a computed name needs is seen when it is dropped."""
    script = tmp_path / "turn.mjs"
    script.write_text("export default async (entry) => (await import(entry)).start();")
    play = Play("turn.mjs", {"turn.mjs": script}, runs_in=("node",), digests={"turn.mjs": "1"})
    text = (
        "js *main.js\n"
        '    const name = ["other", "js"].join(".");\n'
        "    export const start = async () => (await import(`./${name}`)).other;\n"
        "js other.js\n    export const other = 1;\n"
    )
    graph, memory = golden.parse(text)
    store = DirectoryStore(tmp_path / "store")
    for data in memory.blobs.values():
        store.put(data)
    pipeline = Pipeline(store, ActionCache(tmp_path / "actions"), Here(), scenario=play)  # type: ignore[arg-type]  # items are given as a list
    steps = [Step("drop-unreachable", "test"), Step("bundle-js", "test")]
    result = pipeline.run(graph, steps)
    drop = result.ledger[0]
    assert (drop.step, drop.kept, drop.proof.name) == ("drop-unreachable", False, "same-behaviour")
    assert "was result `1` and is error" in drop.proof.detail
