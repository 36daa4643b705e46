"""Splits a WebAssembly module in two or more, and writes the script that brings them together.

The functions that ran stay in the primary module, with all data. The others go into deferred
modules, none larger than a window of Chromium compiles synchronously. binaryen does the splitting;
the loader is ``wasm_split_loader.js``.

Source: binaryen's ``src/tools/wasm-split``, version 108 (profile: a 64-bit hash, then 32 bits a
function in which 0 means "did not run"); Chromium's limit of 8 MiB for WebAssembly.Module and
WebAssembly.Instance on the main thread, blink-dev "Deprecate module size limit", 2023.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from posixpath import basename, dirname, relpath

from toolchain.errors import FormatError, ToolError
from toolchain.formats import binaryen, esbuild, leb128, wasm, wasm_signatures
from toolchain.formats.javascript_prologue import prologue
from toolchain.formats.leb128 import Reader
from toolchain.formats.wasm_debug import is_debug_only
from toolchain.ir import digest_of

LOADER = Path(__file__).with_name("wasm_split_loader.js")
PROFILE_EXPORT = "__write_profile"
LIMIT_BYTES = 8 * 1024 * 1024
_ROOM_BYTES = 1024 * 1024  # of the limit, for imports and for code that binaryen writes longer
_IMPORT_SECTION = 2
# Reading a module into binaryen's form and writing it again adds locals, with which an engine takes
# a third longer to start (`nox -s split_wasm`: 1.2 instead of 0.9 CPU s); these undo it
_TIDY = ("--coalesce-locals", "--vacuum")
# section 9 of 6 bytes: one active segment, at the offset i32.const 0, of no functions
_NO_ELEMENTS = bytes.fromhex("09 06 01 00 41 00 0b 00")
_HASH_BYTES = 8
_COUNT_BYTES = 4
_MARK_LENGTH = 8  # hexadecimal digits of the module's digest in its namespaces


@dataclass(frozen=True, slots=True)
class Part:
    """A deferred module, and how the modules name each other."""

    data: bytes
    namespace: str  # from which the primary module imports what this part holds
    exporter: str  # from which this part imports what the primary module holds
    table: str  # the primary module's export through which both call each other


@dataclass(frozen=True, slots=True)
class Pieces:
    """A split module; no parts where everything ran."""

    primary: bytes
    parts: tuple[Part, ...]


def plain(data: bytes) -> bytes:
    """Return a module less its names and debug data: what binaryen is given.

    Functions are then called by their numbers, and profile and split mean the same ones.

    Errors:
        FormatError: not a module, or a linker's input.
    """
    found = wasm.sections(data)
    if wasm.is_relocatable(found):
        raise FormatError("a linker's input, not a module that runs", found[0].start)
    view = memoryview(data)
    kept = (s for s in found if s.id != wasm.CUSTOM or not is_debug_only(s.name))
    return b"".join([view[: wasm.HEADER_BYTES], *(view[s.start : s.end] for s in kept)])


def ran(profiles: Iterable[bytes], functions: int) -> frozenset[int]:
    """Return which of a module's ``functions`` defined functions ran in any of ``profiles``.

    Errors:
        ToolError: a profile is of another module.
    """
    found: set[int] = set()
    for profile in profiles:
        if len(profile) != _HASH_BYTES + functions * _COUNT_BYTES:
            raise ToolError(
                f"a profile of {len(profile)} bytes is not one of {functions} functions"
            )
        counts = memoryview(profile)[_HASH_BYTES:].cast("I")
        found.update(number for number, count in enumerate(counts) if count)
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Programs:
    """binaryen's ``wasm-split`` and ``wasm-opt``."""

    split: binaryen.Program
    optimize: binaryen.Program


def split(programs: Programs, data: bytes, used: Collection[int], *, timeout_s: float) -> Pieces:
    """Return ``data`` (``plain``) with all functions but ``used`` in deferred modules.

    A function that JavaScript cannot call, since it takes or gives a v128, stays in the primary
    module as well: the first call of a deferred function comes through JavaScript.

    Errors:
        FormatError: not a well-formed module. InputError: binaryen cannot read it.
        ToolError: binaryen failed or ran out of time.
    """
    data = _with_elements(data)
    signatures = wasm_signatures.defined(data)
    first = {n for n, one in enumerate(signatures) if n in used or not one.crosses}
    groups = list(_groups(data, first))
    mark = digest_of(data)[:_MARK_LENGTH]
    parts: list[Part] = []
    primary = data
    while groups:
        groups.pop()
        kept = first.union(*groups)
        namespace, exporter = f"{mark}.{len(groups)}", f"{mark}.{len(groups)}.primary"
        cut = binaryen.Cut(kept, namespace, exporter, again=bool(groups))
        made = binaryen.split(programs.split, primary, cut, timeout_s=timeout_s)
        primary = made.primary
        table = _table(made.deferred, exporter)
        parts.append(Part(_for_any_table(made.deferred), namespace, exporter, table))

    def tidy(module: bytes) -> bytes:
        return binaryen.optimize(programs.optimize, module, _TIDY, timeout_s=timeout_s)

    tidied = (replace(part, data=tidy(part.data)) for part in reversed(parts))
    return Pieces(tidy(primary), tuple(tidied)) if parts else Pieces(primary, ())


