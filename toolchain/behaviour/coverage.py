"""Which functions of which modules ran while the scenario was played."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from toolchain.behaviour.runtimes import BROWSERS, PLAYERS, absence
from toolchain.behaviour.staging import PROGRAM, Staged, unbundled_stage
from toolchain.formats.coverage import Function, ScriptCoverage, merged, scripts
from toolchain.formats.playing_node import Manner
from toolchain.formats.sourcemap import SourceMap
from toolchain.ir import ArtifactId, Graph, Play, Store


@dataclass(frozen=True, slots=True)
class ModuleUse:
    """How much of a module ran: its functions by name, and UTF-16 units of its code.

    ``units`` is what was loaded; a module whose code was loaded and none of whose functions ran
    was not needed for what was played, but perhaps for its values.
    """

    module: ArtifactId
    ran: tuple[str, ...]
    idle: tuple[str, ...]
    executed_units: int


def coverage(
    graph: Graph, store: Store, play: Play, entry: ArtifactId
) -> Mapping[ArtifactId, ModuleUse]:
    """Play the scenario on the unbundled application and return what ran, in all runtimes together.

    A module that was not loaded is not among them. Nothing may be deleted for what is said here:
    another conversation needs other code.

    Errors:
        as ``baseline``
    """
    found: dict[ArtifactId, list[ModuleUse]] = {}
    for runtime in play.runs_in:
        if absence(runtime):
            continue
        page = runtime in BROWSERS
        with unbundled_stage(graph, store, play, entry, page=page) as staged:
            played = PLAYERS[runtime](staged, play, Manner(coverage=True))
            runs = [script for document in played.coverage for script in scripts(document)]
            for use in _uses(runs, staged):
                found.setdefault(use.module, []).append(use)
    return {module: _together(uses) for module, uses in sorted(found.items())}


def _uses(runs: Iterable[ScriptCoverage], staged: Staged) -> list[ModuleUse]:
    base = f"{(staged.folder / PROGRAM).as_uri()}/"
    by_path: dict[str, list[ScriptCoverage]] = {}
    for script in runs:
        if script.url.startswith(base):
            path = unquote(script.url.removeprefix(base)).partition("?")[0]
            by_path.setdefault(path, []).append(script)
    modules = {path: module for module, path in staged.paths.items()}
    found: list[ModuleUse] = []
    for path, same in by_path.items():
        script = merged(same)
        if path in staged.maps:
            text = (staged.folder / PROGRAM / path).read_text("utf-8")
            found += _traced(script, text, staged.maps[path])
        else:
            module = ArtifactId(modules.get(path, path))
            found.append(_use(module, script.functions, script.executed_units))
    return found


def _use(module: ArtifactId, functions: Iterable[Function], units: int) -> ModuleUse:
    known = list(functions)
    ran = tuple(f.name for f in known if f.ran)
    return ModuleUse(module, ran, tuple(f.name for f in known if not f.ran), units)


def _traced(script: ScriptCoverage, text: str, found: SourceMap) -> list[ModuleUse]:
    """Return the modules of a script that has several, by the functions that began in them."""
    starts = _line_starts(text)
    functions: dict[str, list[Function]] = {}
    for function in script.functions:
        line = bisect_right(starts, function.range.start) - 1
        place = found.original(line, function.range.start - starts[line])
        # what esbuild wraps a module in is called like the module, and runs when it is loaded
        if place is not None and function.name not in found.sources:
            functions.setdefault(place.source, []).append(function)
    loaded = [ArtifactId(source) for source in found.sources]
    return [_use(module, functions.get(module, ()), 0) for module in loaded]


def _line_starts(text: str) -> list[int]:
    starts, at = [0], 0
    for line in text.split("\n"):
        at += len(line.encode("utf-16-le")) // 2 + 1
        starts.append(at)
    return starts


def _together(uses: list[ModuleUse]) -> ModuleUse:
    ran = {name for use in uses for name in use.ran}
    idle = {name for use in uses for name in use.idle} - ran
    most = max(use.executed_units for use in uses)
    return ModuleUse(uses[0].module, tuple(sorted(ran)), tuple(sorted(idle)), most)
