"""Tells what a file is: by its first bytes where a format has a signature, else by its name."""

from __future__ import annotations

from pathlib import PurePosixPath

from toolchain.ir import Kind

HEAD_BYTES = 264  # a tar header's magic ends at byte 263

_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\0asm", Kind.WASM),
    (0, b"\x7fELF", Kind.ELF),
    (0, b"GGUF", Kind.GGUF),
    (4, b"ORTM", Kind.ORT),  # flatbuffer file identifier
    (0, b"VTMODEL1", Kind.PACKAGE),
    (0, b"\xcf\xfa\xed\xfe", Kind.MACHO),
    (0, b"\xce\xfa\xed\xfe", Kind.MACHO),
    (0, b"MZ", Kind.PE),
    (0, b"PK\x03\x04", Kind.ARCHIVE),
    (0, b"PK\x05\x06", Kind.ARCHIVE),  # an empty zip
    (257, b"ustar", Kind.ARCHIVE),
    (0, b"OggS", Kind.AUDIO),
    (0, b"fLaC", Kind.AUDIO),
    (0, b"ID3", Kind.AUDIO),
    (0, b"\x28\xb5\x2f\xfd", Kind.COMPRESSED),  # zstd
)

_SUFFIX = {
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), Kind.JS),
    **dict.fromkeys((".ts", ".mts", ".cts", ".tsx"), Kind.TS),
    **dict.fromkeys((".htm", ".html"), Kind.HTML),
    **dict.fromkeys((".tgz", ".tar", ".zip", ".whl"), Kind.ARCHIVE),
    **dict.fromkeys((".br", ".zst", ".gz", ".dcz"), Kind.COMPRESSED),
    **dict.fromkeys((".wav", ".mp3", ".ogg", ".flac", ".opus", ".m4a"), Kind.AUDIO),
    **dict.fromkeys((".md", ".txt", ".rst", ".yml", ".yaml", ".toml"), Kind.TEXT),
    ".json": Kind.JSON,
    ".css": Kind.CSS,
    ".map": Kind.SOURCEMAP,
    ".wasm": Kind.WASM,
    ".onnx": Kind.ONNX,
    ".ort": Kind.ORT,
    ".gguf": Kind.GGUF,
    ".safetensors": Kind.SAFETENSORS,
    ".vtm": Kind.PACKAGE,
}


def kind_of(name: str, head: bytes | memoryview) -> Kind:
    r"""Return the kind of a file called ``name`` whose first ``HEAD_BYTES`` bytes are ``head``.

    A signature wins over a name, but for a name that promises a signature (``x.wasm``) the
    promise is kept, so that a broken file is reported as broken and not as data.

    >>> kind_of("a.bin", b"\0asm\1\0\0\0").value, kind_of("lib.so.1", b"\x7fELF").value
    ('wasm', 'elf')
    >>> kind_of("a.d.ts", b"").value
    'text'
    """
    for offset, magic, kind in _MAGIC:
        if bytes(head[offset : offset + len(magic)]) == magic:
            return kind
    if bytes(head[:4]) == b"RIFF" and bytes(head[8:12]) == b"WAVE":
        return Kind.AUDIO
    path = PurePosixPath(name)
    if path.name.endswith((".d.ts", ".d.mts", ".d.cts")):
        return Kind.TEXT  # type declarations: no code runs
    if path.name.endswith((".so",)):
        return Kind.ELF
    if bytes(head[:2]) == b"\x1f\x8b":
        packed_tar = path.name.endswith((".tgz", ".tar.gz"))
        return Kind.ARCHIVE if packed_tar else Kind.COMPRESSED
    return _SUFFIX.get(path.suffix.lower(), Kind.DATA)
