"""Keeps addresses in a module right when its code moves into a bundle in another folder.

``new URL("x", import.meta.url)`` names a file beside the module; after bundling it would name one
beside the bundle. The literal is replaced by the way from the bundle to the same file, and
``import.meta.resolve("./x")``, which not every bundler knows, by such an address; any other use of
``import.meta.url`` by an expression that still gives the module's own address.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from posixpath import dirname, relpath
from urllib.parse import quote

from toolchain.formats.javascript import Mention, read
from toolchain.formats.javascript_targets import addressed
from toolchain.formats.javascript_text import without_query
from toolchain.formats.node_resolution import Resolver
from toolchain.formats.workspaces import own_packages

_META = b"import.meta"
_IMPORTS = frozenset({"import", "import()", "require"})
PLAIN = "/!$&'()*+,;=:@-._~"  # RFC 3986, section 3.3: what a path may hold as it is


@dataclass(frozen=True)
class Rebase:
    """How modules are edited: ``files`` is what is shipped, ``moved`` what gets a new path."""

    files: Container[object]
    moved: Mapping[str, str]
    outdir: str
    resolver: Resolver

    def module(self, name: str, data: bytes) -> bytes:
        """Return the text of the module ``name`` for a bundle; ``data`` itself if nothing changes.

        Surprise: code that does not parse comes back as it is; the bundler says what is wrong.
        """
        edits = self.edits(name, data)
        return edited(data, edits) if edits else data

    def edits(self, name: str, data: bytes) -> dict[tuple[int, int], str]:
        """Return the byte ranges of the module ``name`` that change, with their new texts."""
        edits = own_imports(name, data, self.resolver)
        if _META not in data:
            return edits
        module = read(data)
        if module.problem:
            return edits
        edits |= {(m.start, m.end): text for m, text in self._literals(name, module.mentions)}
        right = {m.base for m in module.mentions if (m.start, m.end) in edits}
        here = f"new URL({self._way(name)}, import.meta.url).href"  # where it was, also if moved
        edits |= {(at.start, at.end): here for at in module.locations if at.start not in right}
        for one in module.mentions:
            if one.base >= 0 and one.call[0] >= 0:  # import.meta.resolve: not every bundler's
                base = "import.meta.url" if (one.start, one.end) in edits else here
                edits[one.call[0], one.start] = "new URL("
                edits[one.end, one.call[1]] = f", {base}).href"
        return edits

    def _literals(self, name: str, mentions: tuple[Mention, ...]) -> Iterator[tuple[Mention, str]]:
        """Yield the addresses that are known to name a shipped file, with their new text."""
        for mention in mentions:
            if mention.base < 0 or mention.computed:
                continue
            target = addressed(mention.target, name, self.files, self.resolver)
            if target is not None:
                rest = mention.target[len(without_query(mention.target)) :]
                yield mention, self._way(self.moved.get(target, target), rest)

    def _way(self, target: str, rest: str = "") -> str:
        """Return the address of ``target`` seen from a bundle, as a JavaScript string."""
        way = relpath(target, self.outdir)
        if not way.startswith("../"):
            way = f"./{way}"
        return json.dumps(quote(way, safe=PLAIN) + rest, ensure_ascii=False)


def own_imports(name: str, data: bytes, resolver: Resolver) -> dict[tuple[int, int], str]:
    """Return the edits by which the module ``name`` finds the project's own packages.

    Bundlers look for a link in ``node_modules``; a relative path is the same module without one.
    """
    names = [own.encode() for own in own_packages(resolver.files)]
    if not any(own in data for own in names):
        return {}
    module = read(data)
    edits: dict[tuple[int, int], str] = {}
    for mention in () if module.problem else module.mentions:
        if mention.how not in _IMPORTS or mention.computed:
            continue
        require = mention.how == "require"
        target = resolver.in_project(mention.target, name, require=require)
        if target is not None:
            way = relpath(target, dirname(name) or ".")
            way = way if way.startswith("../") else f"./{way}"
            edits[mention.start, mention.end] = json.dumps(way, ensure_ascii=False)
    return edits


def needs_itself(data: bytes) -> bool:
    """Whether a module passes its own address on, so that it may be loaded as a file too."""
    return _META in data and any(not at.base for at in read(data).locations)


def edited(data: bytes, edits: Mapping[tuple[int, int], str]) -> bytes:
    """Return ``data`` with the text of each byte range replaced; ranges do not overlap."""
    parts, at = [], 0
    for (start, end), text in sorted(edits.items()):
        parts += [data[at:start], text.encode()]
        at = end
    return b"".join([*parts, data[at:]])
