"""Checks the labels by deletion: what is dead may go without a trace, what is live may not.

A dead item is emptied (a function returns nothing, a class has no members) together with what
mentions it in its module, which must be dead too; its name stays, since other dead code mentions
it. A dead export is taken off, and so is its name where it is imported. A live item is emptied
or taken off alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk_removal.labels import LIVE, Item, Module, Sdk, published
from sdk_removal.program import bundle_whole, run

from toolchain.formats.esbuild import Esbuild

_IMPORT = re.compile(rb'(?m)^import (?:(\w+)|\{ ([^}]*) \}) from "([^"]+)";$')
_WORD = re.compile(rb"[\w$]+")
_COMMENT = re.compile(rb"/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Doubt:
    """A label that deletion contradicts."""

    consumer: str
    item: str
    label: str
    seen: str


@dataclass(frozen=True)
class Check:
    """One consumer as it is: what it prints is what every deletion is compared with."""

    sdk: Sdk
    consumer: str
    tree: Path  # published
    work: Path
    esbuild: Esbuild
    expected: str

    def doubts(self, items: Iterable[Item]) -> list[Doubt]:
        """Return what deletion contradicts: live items one by one, dead ones in halving groups."""
        chosen = list(items)
        found = [d for i in chosen if i.labels[self.consumer] in LIVE for d in self._live(i)]
        harmless = [i for i in chosen if i.labels[self.consumer] in {"dead", "type-only"}]
        return found + self._dead(harmless)

    def _live(self, item: Item) -> Iterator[Doubt]:
        if self.seen(deleted(self.sdk, [item])) == self.expected:
            yield Doubt(self.consumer, item.id, item.labels[self.consumer], "nothing changed")

    def _dead(self, items: list[Item]) -> list[Doubt]:
        if not items:
            return []
        closed = with_users(self.sdk, items)
        wrong = [i for i in closed if i.labels[self.consumer] in LIVE]
        seen = self.seen(deleted(self.sdk, closed, everywhere=True))
        if seen == self.expected and not wrong:
            return []
        if len(items) == 1:
            why = f"{wrong[0].id} uses it" if wrong else f"changed: {_first(seen, self.expected)}"
            return [Doubt(self.consumer, items[0].id, items[0].labels[self.consumer], why)]
        half = len(items) // 2
        return self._dead(items[:half]) + self._dead(items[half:])

    def seen(self, edits: Mapping[str, bytes]) -> str:
        """Return what the consumer prints when some files are other ones."""
        for old in self.work.glob("*"):
            old.unlink()
        error = bundle_whole(
            self.sdk, self.consumer, self.tree, self.work, self.esbuild, edits=edits
        )
        return f"error: {error}" if error else run(self.tree, self.work / "main.js")


def start(sdk: Sdk, consumer: str, tree: Path, work: Path, esbuild: Esbuild) -> Check:
    """Run a consumer as it is."""
    work.mkdir(parents=True, exist_ok=True)
    check = Check(sdk, consumer, tree, work, esbuild, "")
    return Check(sdk, consumer, tree, work, esbuild, check.seen({}))


def with_users(sdk: Sdk, items: Iterable[Item]) -> list[Item]:
    """Return ``items`` and all that mention them in their modules, again and again."""
    closed = {item.id: item for item in items}
    for path in {item.path for item in items}:
        module = sdk.modules[path]
        if module.format == "asset":
            continue
        source = (sdk.folder / path).read_bytes()
        words = {i.id: _words(source, i) for i in module.items if i.kind != "export"}
        grown = True
        while grown:
            here = (i for i in closed.values() if i.path == path)
            # a type is erased wherever it is mentioned
            names = {i.name.encode() for i in here if i.kind not in {"export", "type"}}
            new = [
                i
                for i in module.items
                if i.id in words and i.id not in closed and words[i.id] & names
            ]
            closed |= {i.id: i for i in new}
            grown = bool(new)
    return list(closed.values())


def _words(source: bytes, item: Item) -> set[bytes]:
    return set(_WORD.findall(_COMMENT.sub(b"", source[item.start : item.end])))


def deleted(sdk: Sdk, items: Iterable[Item], *, everywhere: bool = False) -> dict[str, bytes]:
    """Return the changed files without ``items``, by published path.

    ``everywhere``: names of exports that are gone are no longer imported either.
    """
    by_path: dict[str, list[Item]] = {}
    for item in items:
        by_path.setdefault(item.path, []).append(item)
    gone: set[tuple[str, str]] = set()
    files: dict[str, bytes] = {}
    for path, here in by_path.items():
        module = sdk.modules[path]
        files[path] = _without(module, (sdk.folder / path).read_bytes(), here)
        if everywhere and module.format == "module":
            gone |= {(path, item.name) for item in here if item.kind == "export"}
            for item in here:
                if item.kind == "star":
                    target = module.imports[item.name[1:]]
                    gone |= {(path, name) for name in _names(sdk, target)}
    if gone:
        _forget(sdk, files, gone)
    return {published(path): data for path, data in files.items()}


def _names(sdk: Sdk, path: str) -> set[str]:
    module = sdk.modules[path]
    names = {item.name for item in module.items if item.kind == "export"}
    for item in module.items:
        if item.kind == "star":
            names |= _names(sdk, module.imports[item.name[1:]])
    return names


def _without(module: Module, source: bytes, items: list[Item]) -> bytes:
    if module.format == "asset":
        return b""
    exports = {item.of for item in items if item.kind == "export" and item.of}
    emptied = {item.name: item for item in items if item.kind != "export"}
    listed = {item.name for item in items if item.kind == "export" and not item.of}
    for item in sorted(module.items, key=lambda i: -i.start):
        if item.kind == "export" and item.of:
            continue  # goes with its declaration
        text = source[item.start : item.end]
        if item.kind == "export":
            text = _no_import(text) if item.name in listed else text
        else:
            text = _emptied(item, text) if item.name in emptied else text
            text = re.sub(rb"(?m)^export (default )?", b"", text) if item.name in exports else text
        source = source[: item.start] + text + source[item.end :]
    return source


def _no_import(text: bytes) -> bytes:
    """Return a re-export without its names: the module behind it is loaded as before."""
    found = re.search(rb' from ("[^"]+");', text)
    return b"import " + found[1] + b";" if found else b""


def _emptied(item: Item, text: bytes) -> bytes:
    if item.kind in {"statement", "type"}:
        return b""
    if item.kind == "star":
        return _no_import(text)
    found = re.search(rb"(?m)^export (default )?", text)
    prefix = found[0].decode() if found else ""
    if item.kind == "const" and b" = " not in text:
        return b""  # `let x: T;` holds nothing that could be taken out
    body = {"function": "function {}() {{}}", "class": "class {} {{}}"}.get(
        item.kind, "let {} = undefined;"
    )
    return (prefix + body.format(item.name)).encode()


def _forget(sdk: Sdk, files: dict[str, bytes], gone: set[tuple[str, str]]) -> None:
    """Take names that are no longer exported off the imports and re-exports of other modules."""
    grown = True
    while grown:
        new = set(_passed_on(sdk, gone)) - gone
        gone |= new
        grown = bool(new)
    for module in sdk.modules.values():
        if module.format != "module":
            continue
        data = files.get(module.path) or (sdk.folder / module.path).read_bytes()
        changed = _IMPORT.sub(lambda m, at=module: _shorter(m, at, gone), data)
        again = [i for i in module.items if i.kind == "export" and not i.of]
        for item in again if module.path not in files else ():
            if (module.path, item.name) in gone:
                line = (sdk.folder / module.path).read_bytes()[item.start : item.end]
                changed = changed.replace(line, _no_import(line))
        if changed != data:
            files[module.path] = changed


def _passed_on(sdk: Sdk, gone: set[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the exports that only hand on what is gone."""
    for module in sdk.modules.values():
        for item in module.items:
            if item.kind == "star":
                behind = module.imports[item.name[1:]]
                own = {i.name for i in module.items if i.kind == "export"}
                yield from ((module.path, n) for p, n in gone if p == behind and n not in own)
            elif item.kind == "export" and not item.of and module.format == "module":
                text = (sdk.folder / module.path).read_bytes()[item.start : item.end].decode()
                name, source = re.findall(r'\{ (\w+).*from "([^"]+)"', text)[0]
                if (module.imports[source], name) in gone:
                    yield module.path, item.name


def _shorter(found: re.Match[bytes], module: Module, gone: set[tuple[str, str]]) -> bytes:
    target = module.imports.get(found[3].decode(), "")
    if found[1]:
        whole = b'import "' + found[3] + b'";'
        return whole if (target, "default") in gone else found[0]
    kept = [
        name
        for name in found[2].split(b", ")
        if (target, name.split(b" as ")[0].decode()) not in gone
    ]
    if len(kept) == len(found[2].split(b", ")):
        return found[0]
    return b"import { " + b", ".join(kept) + b' } from "' + found[3] + b'";'


def _first(seen: str, expected: str) -> str:
    pairs = zip(seen.splitlines(), expected.splitlines(), strict=False)
    return next((f"{a[:80]} for {b[:80]}" for a, b in pairs if a != b), seen[:80] or "nothing")
