"""ELF as text in golden files: segments, and in them their sections, in file order.

    elf 64 le dyn
    load r-- at 0x0 align 0x1000
      .dynstr strtab a strings f libm.so.6
      .dynsym dynsym a align=8 link=.dynstr symbols f:global:.text:0x0:1
    load r-x at 0x1000 align 0x1000
      .text progbits ax bytes c3
    loose
      .comment progbits - bytes 47 43 43
      .shstrtab strtab - names
      section-headers
    segment dynamic .dynamic

A section is its name, type, flags (``a`` alloc, ``w`` write, ``x`` execute, ``i`` info is a link)
and content. ``load`` lines may say ``offset`` and ``filesz``; ``decode`` always says the offset.
``index=`` says a section's number where it is not its place in the text. The first load at
offset 0 begins with the headers. Addresses follow from the loads, ``sh_info`` of symbol tables
and ``DT_STRTAB`` from the contents. ``tail`` is data behind everything, ``raw`` a file that is
no ELF file. Knows nothing of ``toolchain.formats.elf``.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

_TYPES = {
    "null": 0, "progbits": 1, "symtab": 2, "strtab": 3, "rela": 4, "hash": 5, "dynamic": 6,
    "note": 7, "nobits": 8, "rel": 9, "dynsym": 11, "init_array": 14, "verdef": 0x6FFFFFFD,
    "verneed": 0x6FFFFFFE, "versym": 0x6FFFFFFF,
}  # fmt: skip
_FLAGS = {"w": 1, "a": 2, "x": 4, "i": 0x40}
_FILES = {"rel": 1, "exec": 2, "dyn": 3, "core": 4}
_SEGMENTS = {"dynamic": 2, "note": 4, "tls": 7, "stack": 0x6474E551, "relro": 0x6474E552}
_MODES = {"x": 1, "w": 2, "r": 4}
_TAGS = {"needed": 1, "soname": 14, "rpath": 15, "runpath": 29}
_BINDINGS = ("local", "global", "weak")
_PLACES = {"undef": 0, "abs": 0xFFF1}


@dataclass
class _Section:
    name: str
    kind: int = 0
    flags: int = 0
    options: dict[str, str] = field(default_factory=dict)
    form: str = ""
    words: list[str] = field(default_factory=list)
    index: int = 0
    addr: int = 0
    offset: int = 0
    data: bytes = b""
    size: int = 0


@dataclass
class _Group:
    words: list[str]
    items: list[_Section] = field(default_factory=list)

    def number(self, word: str, default: int) -> int:
        place = self.words.index(word) + 1 if word in self.words else 0
        return int(self.words[place], 0) if place else default


@dataclass
class _File:
    """What the text says, while it is laid out."""

    bits: int
    order: str
    type: int
    groups: list[_Group] = field(default_factory=list)
    segments: list[list[str]] = field(default_factory=list)
    tail: bytes = b""

    @property
    def sections(self) -> list[_Section]:
        return [s for g in self.groups for s in g.items if s.name != "section-headers"]

    @property
    def loads(self) -> list[_Group]:
        return [g for g in self.groups if g.words[0] == "load"]

    def named(self, name: str) -> _Section:
        return next(s for s in self.sections if s.name == name)

    def pack(self, layout: str, *values: int) -> bytes:
        """``w`` in the layout is a word of the file's class."""
        return struct.pack(
            self.order + layout.replace("w", "I" if self.bits == 32 else "Q"), *values
        )

    @property
    def header_bytes(self) -> int:
        wide = self.bits == 64
        return (64 if wide else 52) + (len(self.loads) + len(self.segments)) * (56 if wide else 32)


