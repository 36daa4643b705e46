"""Load features that are not needed at the start when they are first called.

What it does
    While the project's scenario is played, V8 counts which functions run. A module of which none
    ran is loaded late, with what only it needs: its import becomes a function that calls
    ``import()`` and then the feature. That is done where every use is a call that an ``async``
    function awaits or returns, so that its caller waits already. Where it is not certain to be
    safe, nothing is changed: ``vtool profile`` shows the edit instead.

Why
    Most of what an SDK loads is for later turns: of real ones 88 to 95 % has not run when the
    first turn is over. What is not loaded need not be downloaded or compiled before it.

Keeps
    All code: what did not run in one scenario may run in the next, so nothing is ever deleted for
    it. Modules that do anything when they are loaded (and modules with such a module behind them)
    stay where they are, as do those that import what imports them, or whose absence would change
    the order in which others run. Exports, values, errors and the order of arguments are the same;
    a function that answered at once, and was awaited, answers once its module is there.

Source
    V8's precise coverage (https://v8.dev/blog/javascript-code-coverage); the rest is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from toolchain.behaviour.coverage import coverage
from toolchain.behaviour.lazy_loading import Lateness, with_feature
from toolchain.behaviour.staging import entry_of
from toolchain.ir import ArtifactId, Graph, Play, Store
from toolchain.passes.base import PlayedPass


@dataclass(frozen=True)
class LazyLoad(PlayedPass):
    """Load late what the scenario does not need.

    ``idle`` are globs of modules that are not needed at the start, besides those that the scenario
    shows; ``conditions`` are those of package.json's ``exports``. A feature smaller than
    ``least_bytes`` is not worth a request of its own.
    """

    proof = "same-behaviour"

    idle: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ("browser", "module")
    least_bytes: int = 2048  # ours: about what one more request costs in headers and waiting

    def apply_played(self, graph: Graph, store: Store, play: Play | None) -> Graph:
        """Return ``graph`` with features behind ``import()``.

        Errors:
            ConfigError: the scenario names no entry of the project, or is no scenario.
            InputError: code that cannot be compiled or laid out.
        """
        idle = {i for i in graph.artifacts if any(fnmatchcase(i, pattern) for pattern in self.idle)}
        if play is not None:
            idle |= idle_modules(graph, store, play)
        while idle:
            found = next(
                (
                    feature
                    for feature in Lateness(graph, store, self.conditions).features(idle)
                    if not feature.unsafe and feature.edits and feature.size >= self.least_bytes
                ),
                None,
            )
            if found is None:
                return graph
            graph = with_feature(graph, store, found)
        return graph


def idle_modules(graph: Graph, store: Store, play: Play) -> set[ArtifactId]:
    """Return the modules with functions of which none ran while the scenario was played."""
    uses = coverage(graph, store, play, entry_of(graph, play)).values()
    return {use.module for use in uses if use.idle and not use.ran}
