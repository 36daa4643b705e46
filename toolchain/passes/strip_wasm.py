"""Remove WebAssembly sections that only debuggers and people read.

What it does
    Drops the custom sections ``name``, ``producers``, ``sourceMappingURL``,
    ``external_debug_info``, everything that starts with ``.debug_`` (DWARF) and relocations
    left behind by a linker. With ``keep_names`` the ``name`` section stays, so that stack
    traces keep their function names.

Why
    An engine accepts a module with or without custom sections, so removing them changes no
    behaviour; builds that were not stripped carry megabytes of them.

Keeps
    All other custom sections: a loader may read ``dylink.0``, a post-processor
    ``target_features``, a crash reporter ``build_id``, and what is unknown stays.
    A linker's input (it has a ``linking`` section) is left alone: its relocations count sections.

Source
    WebAssembly Core Specification 3.0, 5.5.3 and appendix "Custom Sections";
    tool-conventions ``Debugging.md``, ``Linking.md`` and ``ProducersSection.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.formats import wasm
from toolchain.formats.wasm_debug import is_debug_only
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass


@dataclass(frozen=True)
class StripWasm(ArtifactPass):
    """Drop debug-only custom sections; ``keep_names`` keeps readable stack traces."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.WASM})
    proof: ClassVar[str] = "same-wasm-code"

    keep_names: bool = False

    def rewrite(self, data: bytes) -> bytes:
        """Return ``data`` less its debug sections; ``data`` itself if it has none.

        Errors:
            FormatError: ``data`` is not a WebAssembly module.
        """
        sections = wasm.sections(data)
        kept = [s for s in sections if not self._drops(s)]
        if len(kept) == len(sections) or wasm.is_relocatable(sections):
            return data
        view = memoryview(data)
        return b"".join([view[: wasm.HEADER_BYTES], *(view[s.start : s.end] for s in kept)])

    def _drops(self, section: wasm.Section) -> bool:
        if section.id != wasm.CUSTOM or (self.keep_names and section.name == "name"):
            return False
        return is_debug_only(section.name)
