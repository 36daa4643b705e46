"""Proves that dropped files are builds of an engine that the code cannot name.

What it does
    Checks that nothing else changed; that no used file has an edge to a dropped one; that the whole
    name of a dropped file stands nowhere in the bytes of a used script, page or JSON file; that one
    of its words stands in no string of them; and that another build beside it is named and kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from toolchain.analysis.reachability import reachable
from toolchain.analysis.variants import named, words
from toolchain.formats.javascript import literals
from toolchain.ir import ArtifactId, Graph, Kind, Proof, Store
from toolchain.units import Bytes, show_bytes

_NAME = "never-named"
_READ = frozenset({Kind.JS, Kind.TS, Kind.JSON, Kind.HTML})


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Compare the two graphs; the detail names the first thing lost, or what went and why."""
    del options  # what was to be kept is kept: the pass may drop less than it could
    gone = sorted(before.files.keys() - after.files.keys())
    problem = next(_problems(before, after, store, gone), "")
    if problem or not gone:
        return Proof(_NAME, holds=not problem, detail=problem or "every build may be named")
    size = Bytes(sum(before.artifacts[n].size for n in gone))
    names = ", ".join(PurePosixPath(n).name for n in gone)
    stays = sorted(n for n in _beside(gone, after) if n not in named(before))
    unknown = f"; not named, but possible: {', '.join(stays)}" if stays else ""
    wanting = sorted({e.source for e in before.edges if e.target in gone and e.source not in gone})
    orphans = f"; named by what nobody uses: {', '.join(wanting)}" if wanting else ""
    detail = f"{show_bytes(size)} never named: {names}{unknown}{orphans}"
    return Proof(_NAME, holds=True, detail=detail)


def _problems(before: Graph, after: Graph, store: Store, gone: list[ArtifactId]) -> Iterator[str]:
    if after != before.keep(after.artifacts.keys()) or after.roots != before.roots:
        yield "more changed than files that were dropped"
    used = reachable(before)
    for name in gone:
        if name in used:
            yield f"{name} is used"
        if not _beside([name], after) & named(before):
            yield f"{name} went, and no build beside it is named"
    texts = {i: store.get(before.artifacts[i].digest) for i in sorted(used) if _is_text(before, i)}
    for name in gone:
        short = PurePosixPath(name).name.encode()
        yield from (f"{i} names {name}" for i, text in texts.items() if short in text)
    written = "\n".join(piece for i in texts for piece in _strings(before, i, texts[i]))
    for name in gone:
        if all(word in written for word in words(name)):
            yield f"{name} could be put together from words that the code holds"


def _is_text(graph: Graph, name: ArtifactId) -> bool:
    return graph.artifacts[name].kind in _READ


def _strings(graph: Graph, name: ArtifactId, text: bytes) -> Iterator[str]:
    if graph.artifacts[name].kind in {Kind.JS, Kind.TS}:
        yield from literals(text)
    else:
        yield text.decode("utf-8", errors="replace")


def _beside(names: list[ArtifactId], graph: Graph) -> set[ArtifactId]:
    """Return the WebAssembly files in the folders of ``names``."""
    folders = {PurePosixPath(n).parent for n in names}
    return {
        i
        for i, a in graph.files.items()
        if a.kind is Kind.WASM and PurePosixPath(i).parent in folders
    }
