"""Finds files that nothing in the application can load.

What it does
    Walks from the roots as the pass drop-unreachable does, with every file that an unknown name may
    stand for, and sums for each package the files that the pass would drop: a ``package.json`` or
    a licence that goes along with a file in use does not count. The cost is their size. Without
    roots nothing is claimed.

Why
    Packages carry builds for other systems, sources, tests and maps; unless somebody removes them,
    they are installed, published and copied with every release.

Advice
    Run the pass drop-unreachable; where a file is loaded in a way that no other file shows, name it
    in ``keep`` of ``vtool.toml``: ``keep = ["public/*.mp3"]``, globs in which ``*`` spans folders.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator

from toolchain.analysis.packages import package_of
from toolchain.analysis.shipping import needed
from toolchain.ir import Artifact, ArtifactId, Finding, Graph, Severity, Store
from toolchain.units import Bytes, show_bytes

_SHOWN = 5  # ours: the largest files of a package say what it is about


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield one finding for each package with unused files, the most wasteful first."""
    del store  # names, sizes and edges are enough
    used = needed(graph)
    unused: defaultdict[str, list[Artifact]] = defaultdict(list)
    for name, artifact in graph.files.items():
        if name not in used:
            unused[package_of(name)].append(artifact)
    cost = {package: sum(a.size for a in files) for package, files in unused.items()}
    for package in sorted(unused, key=lambda p: (-cost[p], p)):
        files = sorted(unused[package], key=lambda a: (-a.size, a.id))
        count = "1 file" if len(files) == 1 else f"{len(files)} files"
        yield Finding(
            check="unreachable-file",
            where=ArtifactId(package),
            message=f"nothing can load {count}",
            advice="drop them with the pass drop-unreachable, or keep them by vtool.toml: "
            f"keep = [{json.dumps(files[0].id, ensure_ascii=False)}]",
            cost=Bytes(cost[package]),
            severity=Severity.WARNING,
            evidence=tuple(f"{a.id}: {show_bytes(a.size)}" for a in files[:_SHOWN]),
        )
