"""Finds files that lie in several places with the same bytes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from toolchain.ir import ArtifactId, Digest, Graph
from toolchain.units import Bytes


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same ``size`` bytes under two or more ids, in sorted order."""

    digest: Digest
    size: Bytes
    ids: tuple[ArtifactId, ...]

    @property
    def wasted(self) -> Bytes:
        """Bytes that one copy instead of all would save."""
        return Bytes(self.size * (len(self.ids) - 1))


def duplicates(graph: Graph) -> list[Duplicate]:
    """Return the sets of equal files that are not empty, the most wasteful first."""
    same: defaultdict[Digest, list[ArtifactId]] = defaultdict(list)
    files = graph.files
    for name, artifact in files.items():
        same[artifact.digest].append(name)
    found = [
        Duplicate(digest, files[ids[0]].size, tuple(ids))
        for digest, ids in same.items()
        if len(ids) > 1 and files[ids[0]].size
    ]
    return sorted(found, key=lambda d: (-d.wasted, d.ids))
