"""Proof that an application behaves the same: its own scenario is played before and after.

Before is the program without a bundler: every module a file of its own, TypeScript lowered, each
import an address. It is played twice, so that what differs from run to run is known (and named);
then the result is played. Compared are events that the scenario reports, its result, everything
that is printed, unhandled rejections, requests that fail, warnings of the process, its output and
exit code. Addresses of modules, which bundling moves, and stack frames are left out of texts;
nothing else is. A project names its scenario in ``vtool.toml`` (docs/behaviour.md); where there is
none, the detail says that nothing was run.
"""

from __future__ import annotations

from collections.abc import Mapping

from toolchain.behaviour.baseline import NAME, as_bundled, baseline
from toolchain.errors import InputError
from toolchain.ir import Graph, Play, Proof, Store


def prove(before: Graph, after: Graph, store: Store, options: Mapping[str, object]) -> Proof:
    """Return whether ``options["scenario"]``, a ``Play``, sees the same of ``after``.

    Errors:
        ConfigError: the scenario names no entry of the project, or is no scenario.
        ToolError: a runtime does not start.
    """
    play = options.get("scenario")
    if not isinstance(play, Play):
        return Proof(NAME, holds=True, detail="not run: the project names no scenario")
    if before == after:
        return Proof(NAME, holds=True, detail="nothing changed")
    try:
        return baseline(before, store, as_bundled(play, options)).judge(after)
    except InputError as error:
        return Proof(NAME, holds=False, detail=f"cannot be compared: {error}")
