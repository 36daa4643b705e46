"""What only debuggers and people read in a WebAssembly module: names, producers, debug data.

Source: WebAssembly Core Specification 3.0, appendix "Custom Sections"; tool-conventions
``ProducersSection.md`` and ``Debugging.md``.
"""

from __future__ import annotations

from toolchain.formats.leb128 import Reader
from toolchain.formats.wasm import CUSTOM, Module

_DEBUG_NAMES = frozenset({"name", "producers", "sourceMappingURL", "external_debug_info"})
_DEBUG_PREFIXES = (".debug_", "reloc.")  # relocations are for linkers, see ``is_debug_only``
_FUNCTIONS = 1  # subsection of ``name``


def is_debug_only(name: str) -> bool:
    """Return whether no engine and no loader reads custom sections called ``name``.

    Holds for modules that run. In a linker's input (``wasm.is_relocatable``) nothing may be
    dropped: relocations count sections.

    >>> [is_debug_only(n) for n in ("name", ".debug_line", "dylink.0", "target_features")]
    [True, True, False, False]
    """
    return name in _DEBUG_NAMES or name.startswith(_DEBUG_PREFIXES)


def function_names(data: bytes | memoryview, module: Module) -> dict[int, str]:
    """Return the names of functions by index, from the ``name`` section; empty without one.

    Errors:
        FormatError: the section is malformed; an engine ignores it then.
    """
    section = next((s for s in module.sections if s.id == CUSTOM and s.name == "name"), None)
    if section is None:
        return {}
    reader = Reader(data, section.payload, section.end)
    while reader.at < reader.end:
        kind, size = reader.byte(), reader.u32()
        if kind == _FUNCTIONS:
            return dict(reader.many(lambda: (reader.u32(), reader.name()), 2))
        reader.skip(size)
    return {}


def producers(data: bytes | memoryview, module: Module) -> tuple[tuple[str, str], ...]:
    """Return (tool, version) pairs of the ``producers`` section; empty without one.

    Errors:
        FormatError: the section is malformed; an engine ignores it then.
    """
    section = next((s for s in module.sections if s.id == CUSTOM and s.name == "producers"), None)
    if section is None:
        return ()
    reader = Reader(data, section.payload, section.end)

    def field() -> list[tuple[str, str]]:
        reader.name()
        return reader.many(lambda: (reader.name(), reader.name()), 2)

    return tuple(pair for pairs in reader.many(field, 2) for pair in pairs)
