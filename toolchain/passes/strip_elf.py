"""Remove symbol tables and debug data from native libraries and programs.

What it does
    Drops the sections that are not loaded into memory and that only debuggers, profilers and
    linkers of static code read: ``.symtab`` with its strings, ``.debug_*``, ``.zdebug_*``,
    ``.comment``, ``.gnu_debuglink``, ``.gnu_debugdata``, ``.gdb_index``, ``.stab*``,
    ``.gnu.build.attributes``, LTO code, and relocations of any of these. With ``keep_symtab``
    the symbol table stays, so that profilers and crash reports keep names of local functions.

Why
    A dynamic loader reads program headers, the dynamic table and ``.dynsym``; these stay. Symbols
    and debug data are often a quarter of a released library, and DWARF most of a developer's.

Keeps
    Everything in memory, at the same addresses. Sections nobody told us about: Qt reads its own.
    Objects and core dumps, files without a section table, and files with data behind their last
    section (self-extracting programs find it from the end) are left alone.

Source
    System V ABI, chapters 4 and 5; the sections are those that ``strip --strip-all`` of binutils
    and LLVM remove, less the unknown ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.errors import InputError
from toolchain.formats import elf, elf_rewrite
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass

_DEBUG_PREFIXES = (
    ".debug", ".zdebug", ".gnu.debuglto_", ".gnu.lto_", ".gnu.build.attributes", ".stab",
)  # fmt: skip
_DEBUG_NAMES = frozenset({
    ".comment", ".gnu_debuglink", ".gnu_debugaltlink", ".gnu_debugdata", ".gdb_index", ".line",
    ".GCC.command.line", ".note.gnu.gold-version",
})  # fmt: skip
_SYMBOLS = frozenset({elf.SHT_SYMTAB, elf.SHT_SYMTAB_SHNDX})
_RELOCATIONS = frozenset({elf.SHT_REL, elf.SHT_RELA})


@dataclass(frozen=True)
class StripElf(ArtifactPass):
    """Drop symbols and debug data; ``keep_symtab`` keeps the symbols."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ELF})
    proof: ClassVar[str] = "same-symbols"

    keep_symtab: bool = False

    def rewrite(self, data: bytes) -> bytes:
        """Return ``data`` less its symbols and debug data; ``data`` itself if it has none.

        Errors:
            FormatError: ``data`` is not an ELF file, or its tables contradict one another.
            InputError: data that no table describes lies at the end.
        """
        file = elf.read(data)
        if file.header.type not in {elf.EXEC, elf.DYN} or not file.sections:
            return data
        dropped = elf_rewrite.removable(data, file, self._wanted(file))
        if not dropped:
            return data
        if tail := elf_rewrite.undescribed_tail(data, file):
            raise InputError(
                f"{tail} bytes lie behind the last section; who reads them is unknown",
                hint="strip the library before the data is appended to it",
            )
        stripped = elf_rewrite.without(data, file, dropped)
        return stripped if len(stripped) < len(data) else data

    def _wanted(self, file: elf.Elf) -> set[int]:
        """Return the numbers of the sections that only debuggers and static linkers read."""
        candidates = {i: s for i, s in enumerate(file.sections) if i and not s.is_alloc}
        wanted = {i for i, s in candidates.items() if self._is_debug(s)}
        if not self.keep_symtab:
            # a symbol table goes with its strings, if nobody else needs them
            tables = {i: s for i, s in candidates.items() if s.type in _SYMBOLS}
            wanted |= tables.keys() | ({s.link for s in tables.values()} & candidates.keys())
        relocations = {i for i, s in candidates.items() if s.type in _RELOCATIONS}
        return wanted | {
            i for i in relocations if {file.sections[i].link, file.sections[i].info} & wanted
        }

    def _is_debug(self, section: elf.Section) -> bool:
        return section.name in _DEBUG_NAMES or section.name.startswith(_DEBUG_PREFIXES)
