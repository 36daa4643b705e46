"""Finds code that loads something whose name is only known when it runs.

What it does
    Lists each module with a computed import, worker, fetch or path that no file name matches. It is
    a warning where a root reaches the module: then nothing in its package can be called unused.

Why
    What nobody can know before the program runs, no tool can bundle, check, compress or leave out:
    one computed path can keep fifty megabytes alive. What it ``holds`` are the files that only such
    names may mean.

Advice
    Write the name as a string, or as ``new URL("x.wasm", import.meta.url)``; or list the files that
    are meant in ``vtool.toml``, under ``[dynamic]``: ``"src/load.js" = ["models/vad.onnx"]``, globs
    on both sides.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from toolchain.analysis.reachability import possible_targets, reachable
from toolchain.ir import ArtifactId, Finding, Graph, Kind, Severity, Store
from toolchain.units import Bytes


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each module with unknown targets."""
    del store  # edges are enough
    used = reachable(graph)
    possible, files = possible_targets(graph), graph.files
    unknown: defaultdict[ArtifactId, list[ArtifactId]] = defaultdict(list)
    for edge in sorted(graph.edges):
        if graph.artifacts[edge.target].kind is Kind.UNKNOWN:
            unknown[edge.source].append(edge.target)
    for source, targets in sorted(unknown.items()):
        places = "a name" if len(targets) == 1 else f"{len(targets)} names"
        others = [i for i in possible[source] if i != source]
        yield Finding(
            check="dynamic-target",
            where=source,
            message=f"loads {places} known only at run time; {len(others)} files may be meant",
            advice="write the name as a string, or list the files that are meant in vtool.toml, "
            f'below [dynamic]: {json.dumps(source, ensure_ascii=False)} = ["FILE"]',
            severity=Severity.WARNING if source in used else Severity.NOTE,
            holds=Bytes(sum(files[i].size for i in others if i in files and i not in used))
            if source in used
            else Bytes(0),
            evidence=tuple(t.removeprefix("unknown:") for t in targets),
        )