def encode(text: str) -> bytes:
    if text.startswith("raw "):
        return bytes.fromhex(text.removeprefix("raw "))
    file = _parse(text)
    names = b"\0" + b"".join(s.name.encode() + b"\0" for s in file.sections)
    for section in file.sections:
        section.data = _content(file, section, names)
        section.size = int(section.words[0], 0) if section.form == "size" else len(section.data)
    _place(file)
    for section in file.sections:  # addresses are known now
        if section.form in {"symbols", "dynamic"}:
            section.data = _content(file, section, names)
    return _write(file, names)


def _parse(text: str) -> _File:
    lines = text.splitlines()
    _, bits, order, kind = lines[0].split()
    file = _File(int(bits), "<" if order == "le" else ">", _FILES[kind])
    for line in lines[1:]:
        words = line.split()
        if line.startswith("  "):
            file.groups[-1].items.append(_section(words))
        elif words[0] in {"load", "loose"}:
            file.groups.append(_Group(words))
        elif words[0] == "tail":
            file.tail = bytes.fromhex("".join(words[1:]))
        else:
            file.segments.append(words[1:])
    for i, section in enumerate(file.sections, 1):
        section.index = int(section.options.get("index", i))
    return file


def _section(words: list[str]) -> _Section:
    if words[0] == "section-headers":
        return _Section(words[0])
    name, kind, flags, *rest = words
    options = {}
    while rest and "=" in rest[0]:
        key, _, value = rest.pop(0).partition("=")
        options[key] = value
    bits = sum(_FLAGS[f] for f in flags if f != "-")
    form, *content = rest or ["bytes"]
    return _Section("" if name == '""' else name, _TYPES[kind], bits, options, form, content)


def _content(file: _File, section: _Section, names: bytes) -> bytes:
    words = section.words
    match section.form:
        case "bytes":
            made = bytes.fromhex("".join(words))
        case "zeros":
            made = bytes(int(words[0], 0))
        case "counting":
            made = _counting(int(words[0], 0))
        case "names":
            made = names
        case "strings":
            made = b"\0" + b"".join(w.encode() + b"\0" for w in words)
        case "symbols":
            made = b"".join(_symbol(file, section, w) for w in ["::undef:0:0", *words])
        case "dynamic":
            made = _dynamic(file, section)
        case _:
            made = b""
    return made


def _counting(size: int) -> bytes:
    """Return bytes of which no two neighbours and no two lengths look the same."""
    return bytes((i * 7 + size) % 251 for i in range(size))


def _string_at(file: _File, section: _Section, text: str) -> int:
    table = file.named(section.options["link"])
    return _content(file, table, b"").index(text.encode() + b"\0") if text else 0


def _symbol(file: _File, section: _Section, word: str) -> bytes:
    name, binding, place, value, size = word.split(":")
    home = None if place in _PLACES else file.named(place)
    index = _PLACES[place] if home is None else home.index
    info = _BINDINGS.index(binding or "local") << 4 | (1 if name else 0)
    at = _string_at(file, section, name)
    address = int(value, 0) + (home.addr if home else 0)
    if file.bits == 32:
        return file.pack("IIIBBH", at, address, int(size, 0), info, 0, index)
    return file.pack("IBBHQQ", at, info, 0, index, address, int(size, 0))


def _dynamic(file: _File, section: _Section) -> bytes:
    table = file.named(section.options["link"])
    pairs = [w.partition("=") for w in section.words]
    entries = [(_TAGS[k], _string_at(file, section, v)) for k, _, v in pairs]
    entries += [(5, table.addr), (10, len(_content(file, table, b""))), (0, 0)]
    return b"".join(file.pack("ww", *entry) for entry in entries)


