"""Finds source maps that ship with the code: as files, and inside of scripts.

What it does
    Sums the ``.map`` files of each package, and measures the comment at the end of a script that
    holds a whole map as base64. The cost is the bytes that go when the files or the comment go.

Why
    A map is often three times as large as its script, and may hold the whole source. An inline map
    is downloaded and parsed past by every visitor.

Advice
    Publish maps to the error tracker, not to visitors; build without inline maps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from toolchain.analysis.packages import package_of
from toolchain.analysis.reachability import reachable
from toolchain.ir import Artifact, ArtifactId, Finding, Graph, Kind, Severity, Store
from toolchain.units import Bytes, show_bytes

_INLINE = b"sourceMappingURL=data:"
_COMMENTS = (b"//# ", b"//@ ", b"/*# ", b"/*@ ")  # ECMA-426, section 11.1.2: how a map is linked
_SHOWN = 5  # ours: the largest ones


def check(graph: Graph, store: Store) -> Iterator[Finding]:
    """Yield a finding for each package with maps, then one for each script with a map inside."""
    used = reachable(graph)
    files = graph.files
    maps: defaultdict[str, list[Artifact]] = defaultdict(list)
    for name, artifact in files.items():
        if artifact.kind is Kind.SOURCEMAP:
            maps[package_of(name)].append(artifact)
    for package, found in sorted(maps.items()):
        yield _of_package(package, found, shipped=any(a.id in used for a in found))
    for name, artifact in files.items():
        if artifact.kind is Kind.JS and (size := inline_map_bytes(store.get(artifact.digest))):
            yield Finding(
                check="shipped-sourcemap",
                where=name,
                message="a source map is inside of the script",
                advice="build it without an inline source map",
                cost=Bytes(size),
                severity=Severity.WARNING if name in used else Severity.NOTE,
            )


def _of_package(package: str, maps: list[Artifact], *, shipped: bool) -> Finding:
    size = sum(a.size for a in maps)
    largest = sorted(maps, key=lambda a: (-a.size, a.id))[:_SHOWN]
    count = "1 source map" if len(maps) == 1 else f"{len(maps)} source maps"
    return Finding(
        check="shipped-sourcemap",
        where=ArtifactId(package),
        message=f"{count} beside the code",
        advice="upload maps to the error tracker and do not ship them",
        cost=Bytes(size),
        severity=Severity.WARNING if shipped else Severity.NOTE,
        evidence=tuple(f"{a.id}: {show_bytes(a.size)}" for a in largest),
    )


def inline_map_bytes(script: bytes) -> int:
    r"""Return the length of the comment that ends ``script`` with a whole map; 0 without one.

    >>> inline_map_bytes(b"f()\n//# sourceMappingURL=data:application/json;base64,e30=\n")
    54
    >>> inline_map_bytes(b'x = "//# sourceMappingURL=data:"; f()\ng()\n')
    0
    """
    at = script.rfind(_INLINE)
    start = at - len(_COMMENTS[0])
    if start < 0 or script[start:at] not in _COMMENTS:
        return 0
    line_start = script.rfind(b"\n", 0, start) + 1
    comment = script[start:].rstrip()
    alone = not script[line_start:start].strip() and b"\n" not in comment
    return len(comment) if alone else 0
