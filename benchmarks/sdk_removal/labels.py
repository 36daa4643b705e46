"""The labels of the fixture SDK as values: what each consumer needs of each module, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CONSUMERS = ("vad", "voice", "react", "everything")
LIVE = frozenset({"live", "live-by-dynamic", "live-by-worker", "live-by-side-effect"})


@dataclass(frozen=True, slots=True)
class Item:
    """A declaration, statement, export or asset, and one label for each consumer."""

    id: str
    path: str
    construct: str
    instance: str
    name: str
    kind: str
    start: int  # bytes
    end: int
    marker: str  # text that is in a bundle if and only if the item is; empty: cannot be told
    labels: Mapping[str, str]
    why: Mapping[str, str]
    of: str = ""  # of an export: the declaration it exports


@dataclass(frozen=True, slots=True)
class Module:
    """A file of the SDK: how it is loaded, and what its imports lead to."""

    path: str
    format: str  # module, commonjs, classic or asset
    construct: str
    instance: str
    items: tuple[Item, ...]
    imports: Mapping[str, str] = field(default_factory=dict)

    @property
    def published(self) -> str:
        """Return the path once compiled."""
        return published(self.path)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A file that is loaded by its address at run time, and the item that names it."""

    path: str
    how: str  # worker, asset, unknown
    by: str


@dataclass(frozen=True, slots=True)
class Sdk:
    """The fixture as generated into ``folder``."""

    folder: Path
    modules: Mapping[str, Module]
    loaded: tuple[Loaded, ...]

    def items(self) -> Iterator[Item]:
        """Yield every item of every module."""
        for module in self.modules.values():
            yield from module.items


def generate(out: Path, *, scale: int = 1, seed: int = 1) -> Sdk:
    """Write the fixture SDK into ``out`` and return its labels."""
    folder = str(ROOT / "fixtures" / "voice-sdk")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    import_module("generate").write(out, scale=scale, seed=seed)
    return read(out)


def read(folder: Path) -> Sdk:
    """Read ``labels.json`` of a generated SDK."""
    data = json.loads((folder / "labels.json").read_text("utf-8"))
    modules = {}
    for raw in data["modules"]:
        about = {k: raw[k] for k in ("path", "construct", "instance")}
        items = tuple(Item(**about, **item) for item in raw["items"])
        modules[raw["path"]] = Module(
            **about, format=raw["format"], items=items, imports=raw.get("imports", {})
        )
    return Sdk(folder, modules, tuple(Loaded(**one) for one in data["loaded"]))


def published(path: str) -> str:
    """Return what a source file is called once it is compiled.

    >>> published("src/vad.ts"), published("src/view.tsx"), published("src/old.cjs")
    ('src/vad.js', 'src/view.js', 'src/old.cjs')
    """
    return path.removesuffix("x")[:-3] + ".js" if path.endswith((".ts", ".tsx")) else path