def _place(file: _File) -> None:
    at = file.header_bytes
    for group in file.groups:
        align = group.number("align", 1)
        if group.words[0] == "load":
            default = 0 if group is file.groups[0] else group.number("at", at)
            start = group.number("offset", at + (default - at) % align if default else 0)
            vaddr = group.number("at", start)
            group.words += ["start", str(start), "vaddr", str(vaddr)]
            at = max(at, start)
        for section in group.items:
            step = int(section.options.get("align", "1"), 0)
            if section.name == "section-headers":
                step, section.size = file.bits // 8, (len(file.sections) + 1) * _entry(file)
            at = max(at + -at % step, int(section.options.get("offset", "0"), 0))
            section.offset = at
            if group.words[0] == "load":
                section.addr = group.number("vaddr", 0) + at - group.number("start", 0)
            at += section.size if section.kind != _TYPES["nobits"] else 0


def _entry(file: _File) -> int:
    return 64 if file.bits == 64 else 40


def _write(file: _File, names: bytes) -> bytes:
    end = max(s.offset + len(s.data) for g in file.groups for s in g.items)
    table = next((s for g in file.groups for s in g.items if s.name == "section-headers"), None)
    shoff = table.offset if table else end + -end % (file.bits // 8)
    out = bytearray(max(end, shoff + (len(file.sections) + 1) * _entry(file)))
    out[: file.header_bytes] = _headers(file, shoff)
    for section in file.sections:
        out[section.offset : section.offset + len(section.data)] = section.data
        at = shoff + section.index * _entry(file)
        out[at : at + _entry(file)] = _section_header(file, section, names)
    return bytes(out) + file.tail


def _headers(file: _File, shoff: int) -> bytes:
    wide = file.bits == 64
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if file.order == "<" else 2, 1]) + bytes(9)
    count = len(file.loads) + len(file.segments)
    names = next((s.index for s in file.sections if s.form == "names"), 0)
    machine = {(64, "<"): 62, (32, "<"): 3, (64, ">"): 22, (32, ">"): 20}[file.bits, file.order]
    sizes = (64, 56, count, 64) if wide else (52, 32, count, 40)
    header = file.pack(
        "HHIwwwI6H", file.type, machine, 1, 0, sizes[0] if count else 0, shoff, 0,
        *sizes, len(file.sections) + 1, names,
    )  # fmt: skip
    return ident + header + b"".join(_program_headers(file))


def _program_headers(file: _File) -> Iterator[bytes]:
    for group in file.loads:
        start, vaddr = group.number("start", 0), group.number("vaddr", 0)
        ends = [s.offset + len(s.data) for s in group.items]
        first = file.header_bytes if start == 0 else start
        size = group.number("filesz", max([first, *ends]) - start)
        memory = max([vaddr + size, *(s.addr + s.size for s in group.items)]) - vaddr
        mode = sum(_MODES.get(c, 0) for c in group.words[1])
        yield _segment(file, (1, mode, start, vaddr, size, memory, group.number("align", 1)))
    for kind, *names in file.segments:
        over = [file.named(n) for n in names]
        start = over[0].offset if over else 0
        addr = over[0].addr if over else 0
        size = over[-1].offset + len(over[-1].data) - start if over else 0
        yield _segment(file, (_SEGMENTS[kind], 6, start, addr, size, size, 1))


def _segment(file: _File, fields: tuple[int, ...]) -> bytes:
    kind, mode, start, addr, size, memory, align = fields
    if file.bits == 64:
        return file.pack("II6Q", kind, mode, start, addr, addr, size, memory, align)
    return file.pack("8I", kind, start, addr, addr, size, memory, mode, align)


