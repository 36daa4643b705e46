"""Writes modules without what is not needed; everything that stays, stays as it was written."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from toolchain.formats.javascript import Mention
from toolchain.formats.javascript_addresses import edited
from toolchain.program.liveness import Liveness
from toolchain.program.module import NAMESPACE, Clause, Import, Item, ModuleText
from toolchain.program.program import ModuleId, Program

Edits = Mapping[tuple[int, int], bytes]  # byte ranges and what stands there then

# What goes on with an expression if nothing ends it (ECMA-262, 12.10); not what begins nothing
_CONTINUING = frozenset({b"(", b"[", b"`", b"+", b"-", b"/"})
_SKIPPED = re.compile(rb"(?:\s|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_TYPESCRIPT = (".ts", ".tsx", ".mts", ".cts")


@dataclass(frozen=True)
class Editor:
    """Writes the modules of ``program`` anew; ``ordered`` are those that run when they did."""

    program: Program
    found: Liveness
    ordered: frozenset[ModuleId]

    def edits(self, module: ModuleId, data: bytes) -> Edits:
        """Return what changes in the text of a module."""
        text = self.program.modules[module]
        if text.problem or text.form == "script":
            return {}
        return {**dict(self._items(module, text, data)), **dict(self._clauses(module, text))}

    def keeps(self, module: ModuleId, edits: Edits, mention: Mention) -> bool:
        """Whether the code that mentions another file is still there."""
        for (start, end), new in edits.items():
            if start <= mention.start < end and _is_clause(self.program.modules[module], start):
                return _quoted(mention.target).encode() in new
        around = [
            (module, number) in self.found.items
            for number, item in enumerate(self.program.modules[module].items)
            if item.start <= mention.start < item.end
        ]
        return not around or any(around)

    # items:

    def _items(
        self, module: ModuleId, text: ModuleText, data: bytes
    ) -> Iterator[tuple[tuple[int, int], bytes]]:
        """Yield the statements that change, with what stays of them."""
        statements: dict[tuple[int, int], list[tuple[Item, bool]]] = {}
        for number, item in enumerate(text.items):
            is_live = (module, number) in self.found.items
            statements.setdefault(item.of, []).append((item, is_live))
        for span, parts in statements.items():
            if all(is_live for _, is_live in parts):
                continue
            kept = [item for item, is_live in parts if is_live]
            if not kept:
                yield span, b""
                continue
            start = data[span[0] : parts[0][0].start]
            end = data[parts[-1][0].end : span[1]]
            yield span, start + b", ".join(data[i.start : i.end] for i in kept) + end

    # imports and exports:

    def _clauses(
        self, module: ModuleId, text: ModuleText
    ) -> Iterator[tuple[tuple[int, int], bytes]]:
        """Yield the clauses that change, with what stays of them."""
        for number, clause in enumerate(text.clauses):
            new = self._clause(module, text, number, clause)
            if new is not None:
                yield (clause.start, clause.end), new

    def _clause(
        self, module: ModuleId, text: ModuleText, number: int, clause: Clause
    ) -> bytes | None:
        """Return what stays of a clause; None if all of it does."""
        if any(s.clause == number for s in text.stars):
            is_used = (module, clause.source) in self.found.stars
            return None if is_used else self._bare(module, clause)
        exports = [e for e in text.exports if e.clause == number]
        if exports:
            kept = [e.text for e in exports if (module, e.name) in self.found.exports]
            return self._export(module, clause, kept) if len(kept) < len(exports) else None
        imports = [i for i in text.imports if i.clause == number]
        if not imports:
            return b"" if clause.source and self._may_go(module, clause) else None
        if module.endswith(_TYPESCRIPT) and not _names_in(text) & {i.local for i in imports}:
            return None  # types, or erased: whoever compiles it decides
        used = [i for i in imports if (module, i.local) in self.found.locals]
        return self._import(module, clause, used) if len(used) < len(imports) else None

    def _may_go(self, module: ModuleId, clause: Clause) -> bool:
        """Whether nobody would notice that a module is not loaded from here."""
        target = self.program.target(module, clause.source)
        return target is not None and target not in self.ordered

    def _bare(self, module: ModuleId, clause: Clause) -> bytes:
        if not clause.source or self._may_go(module, clause):
            return b""
        return f"import {_quoted(clause.source)}{_tail(clause)};".encode()

    def _export(self, module: ModuleId, clause: Clause, kept: list[str]) -> bytes:
        if not kept:
            return self._bare(module, clause)
        names = kept[0] if kept[0].startswith("*") else f"{{ {', '.join(kept)} }}"
        source = f" from {_quoted(clause.source)}{_tail(clause)}" if clause.source else ""
        return f"export {names}{source};".encode()

    def _import(self, module: ModuleId, clause: Clause, used: list[Import]) -> bytes:
        if not used:
            return self._bare(module, clause)
        parts = [i.text for i in used if not _is_listed(i)]
        listed = [i.text for i in used if _is_listed(i)]
        if listed:
            parts.append(f"{{ {', '.join(listed)} }}")
        source = f"{_quoted(clause.source)}{_tail(clause)}"
        return f"import {', '.join(parts)} from {source};".encode()


def side_effects(data: bytes, folder: str, acting: Collection[ModuleId]) -> bytes:
    """Return a ``package.json`` that names the modules in ``folder`` that act, and no others.

    ``data`` itself if it claims nothing.
    """
    fields = json.loads(data.decode("utf-8-sig"))
    if "sideEffects" not in fields:
        return data
    start = f"{folder}/" if folder else ""
    inside = sorted(m.removeprefix(start) for m in acting if m.startswith(start))
    named = [f"./{m}" for m in inside if "node_modules/" not in m]
    claimed = named or False
    if fields["sideEffects"] == claimed:
        return data
    return json.dumps({**fields, "sideEffects": claimed}, indent=2, ensure_ascii=False).encode()


def _is_listed(one: Import) -> bool:
    """Whether a name was written in braces: ``default as a``, not ``a``."""
    if one.imported == "default":
        return one.text != one.local
    return one.imported != NAMESPACE


def _names_in(text: ModuleText) -> set[str]:
    """Return the names that a module uses as values, or passes on."""
    names = {name for item in text.items for name in item.uses}
    return names | {e.local for e in text.exports if e.local}


def _quoted(source: str) -> str:
    return json.dumps(source, ensure_ascii=False)


def _tail(clause: Clause) -> str:
    return f" {clause.tail}" if clause.tail else ""


def _is_clause(text: ModuleText, start: int) -> bool:
    return any(clause.start == start for clause in text.clauses)


def spliced(data: bytes, edits: Edits) -> bytes:
    """Return ``data`` with its edits made."""
    return edited(data, settled(data, edits))


def settled(data: bytes, edits: Edits) -> dict[tuple[int, int], str]:
    """Return what is to be replaced in ``data``, statements kept apart."""
    found: dict[tuple[int, int], str] = {}
    parts: list[bytes] = []  # of what then stands before an edit
    at = 0
    for (start, end), new in sorted(edits.items()):
        parts.append(data[at:start])
        at, put = end, new
        if not new and _would_join(b"".join(parts[-3:]), data, end):
            put = b";"
        elif not new and data[at : at + 1] == b"\n":
            at += 1  # the line goes with its statement
        parts.append(put)
        found[start, at] = put.decode("utf-8", errors="replace")
    return found


def _would_join(before: bytes, data: bytes, at: int) -> bool:
    """Whether the next statement would go on with the one before: that ends without ``;``."""
    after = _SKIPPED.match(data, at)
    begins = data[after.end() :][:1] if after is not None else b""
    return begins in _CONTINUING and not before.rstrip().endswith(b";")
