"""What is called unused is what the fixture SDK labels as dead, and nothing that is live."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from sdk_removal.labels import CONSUMERS, LIVE, Item, Sdk, generate
from sdk_removal.program import publish

from toolchain.execution.cache import ActionCache
from toolchain.execution.local import LocalPool
from toolchain.formats.esbuild import service
from toolchain.ir import ArtifactId, DirectoryStore, Graph
from toolchain.loader import Loader
from toolchain.program.edits import spliced
from toolchain.program.source import SCRIPTS
from toolchain.program.usage import State, Usage, usage
from toolchain.sources.directory import open_tree
from toolchain.sources.tools import tool

_SHARE = 0.95  # the bar of the removal table


@dataclass(frozen=True)
class Bench:
    """The SDK, its published tree, and what reads it."""

    sdk: Sdk
    tree: Path
    store: DirectoryStore
    cache: ActionCache

    def graph(self, consumer: str) -> Graph:
        loader = Loader(self.store, self.cache, LocalPool(workers=1))
        roots = [f"consumers/{consumer}/main.js"]
        conditions = frozenset({"node", "module"})
        files = open_tree(self.tree).files
        return loader.load(files, roots, conditions=conditions).graph.without_parts()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    work = tmp_path_factory.mktemp("usage").resolve()
    sdk = generate(work / "sdk")
    with service(tool("esbuild")) as esbuild:
        tree = publish(sdk, work / "published", esbuild)
    return Bench(sdk, tree, DirectoryStore(work / "store"), ActionCache(work / "cache"))


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_what_is_labelled_dead_is_found_and_nothing_live_is_called_dead(
    bench: Bench, consumer: str
) -> None:
    graph = bench.graph(consumer)
    found = usage(graph, bench.store)
    assert found is not None
    dead_bytes = found_bytes = 0
    wrong = []
    for item, state in _judged(bench, graph, found):
        if item.labels[consumer] == "dead":
            dead_bytes += item.end - item.start
            found_bytes += (item.end - item.start) * (state is State.DEAD)
        elif item.labels[consumer] in {*LIVE, "unknown"} and state is State.DEAD:
            wrong.append(item.id)
    assert wrong == []
    assert found_bytes > _SHARE * dead_bytes


def _judged(bench: Bench, graph: Graph, found: Usage) -> Iterator[tuple[Item, State]]:
    """Yield each declaration or statement that can be told by its marker, and its state."""
    for module in bench.sdk.modules.values():
        artifact = graph.artifacts[ArtifactId(module.published)]
        if artifact.kind not in SCRIPTS:
            continue
        used, data = found.module(module.published), bench.store.get(artifact.digest)
        for item in module.items:
            marker = item.marker.encode()
            if not marker or item.kind in {"export", "star", "type"}:
                continue
            if data.count(marker) > 1:  # the compiler put an enum's values where they are used
                continue
            at, uses = data.index(marker), (*used.declarations, *used.exports)
            parts = [use.state for use in uses if use.span[0] <= at < use.span[1]]
            yield item, used.state if used.state is not State.LIVE else parts[0]


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_exports_labelled_live_are_never_called_dead(bench: Bench, consumer: str) -> None:
    graph = bench.graph(consumer)
    found = usage(graph, bench.store)
    assert found is not None
    wrong = []
    for module in bench.sdk.modules.values():
        used = found.module(module.published) if module.format == "module" else None
        dead = {use.name for use in used.exports if use.state is State.DEAD} if used else set()
        wrong += [
            item.id
            for item in module.items
            if item.kind == "export" and item.labels[consumer] in LIVE and item.name in dead
        ]
    assert wrong == []


def test_the_bytes_of_the_grains_are_what_the_edits_take_out_each_counted_once(
    bench: Bench,
) -> None:
    found = usage(bench.graph("voice"), bench.store)
    assert found is not None
    editor, read = found.shaking.editor, found.shaking.source.files.read
    for modules in found.packages.values():
        for one in modules:
            if one.state is State.LIVE:
                data = read(one.module)
                gone = len(data) - len(spliced(data, editor.edits(one.module, data)))
                assert one.of_exports.raw + one.of_declarations.raw == gone
            else:
                assert not one.exports
                assert not one.declarations