def _section_header(file: _File, section: _Section, names: bytes) -> bytes:
    link = section.options.get("link")
    info = section.options.get("info", "0")
    number = file.named(info).index if info.startswith(".") else int(info, 0)
    if section.form == "symbols":
        number = 1 + sum(w.split(":")[1] == "local" for w in section.words)
    entry = {"symbols": 24 if file.bits == 64 else 16, "dynamic": file.bits // 4}
    return file.pack(
        "IIwwwwIIww", names.index(b"\0" + section.name.encode() + b"\0") + 1 if section.name else 0,
        section.kind, section.flags, section.addr, section.offset, section.size,
        file.named(link).index if link else 0, number,
        int(section.options.get("align", "1"), 0), entry.get(section.form, 0),
    )  # fmt: skip


def decode(data: bytes) -> str:
    try:
        return "".join(f"{line}\n" for line in _lines(data))
    except (LookupError, ValueError, struct.error):
        return f"raw {data.hex(' ')}\n"


class _Raw(dict[str, int]):
    """The fields of one header of a file that is being shown."""

    def span(self) -> tuple[int, int]:
        return self["offset"], 0 if self["type"] in {0, _TYPES["nobits"]} else self["size"]


def _unpack(data: bytes, layout: str, fields: str, at: int) -> _Raw:
    order, word = "<" if data[5] == 1 else ">", "I" if data[4] == 1 else "Q"
    return _Raw(
        zip(
            fields.split(), struct.unpack_from(order + layout.replace("w", word), data, at),
            strict=True,
        )
    )  # fmt: skip


def _lines(data: bytes) -> Iterator[str]:
    if data[:4] != b"\x7fELF":
        raise ValueError(data[:4])
    wide = data[4] == 2
    fields = "type machine version entry phoff shoff flags eh ph phnum sh shnum names"
    head = _unpack(data, "HHIwwwI6H", fields, 16)
    layout, fields = ("II6Q", "type mode offset vaddr paddr size memory align")
    if not wide:
        layout, fields = ("8I", "type offset vaddr paddr size memory mode align")
    loads = [
        _unpack(data, layout, fields, head["phoff"] + i * head["ph"]) for i in range(head["phnum"])
    ]
    fields = "name type flags addr offset size link info align entry"
    sections = [
        _unpack(data, "IIwwwwIIww", fields, head["shoff"] + i * head["sh"])
        for i in range(head["shnum"])
    ]
    kind = {v: k for k, v in _FILES.items()}[head["type"]]
    yield f"elf {64 if wide else 32} {'le' if data[5] == 1 else 'be'} {kind}"
    yield from _groups(data, head, sections, sorted(loads, key=lambda s: s["offset"]))
    for segment in loads:
        if segment["type"] != 1:
            yield f"segment {_over(segment, sections, _names(data, head, sections))}".rstrip()
    ends = [head["shoff"] + head["shnum"] * head["sh"], *(sum(s.span()) for s in sections)]
    if tail := data[max(ends) :]:
        yield f"tail {tail.hex(' ')}"


def _names(data: bytes, head: _Raw, sections: list[_Raw]) -> list[str]:
    table = sections[head["names"]]["offset"]
    return [_text(data, table + s["name"]) or '""' for s in sections]


def _text(data: bytes, at: int) -> str:
    return data[at : data.index(b"\0", at)].decode()


def _groups(data: bytes, head: _Raw, sections: list[_Raw], segments: list[_Raw]) -> Iterator[str]:
    """Yield loads and loose groups, what is in them in file order."""
    loads = [s for s in segments if s["type"] == 1]
    places = [(s["offset"], i) for i, s in enumerate(sections) if i]
    current, number, shown = None, 0, 0
    for offset, i in sorted([*places, (head["shoff"], 0)]):
        home = _home(sections[i], loads) if i else None
        for k in range(shown, -1 if home is None else home + 1):
            s = loads[k]
            mode = "".join(c if s["mode"] & b else "-" for c, b in (("r", 4), ("w", 2), ("x", 1)))
            yield f"load {mode} at {s['vaddr']:#x} offset {s['offset']:#x} align {s['align']:#x}"
            shown, current = k + 1, k
        if home is None and current != -1:
            yield "loose"
            current = -1
        elif home is not None and current != home:
            raise ValueError(offset)
        if i == 0:
            yield "  section-headers"
            continue
        number += 1
        place = "" if number == i else f" index={i}"
        yield f"  {_described(data, i, sections, _names(data, head, sections), place)}"
        if (
            home is not None
            and sections[i]["addr"] - loads[home]["vaddr"] != offset - loads[home]["offset"]
        ):
            raise ValueError(offset)


def _home(section: _Raw, loads: list[_Raw]) -> int | None:
    """Return the load that a section is in; a section behind the last byte of one is not."""
    inside = (0 <= section["addr"] - load["vaddr"] < load["memory"] for load in loads)
    return next((k for k, yes in enumerate(inside) if yes and section["flags"] & 2), None)


def _described(data: bytes, i: int, sections: list[_Raw], names: list[str], place: str) -> str:
    section = sections[i]
    kind = {v: k for k, v in _TYPES.items()}[section["type"]]
    flags = "".join(f for f, bit in _FLAGS.items() if section["flags"] & bit) or "-"
    symbols = kind in {"symtab", "dynsym"}
    words = [names[i], kind, flags + place]
    words += [f"align={section['align']}"] if section["align"] > 1 else []
    words += [f"link={names[section['link']]}"] if section["link"] else []
    if section["info"] and not symbols:
        words.append(f"info={names[section['info']] if 'i' in flags else section['info']}")
    start, size = section.span()
    raw = data[start : start + size]
    if kind == "nobits":
        words += ["size", f"{section['size']:#x}"]
    elif symbols:
        table = sections[section["link"]]["offset"]
        words += ["symbols", *_symbols(data, section, sections, names)][: 1 if not table else None]
    elif names[i] == ".shstrtab":
        words.append("names")
    elif kind == "strtab" and raw[:1] == b"\0":
        words += ["strings", *raw[1:-1].decode().split("\0")]
    elif kind == "dynamic":
        words += ["dynamic", *_entries(data, section, sections[section["link"]]["offset"])]
    else:
        words += _bytes(raw)
    return " ".join(words)


def _bytes(raw: bytes) -> list[str]:
    if len(raw) > 40 and raw == _counting(len(raw)):
        return ["counting", str(len(raw))]
    return ["bytes", raw.hex(" ")] if raw.strip(b"\0") else ["zeros", str(len(raw))]


def _symbols(data: bytes, table: _Raw, sections: list[_Raw], names: list[str]) -> Iterator[str]:
    wide = data[4] == 2
    layout, fields = ("IBBHww", "name info other index value size")
    if not wide:
        layout, fields = ("IwwBBH", "name value size info other index")
    size = 24 if wide else 16
    for at in range(table["offset"] + size, table["offset"] + table["size"], size):
        symbol = _unpack(data, layout, fields, at)
        index, value = symbol["index"], symbol["value"]
        place = {v: k for k, v in _PLACES.items()}.get(index)
        if place is None:
            place, value = names[index], value - sections[index]["addr"]
        name = _text(data, sections[table["link"]]["offset"] + symbol["name"])
        yield f"{name}:{_BINDINGS[symbol['info'] >> 4]}:{place}:{value:#x}:{symbol['size']}"


def _entries(data: bytes, table: _Raw, strings: int) -> Iterator[str]:
    size = 16 if data[4] == 2 else 8
    known = {v: k for k, v in _TAGS.items()}
    for at in range(table["offset"], table["offset"] + table["size"], size):
        entry = _unpack(data, "ww", "tag value", at)
        if entry["tag"] in known:
            yield f"{known[entry['tag']]}={_text(data, strings + entry['value'])}"


def _over(segment: _Raw, sections: list[_Raw], names: list[str]) -> str:
    kind = {v: k for k, v in _SEGMENTS.items()}[segment["type"]]
    ends = segment["offset"], segment["offset"] + segment["size"]
    over = [
        (s["offset"], names[i]) for i, s in enumerate(sections)
        if segment["size"] and s.span()[1] and ends[0] <= s["offset"] and sum(s.span()) <= ends[1]
    ]  # fmt: skip
    return " ".join([kind, *(name for _, name in sorted(over))])
