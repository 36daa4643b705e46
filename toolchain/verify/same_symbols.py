"""Prove that two ELF files are the same to a dynamic loader.

By structure: the same segments with the same bytes at the same addresses, the same needed
libraries, the same dynamic symbols with versions, and every loaded segment where its alignment
allows. By running: the result is loaded by ``dlopen`` in a process of its own, if the original is.

Loading runs the library's constructors: that is what an application does with it as well. The
libraries of the project that it needs lie beside it, as the option ``neighbours`` gives them: a
mapping from the name that is looked for to the file's path. The process gets no other environment,
and an end.

Source: System V ABI, chapter 5; glibc's ``elf/dl-load.c`` for what a loader refuses.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from posixpath import basename

from toolchain.errors import FormatError
from toolchain.formats import elf, elf_symbols
from toolchain.formats.elf import Elf, Segment
from toolchain.ir import Proof
from toolchain.units import show_bytes

_NAME = "same-symbols"
_TIMEOUT_S = 60  # ours: loading 86 MB takes a tenth of a second here
_IDENT_BYTES = 16
_LOAD = (
    "import ctypes, os, sys\n"
    "try:\n"
    "    ctypes.CDLL(sys.argv[1], mode=os.RTLD_LAZY)\n"
    "except OSError as error:\n"
    "    print(str(error).replace(sys.argv[1], 'the library'), end='')\n"
    "else:\n"
    "    print('loaded', end='')\n"
    "sys.stdout.flush()\n"
    "os._exit(0)\n"  # destructors of a library that was only loaded prove nothing
)


def prove(before: bytes, after: bytes, options: Mapping[str, object]) -> Proof:
    """Return whether a dynamic loader sees no difference between ``before`` and ``after``."""
    try:
        old, new = elf.read(before), elf.read(after)
        difference = _difference(before, old, after, new)
    except FormatError as error:
        return Proof(_NAME, holds=False, detail=str(error))
    if difference:
        return Proof(_NAME, holds=False, detail=difference)
    neighbours = _neighbours(options)
    first, second = _loaded(before, neighbours), _loaded(after, neighbours)
    if first != second:
        return Proof(_NAME, holds=False, detail=f"before: {first}; after: {second}")
    symbols = elf_symbols.dynamic_symbols(after, new) or ()
    memory = show_bytes(sum(s.filesz for s in new.loads))
    same = f"{len(symbols)} dynamic symbols and {memory} of memory identical"
    needed = elf_symbols.dynamic(after, new).needed
    beside = ", ".join(sorted(neighbours.keys() & set(needed)))
    run = f"loads with {beside} beside it" if beside else "loads"
    if second != "loaded":
        run = f"does not load here before either ({second})"
    return Proof(_NAME, holds=True, detail=f"{same}; {run}")


def _neighbours(options: Mapping[str, object]) -> dict[str, str]:
    """Return paths by file name; a name from an ELF file may be hostile, and leads nowhere else."""
    given = options.get("neighbours")
    named = given.items() if isinstance(given, Mapping) else ()
    paths = {basename(str(name)): str(path) for name, path in named}
    return {name: path for name, path in paths.items() if name not in {"", ".", ".."}}


def _difference(before: bytes, old: Elf, after: bytes, new: Elf) -> str:
    """Name the first thing a loader would see changed; empty if there is none."""
    if (_header(old), _program_headers(old)) != (_header(new), _program_headers(new)):
        return "the ELF header or the program headers changed"
    if elf_symbols.dynamic(before, old) != elf_symbols.dynamic(after, new):
        return "needed libraries, soname or search path changed"
    if _symbols(before, old) != _symbols(after, new):
        return "the dynamic symbols changed"
    for first, second in zip(old.segments, new.segments, strict=True):
        if _aligned(first) and not _aligned(second):
            return f"the segment at {first.vaddr:#x} lies where no loader accepts it"
        if _image(before, old, first) != _image(after, new, second):
            return f"bytes of the segment at {first.vaddr:#x} changed"
    return ""


def _header(file: Elf) -> tuple[object, ...]:
    """Return what a loader reads of the ELF header, tables' places left aside."""
    moved = dict.fromkeys(("phoff", "shoff", "shnum", "shstrndx", "shentsize"), 0)
    return (file.codec.bits, file.codec.order, *file.header._replace(**moved))


def _program_headers(file: Elf) -> list[Segment]:
    return [s._replace(offset=0) for s in file.segments]


def _symbols(data: bytes, file: Elf) -> list[tuple[object, ...]] | None:
    """Return the dynamic symbols with the names of their sections in place of the numbers."""
    symbols = elf_symbols.dynamic_symbols(data, file)
    if symbols is None:
        return None
    sections = dict(enumerate(s.name for s in file.sections))
    return [(*s._replace(section=0), sections.get(s.section, s.section)) for s in symbols]


def _aligned(segment: Segment) -> bool:
    if segment.type != elf.PT_LOAD or segment.align <= 1:
        return True
    return (segment.offset - segment.vaddr) % segment.align == 0


def _image(data: bytes, file: Elf, segment: Segment) -> bytes | memoryview:
    """Return a segment's bytes, with zeros where a rewrite may change them.

    These are the ELF and program headers, which are compared field by field, and the section
    numbers of dynamic symbols, which are compared by name.
    """
    elf.within(data, segment.offset, segment.filesz, "segment")
    view = memoryview(data)[segment.offset : segment.end]
    table = elf_symbols.table(file, elf.SHT_DYNSYM)
    layout, header = file.codec, file.header
    holes = [
        (_IDENT_BYTES, layout.header.size),
        (header.phoff, len(file.segments) * layout.segment.size),
    ]
    if table is not None:
        at = 6 if layout.bits == 64 else 14  # noqa: PLR2004 - st_shndx in the two classes
        starts = range(table.offset + at, table.end, layout.symbol.size)
        holes += [(start, 2) for start in starts]
    inside = [h for h in holes if segment.offset < h[0] + h[1] and h[0] < segment.end]
    if not inside:
        return view
    image = bytearray(view)
    for start, size in inside:
        first = max(start - segment.offset, 0)
        last = min(start - segment.offset + size, len(image))
        image[first:last] = bytes(last - first)
    return bytes(image)


def _loaded(data: bytes, neighbours: Mapping[str, str]) -> str:
    """Return "loaded", or what the dynamic loader of this machine says against the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "library.so"  # a loader goes by the soname inside
        path.write_bytes(data)
        beside = Path(folder) / "neighbours"
        beside.mkdir()
        for name, place in neighbours.items():
            (beside / name).symlink_to(Path(place).resolve())
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-c", _LOAD, str(path)],
                cwd=folder,
                env={"LD_LIBRARY_PATH": str(beside)} if neighbours else {},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return f"no end within {_TIMEOUT_S} s"
    if done.returncode:
        return f"killed by signal {-done.returncode}"
    # where this machine keeps its libraries is no business of a report
    words = (w.rpartition("/")[2] if w.startswith("/") else w for w in done.stdout.split())
    return " ".join(words)
