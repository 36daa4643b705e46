"""WebAssembly modules: where the sections, functions, names and data segments of one lie.

Offsets only, no copies: ``data`` may be a memoryview of a large file. Everything that is not a
well-formed module is a ``FormatError`` with the offset; no length is believed before it was
compared with the bytes that are there.

Source: WebAssembly Core Specification 3.0, chapter 5 (binary format) and appendix "Custom
Sections"; tool-conventions ``Linking.md``, ``Debugging.md`` and ``ProducersSection.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from toolchain.errors import FormatError
from toolchain.formats.leb128 import Reader, signed, unsigned

T = TypeVar("T")

HEADER_BYTES = 8  # magic (4) and version (4)
_MAGIC = b"\0asm"
_VERSION = b"\1\0\0\0"
_COMPONENT = b"\x0d\0\1\0"  # version 13, layer 1: the component model
CUSTOM = 0
SECTION_NAMES = (
    "custom", "type", "import", "function", "table", "memory", "global", "export", "start",
    "element", "code", "data", "data_count", "tag",
)  # fmt: skip  # by section id
# the order in which the sections must come (core specification 5.5.2): data_count lies before
# code, tag between memory and global
_RANK = {i: r for r, i in enumerate((1, 2, 3, 4, 5, 13, 6, 7, 8, 9, 12, 10, 11))}
_MAX_SECTIONS = 100_000  # ours: real modules have less than 40
_MIN_BODY_BYTES = 2  # no locals, `end`
_PAGE_SIZE_FOLLOWS = 0x08  # limits flag of the custom-page-sizes proposal
_EXTERN_KINDS = ("function", "table", "memory", "global", "tag")
_REF_WITH_HEAP_TYPE = frozenset({0x63, 0x64})
# what may stand in the offset of a data segment (3.4.15): constants, global.get, and the
# arithmetic of extended constant expressions
_END = 0x0B
_CONSTANTS = frozenset({0x41, 0x42})
_GLOBAL_GET = 0x23
_ARITHMETIC = frozenset({0x6A, 0x6B, 0x6C, 0x7C, 0x7D, 0x7E})


@dataclass(frozen=True, slots=True)
class Section:
    """One section: ``start`` is at the id byte, ``body`` after the size, ``end`` behind it.

    For a custom section ``name`` is its name and ``payload`` lies after that name; for others
    ``name`` is empty and ``payload == body``.
    """

    id: int
    name: str
    start: int
    body: int
    payload: int
    end: int

    @property
    def label(self) -> str:
        """The section's kind, with the name of a custom one: ``code``, ``custom:name``."""
        return f"custom:{self.name}" if self.id == CUSTOM else SECTION_NAMES[self.id]


class Import(NamedTuple):
    """Something the host must give to the module."""

    module: str
    name: str
    kind: str  # function, table, memory, global, tag


class Export(NamedTuple):
    """Something the module gives to the host: the ``number``-th thing of its kind."""

    name: str
    kind: str
    number: int


class Body(NamedTuple):
    """One function's code: from its size field to its end; ``number`` counts imports first."""

    number: int
    start: int
    end: int


class Segment(NamedTuple):
    """One data segment: the range of its bytes; ``address`` where it is one plain constant."""

    start: int
    end: int
    address: int | None


@dataclass(frozen=True, slots=True)
class Module:
    """What a module says about itself, its custom sections' contents left aside."""

    sections: tuple[Section, ...]
    imports: tuple[Import, ...]
    exports: tuple[Export, ...]
    bodies: tuple[Body, ...]
    segments: tuple[Segment, ...]


def is_relocatable(found: Iterable[Section]) -> bool:
    """Return whether these are the sections of a linker's input, not of a module to run."""
    return any(s.id == CUSTOM and s.name == "linking" for s in found)


def sections(data: bytes | memoryview) -> tuple[Section, ...]:
    """Return the sections of a module in file order; with the header they cover the file.

    Errors:
        FormatError: not a module, a section that ends behind the file, an unknown id, a section
            twice or out of order, a custom section without a proper name.
    """
    if bytes(data[:4]) != _MAGIC:
        raise FormatError("not a WebAssembly module", 0)
    if bytes(data[4:HEADER_BYTES]) != _VERSION:
        component = bytes(data[4:HEADER_BYTES]) == _COMPONENT
        what = "a WebAssembly component, not a module" if component else "unknown version"
        raise FormatError(what, 4)
    found: list[Section] = []
    reader = Reader(data, HEADER_BYTES, len(data))
    rank = -1
    while reader.at < reader.end:
        section = _section(reader)
        if section.id != CUSTOM:
            if _RANK[section.id] <= rank:
                raise FormatError(f"section {section.label} twice or out of order", section.start)
            rank = _RANK[section.id]
        found.append(section)
        if len(found) > _MAX_SECTIONS:
            raise FormatError(f"more than {_MAX_SECTIONS} sections", section.start)
    return tuple(found)


