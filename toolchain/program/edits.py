"""Writes modules without what is not needed; everything that stays, stays as it was written."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from toolchain.formats.javascript import Mention
from toolchain.program.effects import Effect
from toolchain.program.liveness import Liveness
from toolchain.program.module import NAMESPACE, Clause, Item, ModuleText
from toolchain.program.program import ModuleId, Program

Edits = Mapping[tuple[int, int], bytes]  # byte ranges and what stands there then

_TYPESCRIPT = (".ts", ".tsx", ".mts", ".cts")


@dataclass(frozen=True)
class Editor:
    """Writes the modules of ``program`` anew; ``runs`` are those whose loading is noticed."""

    program: Program
    found: Liveness
    runs: frozenset[ModuleId]

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

    # items

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

    # imports and exports

    def _clauses(
        self, module: ModuleId, text: ModuleText
    ) -> Iterator[tuple[tuple[int, int], bytes]]:
        written = _names_in(text)
        for number, clause in enumerate(text.clauses):
            imports = [i for i in text.imports if i.clause == number]
            exports = [e for e in text.exports if e.clause == number]
            stars = [s for s in text.stars if s.clause == number]
            span = clause.start, clause.end
            if stars:
                if (module, clause.source) not in self.found.stars:
                    yield span, self._bare(module, clause)
            elif exports:
                kept = [e.text for e in exports if (module, e.name) in self.found.exports]
                if len(kept) < len(exports):
                    yield span, self._export(module, clause, kept)
            elif imports:
                if module.endswith(_TYPESCRIPT) and not written & {i.local for i in imports}:
                    continue  # types, or erased: whoever compiles it decides
                used = [i for i in imports if (module, i.local) in self.found.locals]
                if len(used) < len(imports):
                    yield span, self._import(module, clause, [(i.imported, i.text) for i in used])
            elif clause.source and self._may_go(module, clause):
                yield span, b""

    def _may_go(self, module: ModuleId, clause: Clause) -> bool:
        """Whether nobody would notice that a module is not loaded from here."""
        target = self.program.target(module, clause.source)
        return target is not None and target not in self.runs

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

    def _import(self, module: ModuleId, clause: Clause, used: list[tuple[str, str]]) -> bytes:
        if not used:
            return self._bare(module, clause)
        parts = [t for i, t in used if i in {"default", NAMESPACE} and not _is_listed(t, i)]
        listed = [t for i, t in used if t not in parts]
        if listed:
            parts.append(f"{{ {', '.join(listed)} }}")
        source = f"{_quoted(clause.source)}{_tail(clause)}"
        return f"import {', '.join(parts)} from {source};".encode()


def running(
    program: Program, found: Liveness, effect: Callable[[ModuleId, int], Effect]
) -> frozenset[ModuleId]:
    """Return the modules whose loading is noticed: by themselves, or by what they import."""
    acting = acting_modules(program, found, effect)
    importers: dict[ModuleId, list[ModuleId]] = {}
    for module in found.executed:
        for clause in program.modules[module].clauses:
            target = program.target(module, clause.source) if clause.source else None
            if target is not None:
                importers.setdefault(target, []).append(module)
            elif clause.source:
                acting = acting | {module}  # what is outside may do anything
    runs, todo = set(acting), list(acting)
    while todo:
        for importer in importers.get(todo.pop(), ()):
            if importer not in runs:
                runs.add(importer)
                todo.append(importer)
    return frozenset(runs)


def acting_modules(
    program: Program, found: Liveness, effect: Callable[[ModuleId, int], Effect]
) -> frozenset[ModuleId]:
    """Return the modules that do something themselves when they are loaded, and keep doing it.

    What changes names of the same module only is no act: who needs those names loads the module.
    """
    acting = set()
    for module, number in found.items:
        text = program.modules[module]
        done = effect(module, number)
        far = any(changed.module != module for changed in done.changes)
        if text.form != "module" or text.problem or done.proved or done.unknown or far:
            acting.add(module)
    return frozenset(acting)


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


def _is_listed(text: str, imported: str) -> bool:
    """Whether a name was written in braces: ``default as a``, not ``a``."""
    return imported == "default" and " as " in text


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
    parts, at = [], 0
    for (start, end), new in sorted(edits.items()):
        parts += [data[at:start], new]
        at = end
        if not new and data[at : at + 1] == b"\n":
            at += 1  # the line goes with its statement
    return b"".join([*parts, data[at:]])
