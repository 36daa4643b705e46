"""What was seen of an application before a pass, and the judgement of what came after."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial

from toolchain.analysis.observations import Comparison, Seen, compare, placed
from toolchain.behaviour.runtimes import BROWSERS, PLAYERS, absence
from toolchain.behaviour.staging import (
    PROGRAM,
    SCENARIO,
    SCRIPTS,
    Staged,
    bundled_stage,
    entry_of,
    successor,
    unbundled_stage,
)
from toolchain.errors import InputError
from toolchain.formats.playing_node import Manner
from toolchain.ir import ArtifactId, Graph, Play, Proof, Store

NAME = "same-behaviour"
_MOST_LATE = 5  # ours: two answers of which either may be first come alike in all with 1 in 32


@dataclass(frozen=True)
class Baseline:
    """What was seen of an application before; ``judge`` plays results and compares.

    One baseline serves any number of results of the same application.
    """

    before: Graph
    store: Store
    play: Play
    entry: ArtifactId
    seen: Mapping[str, tuple[Seen, Seen]]  # in each runtime, twice
    notes: Mapping[str, str]  # what is to be said of a runtime: that it is not there
    code: frozenset[str]  # paths of the modules, as they were and as they were run
    late: dict[str, list[Seen]] = field(default_factory=dict)  # a cache: plays with late answers

    def judge(self, after: Graph) -> Proof:
        """Return whether ``after`` does the same.

        Errors:
            InputError: its code cannot be laid out.
            ToolError: a runtime does not start.
        """
        entry = successor(self.entry, self.before, after)
        if entry is None:
            return Proof(NAME, holds=False, detail=f"there is no bundle for {self.entry}")
        said = []
        for runtime, (first, again) in self.seen.items():
            found = self._compared(runtime, first, again, partial(self._see, after, entry, runtime))
            if found.difference:
                return Proof(NAME, holds=False, detail=f"in {runtime}: {found.difference}")
            said.append(_said(runtime, found))
        said += [f"{runtime}: {note}" for runtime, note in self.notes.items()]
        return Proof(NAME, holds=True, detail="; ".join(said))

    def _compared(
        self, runtime: str, first: Seen, again: Seen, see: Callable[[], Seen]
    ) -> Comparison:
        """Compare what is seen of a result with what was before; a difference counts if it lasts.

        What was seen too much or too little must be so in two plays: a busy machine may lose a
        request in one. Where order alone is different, what was before is played with late
        answers: who of two that start at once is first is no promise, although an idle machine
        seems to keep it.
        """
        other = see()
        found = compare(first, again, other)
        if found.difference and not found.only_order:
            other = see()
            once_more = compare(first, again, other)
            if once_more.difference and not once_more.only_order:
                return found
            found = once_more
        if found.difference:
            for late in self._late(runtime):
                found = compare(first, again, other, late)
                if not found.difference:
                    break
        return found

    def _late(self, runtime: str) -> Iterator[list[Seen]]:
        """Yield more and more plays of what was before, in which answers come late by chance."""
        known = self.late.setdefault(runtime, [])
        if known:
            yield known
        while len(known) < _MOST_LATE:
            with _unbundled(self.before, self.store, self.play, self.entry, runtime) as staged:
                known.append(_seen(runtime, staged, self.play, self.code, len(known) + 1))
            yield known

    def _see(self, after: Graph, entry: ArtifactId, runtime: str) -> Seen:
        code = self.code | _code(after)
        if entry in self.before.artifacts:
            with _unbundled(after, self.store, self.play, entry, runtime) as staged:
                return _seen(runtime, staged, self.play, code | staged.code)
        with bundled_stage(after, self.store, self.play, entry) as staged:
            return _seen(runtime, staged, self.play, code)


def baseline(before: Graph, store: Store, play: Play) -> Baseline:
    """Play the scenario on the application as it is, twice in each runtime.

    Errors:
        ConfigError: the scenario names no entry of the project, or is no scenario.
        InputError: code that cannot be compiled or laid out.
        ToolError: a runtime does not start.
    """
    entry = entry_of(before, play)
    notes = {runtime: f"not run: {why}" for runtime in play.runs_in if (why := absence(runtime))}
    seen = {}
    code = frozenset(_code(before))
    for runtime in play.runs_in:
        if runtime in notes:
            continue
        with _unbundled(before, store, play, entry, runtime) as staged:
            code |= staged.code
            first = _seen(runtime, staged, play, code)
            seen[runtime] = (first, _seen(runtime, staged, play, code))
        if staged.joined:
            count = len(staged.joined)
            notes[runtime] = f"before was one file, since no page loads {count} CommonJS modules"
    return Baseline(before, store, play, entry, seen, notes, code)


def mode_of(options: Mapping[str, object]) -> str:
    """Return what stands for NODE_ENV in what a pass of ``options`` makes, as esbuild has it."""
    return "production" if options.get("minify", True) else "development"


def as_bundled(play: Play, options: Mapping[str, object]) -> Play:
    """Return ``play`` under the conditions and in the mode that a pass of ``options`` works in."""
    mode, given = mode_of(options), options.get("conditions")
    if isinstance(given, Sequence) and given:
        return replace(play, conditions=tuple(map(str, given)), mode=mode)
    return replace(play, mode=mode)


@dataclass
class Scenes:
    """An application as it came in, played once for all that several passes make of it."""

    origin: Graph
    store: Store
    play: Play
    known: list[Baseline] = field(default_factory=list)

    def judge(self, after: Graph, options: Mapping[str, object]) -> Proof:
        """Return whether ``after``, made by a pass of ``options``, does what the origin did.

        Errors:
            as ``baseline``
        """
        play = as_bundled(self.play, options)
        try:
            base = next((b for b in self.known if b.play == play), None)
            if base is None:
                base = baseline(self.origin, self.store, play)
                self.known.append(base)
            return base.judge(after)
        except InputError as error:
            return Proof(NAME, holds=False, detail=f"cannot be compared: {error}")


def _unbundled(
    graph: Graph, store: Store, play: Play, entry: ArtifactId, runtime: str
) -> AbstractContextManager[Staged]:
    return unbundled_stage(graph, store, play, entry, page=runtime in BROWSERS)


def _seen(
    runtime: str, staged: Staged, play: Play, code: Collection[str], disturbed: int = 0
) -> Seen:
    folder = staged.folder
    bases = [f"{(folder / part).as_uri()}/" for part in (PROGRAM, SCENARIO)]
    bases += [f"{folder / part}/" for part in (PROGRAM, SCENARIO)]
    played = PLAYERS[runtime](staged, play, Manner(disturbed=disturbed))
    return placed(played.observations, bases, code)


def _code(graph: Graph) -> set[str]:
    return {str(i) for i, a in graph.files.items() if a.kind in SCRIPTS}


def _said(runtime: str, found: Comparison) -> str:
    counted = ", ".join(f"{count} {kind}" for kind, count in found.compared.items())
    unknown = f" (differs from run to run, so unknown: {', '.join(found.unknown)})"
    return f"same in {runtime}: {counted}{unknown if found.unknown else ''}"