def _with_elements(data: bytes) -> bytes:
    """Return a module whose table has a segment, if an empty one.

    binaryen 108 puts its functions behind the last segment, and aborts where there is none.
    """
    found = wasm.sections(data)
    labels = [s.label for s in found]
    if "element" in labels or "table" not in labels:
        return data
    behind = ("data_count", "code", "data")
    at = next((s.start for s in found if s.label in behind), len(data))
    return data[:at] + _NO_ELEMENTS + data[at:]


def _groups(data: bytes, first: Collection[int]) -> Iterator[set[int]]:
    """Yield the functions of each deferred module, all about as large, neighbours together."""
    bodies = list(enumerate(wasm.read(data).bodies))
    sizes = {number: b.end - b.start for number, b in bodies if number not in first}
    count = -(-sum(sizes.values()) // (LIMIT_BYTES - _ROOM_BYTES))
    share = -(-sum(sizes.values()) // max(count, 1))
    group: set[int] = set()
    room = share
    for number, size in sizes.items():
        if room <= 0:
            yield group
            group, room = set(), share
        group.add(number)
        room -= size
    if group:
        yield group


def _table(deferred: bytes, exporter: str) -> str:
    tables = [i for i in wasm.read(deferred).imports if i.kind == "table"]
    if len(tables) != 1 or tables[0].module != exporter:
        raise FormatError(f"{len(tables)} tables hold the module's functions, not one", 0)
    return tables[0].name


def _for_any_table(deferred: bytes) -> bytes:
    """Return a part that takes its table with any maximum.

    A later split makes the primary module's table larger, and an import states the largest maximum
    that it takes; without one it takes all.
    """
    section = next(s for s in wasm.sections(deferred) if s.id == _IMPORT_SECTION)
    reader = Reader(deferred, section.body, section.end)
    count = reader.u32()
    at = next(wasm.table_limits(reader, count))
    reader = Reader(deferred, at, section.end)
    flags, least = reader.u32(), reader.u32()
    if flags & 1:
        reader.u32()
    body = b"".join(
        [
            deferred[section.body : at],
            bytes([flags & ~1]),
            leb128.encoded(least),
            deferred[reader.at : section.end],
        ]
    )
    return b"".join(
        [
            deferred[: section.start],
            bytes([_IMPORT_SECTION]),
            leb128.encoded(len(body)),
            body,
            deferred[section.end :],
        ]
    )


def deferred_name(primary: str, number: int, count: int) -> str:
    """Return what to call a part of the file ``primary``.

    >>> deferred_name("a/x.wasm", 1, 2)
    'a/x.deferred-2.wasm'
    """
    stem, dot, ending = primary.rpartition(".")
    mark = f"deferred-{number + 1}" if count > 1 else "deferred"
    return f"{stem}.{mark}.{ending}" if dot else f"{primary}.{mark}"


def deferred_names(primary: str) -> frozenset[str]:
    """Return the names by which a module that was split before is known."""
    return frozenset({deferred_name(primary, 0, 1), deferred_name(primary, 0, 2)})


def one_line_down(sourcemap: bytes) -> bytes:
    """Return the source map of a script that got a line before its first.

    Errors:
        FormatError: not a source map.
    """
    try:
        fields = json.loads(sourcemap)
        for section in fields.get("sections", ()):
            section["offset"]["line"] += 1
        if "mappings" in fields:
            fields["mappings"] = f";{fields['mappings']}"
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError("not a source map", 0) from error
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def with_loader(
    service: esbuild.Esbuild,
    script: tuple[str, bytes],
    primary: str,
    parts: Sequence[Part],
    *,
    prefetch: bool,
) -> bytes:
    """Return a script (name and text) with the loader of ``parts`` as a line before its first.

    Lines of the script move down by one and stay as they are, ``"use strict"`` and ``#!`` hold.

    Errors:
        ToolError: esbuild failed, or does not understand the loader.
    """
    name, text = script
    start = prologue(text)
    place = "import.meta.url" if start.is_esm else _CLASSIC_PLACE
    entries = []
    for number, part in enumerate(parts):
        file = deferred_name(primary, number, len(parts))
        away = relpath(file, dirname(name) or ".")
        address = json.dumps(away if away.startswith(".") else f"./{away}")
        fields = {
            "namespace": part.namespace,
            "exporter": part.exporter,
            "table": part.table,
            "name": basename(file),
            "primary": basename(primary),
            "bytes": len(part.data),
        }
        written = ",".join(f"{key}:{json.dumps(value)}" for key, value in fields.items())
        entries.append(f"{{{written},url:()=>new URL({address},{place}).href}}")
    code = LOADER.read_text("utf-8").replace("__PARTS__", f"[{','.join(entries)}]")
    code = code.replace("__PREFETCH__", json.dumps(prefetch))
    made = service.transform(code.encode(), "--minify", "--target=es2022", "--charset=utf8")
    if made.errors:
        raise ToolError(f"esbuild does not understand the loader: {made.errors[0].text}")
    line = made.outputs[0].data.strip().replace(b"\n", b"")
    head, rest = text[: start.hashbang_bytes], text[start.hashbang_bytes :]
    strict = b'"use strict";' if start.strict and not start.is_esm else b""
    return b"".join([head, strict, line, b"\n", rest])


_CLASSIC_PLACE = (
    "typeof document==='object'&&document.currentScript?document.currentScript.src"
    ":typeof __filename==='string'?'file://'+__filename:self.location.href"
)
