"""Where a scenario can be played: node, and Chromium where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from toolchain.behaviour.staging import Staged
from toolchain.errors import ToolError
from toolchain.formats.chromium import PAGE_FILES, find_chromium, play_in_page
from toolchain.formats.playing_node import (
    OBSERVER_FILES,
    PLAIN,
    Manner,
    Played,
    node_version,
    play_in_node,
)
from toolchain.ir import Play, digest_of
from toolchain.sources.tools import node, tool


class Player(Protocol):
    """Plays a scenario where it can be played."""

    def __call__(self, staged: Staged, play: Play, manner: Manner = PLAIN, /) -> Played:
        """Return what was seen and, if asked for, counted."""
        ...


@cache
def _new_node() -> Path:
    """Return a node that tells ES modules by their syntax, as bundlers do: the system's, or ours.

    It does since 20.19 and 22.7: https://nodejs.org/api/packages.html#syntax-detection.
    """
    found = node()
    major, minor = map(int, node_version(found).removeprefix("v").split(".")[:2])
    knows = (major, minor) >= (22, 7) or (major == 20 and minor >= 19)  # noqa: PLR2004 - versions
    return found if knows else tool("node")


def _node(staged: Staged, play: Play, manner: Manner = PLAIN, /) -> Played:
    start = (staged.script, staged.entry)
    return play_in_node(_new_node(), staged.folder, start, play.limit_s, manner)


def _chromium(staged: Staged, play: Play, manner: Manner = PLAIN, /) -> Played:
    found = find_chromium()
    if found is None:
        raise ToolError("there is no Chromium in PATH", hint=_HOW)
    start = (staged.script, staged.entry)
    return play_in_page(
        found, staged.folder, start, play.limit_s, wav=play.microphone, manner=manner
    )


PLAYERS: Mapping[str, Player] = MappingProxyType({"node": _node, "chromium": _chromium})
BROWSERS = frozenset({"chromium"})
_HOW = "install it (Debian: apt-get install chromium)"


def absence(runtime: str) -> str:
    """Return why ``runtime`` cannot be used here; empty if it can."""
    missing = runtime in BROWSERS and find_chromium() is None
    return f"none found in PATH; {_HOW}" if missing else ""


def version(runtime: str) -> str:
    """Return which of its releases ``runtime`` is here; empty where it is not."""
    if runtime in BROWSERS:
        found = find_chromium()
        return found.version if found else ""
    return node_version(_new_node())


def fingerprint(play: Play) -> str:
    """Return what a proof by scenario depends on besides the program: scenario and runtimes."""
    parts = [f"{name} {digest}" for name, digest in sorted(play.digests.items())]
    parts += [f"{runtime} {version(runtime)}" for runtime in play.runs_in]
    parts += [digest_of(file.read_bytes()) for file in (*OBSERVER_FILES, *PAGE_FILES)]
    parts += [play.script, play.entry, str(play.limit_s), *play.conditions]
    return digest_of("\n".join(parts).encode())
