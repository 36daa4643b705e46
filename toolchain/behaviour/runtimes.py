"""Where a scenario can be played: node, and Chromium where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from toolchain.behaviour.staging import Staged
from toolchain.formats.playing_node import OBSERVER_FILES, play_in_node
from toolchain.ir import Observation, Play, digest_of
from toolchain.sources.tools import node

Player = Callable[[Staged, Play], tuple[Observation, ...]]


def _node(staged: Staged, play: Play) -> tuple[Observation, ...]:
    return play_in_node(node(), staged.folder, staged.script, staged.entry, limit_s=play.limit_s)


PLAYERS: Mapping[str, Player] = MappingProxyType({"node": _node})


def absence(runtime: str) -> str:
    """Return why ``runtime`` cannot be used here; empty if it can."""
    return "" if runtime in PLAYERS else "none found"


def fingerprint(play: Play) -> str:
    """Return what a proof by scenario depends on besides the program: scenario and runtimes."""
    parts = [f"{name} {digest}" for name, digest in sorted(play.digests.items())]
    parts += [f"{runtime} {absence(runtime)}" for runtime in play.runs_in]
    parts += [digest_of(file.read_bytes()) for file in OBSERVER_FILES]
    parts += [play.script, play.entry, str(play.limit_s), *play.conditions]
    return digest_of("\n".join(parts).encode())
