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
    dead: dict[str, int] = {}
    gone: dict[str, int] = {}
    lost, kept = [], []
    for item in items:
        if item.id not in sizes:
            continue
        label, present = item.labels[consumer], item.marker.encode() in text
        if label == "dead":
            dead[item.construct] = dead.get(item.construct, 0) + sizes[item.id]
            if present:
                kept.append(item.id)
            else:
                gone[item.construct] = gone.get(item.construct, 0) + sizes[item.id]
        elif label in LIVE and not present:
            lost.append(item.id)
    classes = {name: Removed(size, gone.get(name, 0)) for name, size in sorted(dead.items())}
    overall = Removed(sum(dead.values()), sum(gone.values()))
    return Removal(classes, overall, tuple(sorted(lost)), tuple(sorted(kept)))
