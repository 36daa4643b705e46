"""The removal rate: how much of what a consumer does not need is gone from what a bundler wrote.

An item is in a bundle if its marker is: text that occurs in no other item and that no minifier
changes. Its bytes are those of its source alone, types and whitespace taken off by esbuild.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk_removal.labels import LIVE, Item, Sdk

from toolchain.errors import ToolError
from toolchain.formats.esbuild import Esbuild

_WITHOUT_CODE = frozenset({"export", "star", "type"})
_WEIGH = ("--minify-whitespace", "--jsx=preserve", "--target=esnext")


@dataclass(frozen=True, slots=True)
class Removed:
    """Bytes of dead items, and how many of them are gone."""

    dead_bytes: int
    removed_bytes: int

    @property
    def rate(self) -> float:
        """Return the removal rate; 1 where there was nothing to remove."""
        return self.removed_bytes / self.dead_bytes if self.dead_bytes else 1.0


@dataclass(frozen=True, slots=True)
class Removal:
    """What a bundle of one consumer kept and lost."""

    by_construct: Mapping[str, Removed]
    overall: Removed
    inside: Removed  # the part in modules of which something is needed: the hard part
    lost: tuple[str, ...]  # live items that are gone
    kept: tuple[str, ...]  # dead items that are still there


def weigh(sdk: Sdk, esbuild: Esbuild) -> dict[str, int]:
    """Return the bytes of each item that can be told by a marker; of assets, the file's size.

    Errors:
        ToolError: an item does not compile on its own.
    """
    sizes = {}
    for module in sdk.modules.values():
        source = (sdk.folder / module.path).read_bytes()
        loader = "js" if Path(module.path).suffix in {".js", ".cjs"} else "tsx"
        for item in module.items:
            text = source[item.start : item.end]
            if item.kind == "asset":
                sizes[item.id] = len(text)
            elif item.marker and item.kind not in _WITHOUT_CODE:
                done = esbuild.transform(text, *_WEIGH, f"--loader={loader}")
                if done.errors:
                    raise ToolError(f"{item.id} does not compile: {done.errors[0].text}")
                sizes[item.id] = len(done.outputs[0].data.strip())
    return sizes


def removal(
    items: Iterable[Item], sizes: Mapping[str, int], files: Mapping[str, bytes], consumer: str
) -> Removal:
    """Judge the ``files`` a bundler wrote for ``consumer``; pure."""
    text = b"\n".join(files.values())
    judged = [item for item in items if item.id in sizes]
    needed = {i.path for i in judged if i.labels[consumer] not in {"dead", "type-only"}}
    dead = [item for item in judged if item.labels[consumer] == "dead"]
    gone = {item.id for item in judged if item.marker.encode() not in text}

    def removed(some: Iterable[Item]) -> Removed:
        these = [item.id for item in some]
        return Removed(sum(sizes[i] for i in these), sum(sizes[i] for i in these if i in gone))

    constructs = sorted({item.construct for item in dead})
    return Removal(
        {name: removed(i for i in dead if i.construct == name) for name in constructs},
        removed(dead),
        removed(item for item in dead if item.path in needed),
        tuple(sorted(i.id for i in judged if i.labels[consumer] in LIVE and i.id in gone)),
        tuple(sorted(i.id for i in dead if i.id not in gone)),
    )
