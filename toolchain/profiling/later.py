"""What could be loaded later: the edits, and how much smaller the first load was with each."""

from __future__ import annotations

from itertools import islice

from toolchain.analysis.reachability import core
from toolchain.behaviour.lazy_loading import Feature, Lateness, with_feature
from toolchain.behaviour.scenario import play_of
from toolchain.errors import InputError, ToolError
from toolchain.ir import Graph, Kind, Store
from toolchain.ir.recommendation import Effect, Tried
from toolchain.passes.bundle_js import BundleJs
from toolchain.passes.drop_unreachable import DropUnreachable
from toolchain.passes.lazy_load import idle_modules
from toolchain.profiling.trials import judged
from toolchain.sources.project import Assembly

_MOST = 8  # features that are tried: the largest


def later(assembly: Assembly, graph: Graph, store: Store) -> tuple[Tried, ...]:
    """Return what came of loading each idle feature of an application late, the largest first.

    What is idle is seen by playing the project's scenario; without one there is nothing to say.
    Each edit was made on a copy, and the bundles that load at the start were weighed.

    Errors:
        ConfigError: the scenario is none, or names no entry.
        ToolError: nothing can play it.
    """
    play = play_of(assembly)
    if play is None:
        return ()
    project = assembly.project
    pass_ = BundleJs(conditions=project.conditions) if project else BundleJs()
    graph = DropUnreachable().apply(graph.without_parts(), store)
    idle = idle_modules(graph, store, play)
    before = _first_load(pass_.apply(graph, store))
    found = Lateness(graph, store, play.conditions).features(idle)
    tried = (_tried(one, graph, store, (pass_, before)) for one in islice(found, _MOST))
    return tuple(judged(one) for one in tried)


def _tried(feature: Feature, graph: Graph, store: Store, on: tuple[BundleJs, float]) -> Tried:
    pass_, before = on
    others = len(feature.modules) - 1
    behind = f", and {others} behind it," if others else ""
    what = f"{feature.module}{behind} is loaded when it is first used"
    if not feature.edits:
        return Tried(what, "", (), f"no edit is exact: {feature.unsafe}")
    how = feature.diff.rstrip()
    if feature.unsafe:
        how = f"judge first: {feature.unsafe}\n{how}"
    try:
        after = _first_load(pass_.apply(with_feature(graph, store, feature), store))
    except (InputError, ToolError) as error:
        return Tried(what, how, (), f"it does not bundle: {error}")
    return Tried(what, how, (Effect.exact("scripts of the first load", "byte", before, after),))


def _first_load(graph: Graph) -> float:
    names = core(graph)
    return float(sum(a.size for i, a in graph.files.items() if i in names and a.kind is Kind.JS))
