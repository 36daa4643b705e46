"""Analyzes the program in a folder in this process and its workers, and prints what it took.

Needs Linux. Imports little, for workers import what their parent's script imports.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

import psutil

from toolchain.ir import Artifact, ArtifactId, DirectoryStore, Graph, Kind
from toolchain.program.inspection import Inspection
from toolchain.program.liveness import Liveness, live
from toolchain.program.source import Source
from toolchain.sources.directory import open_tree

_KINDS = {".js": Kind.JS, ".mjs": Kind.JS, ".cjs": Kind.JS, ".json": Kind.JSON, ".tsx": Kind.TS}
_CONDITIONS = frozenset({"node", "module"})


def main(tree: Path, entry: str) -> None:
    """Analyze; print seconds by part, modules, and memory: the peak, and what a module holds."""
    cpu = time.process_time()
    laps = {"": time.perf_counter()}
    with tempfile.TemporaryDirectory() as name:
        store = DirectoryStore(Path(name))
        graph = _hashed(tree, entry, store)
        laps["hash"] = time.perf_counter()
        before = psutil.Process().memory_info().rss
        source = Source(graph, store, _CONDITIONS)
        program = source.program([entry])
        laps["read and link"] = time.perf_counter()
        inspection = Inspection(program, source.files.read)
        inspection.effect(entry, 0)
        laps["effects"] = time.perf_counter()
        found: Liveness = live(program, inspection.effect, [entry])
        laps["liveness"] = time.perf_counter()
        for module in program.modules:
            source.kept_edges(module, lambda _: True)
        laps["edges"] = time.perf_counter()
    ends = list(laps.values())
    parts = {
        what: at - begun for (what, at), begun in zip(list(laps.items())[1:], ends, strict=False)
    }
    told = {
        "seconds": ends[-1] - ends[0],
        "parts": parts,
        "cpu": time.process_time() - cpu,
        "modules": len(program.modules),
        "needed": len(found.items),
        "peak_mb": _peak_mb(),
        "module_bytes": (psutil.Process().memory_info().rss - before) / len(program.modules),
    }
    print(json.dumps(told))


def _peak_mb() -> float:
    """Return the most memory that this process had; what getrusage says is its parent's, too."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def _hashed(tree: Path, entry: str, store: DirectoryStore) -> Graph:
    """Return the graph of all files, hashed and adopted by ``store``."""
    artifacts = {}
    for path, file in open_tree(tree).files.items():
        store.adopt(file.path, file.digest)
        kind = _KINDS.get(Path(path).suffix, Kind.DATA)
        artifacts[ArtifactId(path)] = Artifact(ArtifactId(path), kind, file.digest, file.size)
    return Graph(artifacts, frozenset(), frozenset({ArtifactId(entry)}), _CONDITIONS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
