"""What a WebAssembly module holds: its sections as parts, its imports and tools as facts.

A module names no files: what it imports is given by the JavaScript around it.
"""

from __future__ import annotations

from toolchain.errors import FormatError
from toolchain.formats import wasm, wasm_debug
from toolchain.formats.part_names import printable, unique_names
from toolchain.ingest.base import Contents, Part, refers_to_nothing
from toolchain.ir import Kind
from toolchain.units import Bytes

KINDS = frozenset({Kind.WASM})

resolve = refers_to_nothing

MOST_FUNCTIONS = 1_000
"""Up to here the code section is shown by function. Ours: a table that a person can still read, and
a tenth of a second to measure; an engine of 15,000 functions would hide everything else."""

_HEADER = Part(Kind.HEADER, "header", 0, Bytes(wasm.HEADER_BYTES))


def read(data: memoryview) -> Contents:
    """Return header and sections, which cover the file, and facts for people.

    In a module of at most ``MOST_FUNCTIONS`` functions each is a part of its own.

    Errors:
        FormatError: ``data`` is not a well-formed WebAssembly module.
    """
    module = wasm.read(data)
    few = len(module.bodies) <= MOST_FUNCTIONS
    parts = _by_function(data, module) if few else _by_section(module)
    facts = [
        ("functions", str(len(module.bodies))),
        ("imports", _imports(module.imports)),
        ("exports", str(len(module.exports))),
        ("data segments", str(len(module.segments))),
        ("debug info", "yes" if _has_debug_info(module) else "no"),
    ]
    problems = []
    try:
        tools = [" ".join(tool).strip() for tool in wasm_debug.producers(data, module)]
        facts += [("toolchain", ", ".join(tools))] if tools else []
    except FormatError as error:
        problems.append(f"custom section producers: {error}")
    return Contents(parts, (), tuple(facts), tuple(problems))


def _by_section(module: wasm.Module) -> tuple[Part, ...]:
    labels = unique_names(s.label for s in module.sections)
    sections = zip(labels, module.sections, strict=True)
    return (_HEADER, *(Part(Kind.SECTION, n, s.start, Bytes(s.end - s.start)) for n, s in sections))


def _by_function(data: memoryview, module: wasm.Module) -> tuple[Part, ...]:
    """Return the sections, ``code`` as its head (id, size, count) and one part per function."""
    try:
        known = wasm_debug.function_names(data, module)
    except FormatError:  # an engine ignores a malformed name section, and so do we
        known = {}
    names = unique_names(known.get(b.number) or f"func[{b.number}]" for b in module.bodies)
    bodies = [
        Part(Kind.FUNCTION, name, b.start, Bytes(b.end - b.start))
        for name, b in zip(names, module.bodies, strict=True)
    ]
    parts: list[Part] = []
    for part in _by_section(module):
        if part.name == "code" and part.kind is Kind.SECTION and bodies:
            head = Bytes(bodies[0].offset - part.offset)
            parts += [Part(part.kind, part.name, part.offset, head), *bodies]
        else:
            parts.append(part)
    return tuple(parts)


def _imports(imports: tuple[wasm.Import, ...]) -> str:
    modules = sorted({i.module for i in imports})
    shown = ", ".join(printable(m) for m in modules[:3])
    more = f" and {len(modules) - 3} more" if len(modules) > 3 else ""  # noqa: PLR2004 - as above
    return f"{len(imports)} from {shown}{more}" if imports else "0"


def _has_debug_info(module: wasm.Module) -> bool:
    debug = ("name", "sourceMappingURL", "external_debug_info")
    return any(
        s.id == wasm.CUSTOM and (s.name in debug or s.name.startswith(".debug_"))
        for s in module.sections
    )