def _section(reader: Reader) -> Section:
    start = reader.at
    kind = reader.byte()
    if kind >= len(SECTION_NAMES):
        raise FormatError(f"unknown section {kind}", start)
    size = reader.u32()
    body = reader.skip(size)
    end = body + size
    if kind != CUSTOM:
        return Section(kind, "", start, body, body, end)
    inner = Reader(reader.data, body, end)
    name = inner.name()
    return Section(kind, name, start, body, inner.at, end)


def read(data: bytes | memoryview) -> Module:
    """Return what a module declares, down to the ranges of its functions and data segments.

    Errors:
        FormatError: the bytes are not a well-formed module.
    """
    found = sections(data)
    by_id = {s.id: s for s in found if s.id != CUSTOM}

    def vector(kind: int, element: Callable[[Reader], T], least_bytes: int) -> tuple[T, ...]:
        section = by_id.get(kind)
        if section is None:
            return ()
        reader = Reader(data, section.body, section.end)
        items = reader.many(lambda: element(reader), least_bytes)
        reader.finish(f"section {section.label}")
        return tuple(items)

    imports = vector(2, _import, 4)
    declared = vector(3, Reader.u32, 1)
    exports = vector(7, _export, 3)
    ranges = vector(10, _body, 1 + _MIN_BODY_BYTES)
    segments = vector(11, _segment, 2)
    if len(ranges) != len(declared):
        at = by_id[10].start if 10 in by_id else by_id[3].start  # noqa: PLR2004 - the code section
        raise FormatError(f"{len(declared)} functions declared, {len(ranges)} bodies", at)
    first = sum(i.kind == "function" for i in imports)
    bodies = tuple(Body(i, start, end) for i, (start, end) in enumerate(ranges, first))
    return Module(found, imports, exports, bodies, segments)


def _import(reader: Reader) -> Import:
    module, name = reader.name(), reader.name()
    at = reader.at
    kind = reader.byte()
    if kind >= len(_EXTERN_KINDS):
        raise FormatError(f"unknown kind of import {kind}", at)
    _IMPORT_TYPES[kind](reader)
    return Import(module, name, _EXTERN_KINDS[kind])


def _skip_value_type(reader: Reader) -> None:
    if reader.byte() in _REF_WITH_HEAP_TYPE:
        _, reader.at = signed(reader.data, reader.at, reader.end, 33)


def _skip_limits(reader: Reader) -> None:
    flags = reader.byte()
    for _ in range(1 + (flags & 1)):
        _, reader.at = unsigned(reader.data, reader.at, reader.end, 64)
    if flags & _PAGE_SIZE_FOLLOWS:
        reader.u32()


def _skip_table(reader: Reader) -> None:
    _skip_value_type(reader)
    _skip_limits(reader)


def _skip_global(reader: Reader) -> None:
    _skip_value_type(reader)
    reader.byte()


def _skip_tag(reader: Reader) -> None:
    reader.byte()
    reader.u32()


_IMPORT_TYPES: tuple[Callable[[Reader], object], ...] = (
    Reader.u32,
    _skip_table,
    _skip_limits,
    _skip_global,
    _skip_tag,
)


def table_limits(reader: Reader, count: int) -> Iterator[int]:
    """Yield where the limits of each imported table begin; ``reader`` is at the first import."""
    for _ in range(count):
        reader.name()
        reader.name()
        kind = _EXTERN_KINDS[reader.byte()]
        if kind == "table":
            _skip_value_type(reader)
            yield reader.at
            _skip_limits(reader)
        else:
            _IMPORT_TYPES[_EXTERN_KINDS.index(kind)](reader)


def _export(reader: Reader) -> Export:
    name = reader.name()
    at = reader.at
    kind = reader.byte()
    if kind >= len(_EXTERN_KINDS):
        raise FormatError(f"unknown kind of export {kind}", at)
    return Export(name, _EXTERN_KINDS[kind], reader.u32())


def _body(reader: Reader) -> tuple[int, int]:
    start = reader.at
    size = reader.u32()
    if size < _MIN_BODY_BYTES:
        raise FormatError("a function body has at least two bytes", start)
    reader.skip(size)
    return start, reader.at


def _segment(reader: Reader) -> Segment:
    at = reader.at
    flags = reader.u32()
    if flags > 2:  # noqa: PLR2004 - 0 active, 1 passive, 2 active with a memory index
        raise FormatError(f"unknown kind of data segment {flags}", at)
    if flags == 2:  # noqa: PLR2004 - as above
        reader.u32()
    address = None if flags == 1 else _constant(reader)
    size = reader.u32()
    start = reader.skip(size)
    return Segment(start, start + size, address)


def _constant(reader: Reader) -> int | None:
    """Step over a constant expression; return its value where it is one ``i32/i64.const``."""
    values: list[int | None] = []
    while (opcode := reader.byte()) != _END:
        at = reader.at
        if opcode in _CONSTANTS:
            value, reader.at = signed(reader.data, at, reader.end, 64)
            values.append(value)
        elif opcode == _GLOBAL_GET:
            values.append(None)
            reader.u32()
        elif opcode in _ARITHMETIC:
            values.append(None)
        else:
            raise FormatError(f"instruction {opcode:#x} in a constant expression", at - 1)
    return values[0] if len(values) == 1 else None
