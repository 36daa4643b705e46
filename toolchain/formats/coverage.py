"""What of a script ran, as V8 counts it: from its coverage document to ranges and functions.

Offsets are UTF-16 code units of the script, as V8 has them.

Source: https://v8.dev/blog/javascript-code-coverage (precise, block coverage);
``Profiler.takePreciseCoverage`` of the DevTools protocol; the files of ``NODE_V8_COVERAGE``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

_FAR = 1 << 62  # behind every script


class Range(NamedTuple):
    """From ``start`` to before ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a script, by where it lies; ``ran`` if it was called at all."""

    name: str
    range: Range
    ran: bool


@dataclass(frozen=True, slots=True)
class ScriptCoverage:
    """What of one script ran: disjoint ranges in order, and its functions less the whole script."""

    url: str
    executed: tuple[Range, ...]
    functions: tuple[Function, ...]

    @property
    def executed_units(self) -> int:
        """How much ran."""
        return sum(r.end - r.start for r in self.executed)


def scripts(document: Mapping[str, Any]) -> list[ScriptCoverage]:
    """Return what ran of each script in a coverage document, in its order.

    >>> inner = {"startOffset": 4, "endOffset": 8, "count": 0}
    >>> outer = {"startOffset": 0, "endOffset": 9, "count": 1}
    >>> whole = {"functionName": "", "ranges": [outer, inner]}
    >>> [one.executed for one in scripts({"result": [{"url": "a.js", "functions": [whole]}]})]
    [(Range(start=0, end=4), Range(start=8, end=9))]
    """
    return [_script(one) for one in document["result"]]


def _script(raw: Mapping[str, Any]) -> ScriptCoverage:
    blocks = [
        (Range(r["startOffset"], r["endOffset"]), r["count"] > 0)
        for function in raw["functions"]
        for r in function["ranges"]
    ]
    end = max((r.end for r, _ in blocks), default=0)
    functions = [_function(f) for f in raw["functions"] if f["ranges"]]
    inner = tuple(f for f in functions if f.name or f.range != Range(0, end))
    return ScriptCoverage(raw["url"], executed(blocks), inner)


def _function(raw: Mapping[str, Any]) -> Function:
    first = raw["ranges"][0]
    where = Range(first["startOffset"], first["endOffset"])
    return Function(raw["functionName"], where, first["count"] > 0)


def executed(blocks: Iterable[tuple[Range, bool]]) -> tuple[Range, ...]:
    """Return what ran of nested blocks, each of which says so for all but the blocks inside it."""
    nested = sorted(blocks, key=lambda b: (b[0].start, -b[0].end))
    pieces: list[Range] = []
    around: list[tuple[int, bool]] = []  # end of a block that is open, whether it ran
    at = 0
    for start, end, ran in [*((b.start, b.end, r) for b, r in nested), (_FAR, _FAR, False)]:
        while around and around[-1][0] <= start:
            until, did = around.pop()
            if did:
                pieces.append(Range(at, until))
            at = max(at, until)
        if around and around[-1][1]:
            pieces.append(Range(at, start))
        at = start
        around.append((end, ran))
    return _joined(pieces)


def _joined(ranges: Iterable[Range]) -> tuple[Range, ...]:
    found: list[Range] = []
    for one in sorted(ranges):
        if one.end <= one.start:
            continue
        if found and one.start <= found[-1].end:
            found[-1] = Range(found[-1].start, max(found[-1].end, one.end))
        else:
            found.append(one)
    return tuple(found)


def merged(runs: Sequence[ScriptCoverage]) -> ScriptCoverage:
    """Return what ran of one script in any of several runs of it: processes, threads, pages."""
    functions: dict[tuple[Range, str], bool] = {}
    for function in (f for run in runs for f in run.functions):
        key = (function.range, function.name)
        functions[key] = functions.get(key, False) or function.ran
    return ScriptCoverage(
        runs[0].url,
        _joined(r for run in runs for r in run.executed),
        tuple(Function(name, where, ran) for (where, name), ran in sorted(functions.items())),
    )
