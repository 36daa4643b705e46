"""Members of zip and tar files: every byte has one owner, and the bytes are the right ones."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.formats import archive
from toolchain.formats.archive import ArchiveEntry, members


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a test that fails must fail again


names = st.text("abc/_ö", min_size=1, max_size=120).filter(lambda n: not n.endswith("/"))
bodies = st.sampled_from([0, 1, 511, 512, 513, 5000]).map(lambda n: seeded(n).randbytes(n))
files = st.dictionaries(names, bodies, max_size=6)


class Pipe:
    """Cannot go back, so zipfile writes sizes behind the data."""

    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        """Append ``data``."""
        self.data += data
        return len(data)

    def flush(self) -> None:
        """Do nothing."""

    def getvalue(self) -> bytes:
        """Return all that was written."""
        return bytes(self.data)


def zipped(content: dict[str, bytes], *, is_stream: bool = False, method: int = 8) -> bytes:
    out = Pipe() if is_stream else io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as packed:
        for name, data in content.items():
            packed.writestr(name, data)
    return out.getvalue()


def tarred(content: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as packed:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return out.getvalue()


@given(
    content=files,
    is_stream=st.booleans(),
    method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
def test_the_bytes_of_a_zip_member_unpack_to_it(
    content: dict[str, bytes], *, is_stream: bool, method: int
) -> None:
    data = zipped(content, is_stream=is_stream, method=method)
    found = members(memoryview(data))
    assert {e.name: e.size_bytes for e in found} == {n: len(d) for n, d in content.items()}
    for one in found:
        piece = data[one.offset : one.offset + one.packed_bytes]
        start = 30 + sum(struct.unpack_from("<HH", piece, 26))
        inner = zlib.decompressobj(-15).decompress(piece[start:]) if method else piece[start:]
        assert inner[: one.size_bytes] == content[one.name]


@given(content=files, is_stream=st.booleans())
def test_the_members_of_a_zip_end_where_its_directory_starts(
    content: dict[str, bytes], *, is_stream: bool
) -> None:
    data = zipped(content, is_stream=is_stream)
    at = 0
    for one in members(data):
        assert one.offset == at
        at += one.packed_bytes
    assert data[at : at + 4] == (b"PK\1\2" if content else b"PK\5\6")


@given(files, st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))
def test_the_members_of_a_tar_are_blocks_without_gaps(content: dict[str, bytes], kind: int) -> None:
    data = tarred(content, kind)
    at = 0
    for one, (name, body) in zip(members(data), content.items(), strict=True):
        assert (one.offset, one.name, one.size_bytes) == (at, name, len(body))
        assert one.packed_bytes % 512 == 0
        assert body in data[at : at + one.packed_bytes]
        at += one.packed_bytes
    assert not data[at:].strip(b"\0")


def test_a_compressed_tar_is_one_entry() -> None:
    inner = tarred({"a": b"1" * 5000})
    data = gzip.compress(inner)
    assert members(data) == (ArchiveEntry("", 0, len(data), len(inner)),)


def test_links_and_folders_own_only_their_header() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name, kind in (("d", tarfile.DIRTYPE), ("l", tarfile.SYMTYPE)):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "d"
            packed.addfile(info)
    assert [(e.name, e.offset, e.packed_bytes) for e in members(out.getvalue())] == [
        ("d", 0, 512),
        ("l", 512, 512),
    ]


def test_members_that_share_bytes_are_refused() -> None:
    data = bytearray(zipped({"a": b"1" * 100, "b": b"2" * 100}, method=0))
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    struct.pack_into("<I", data, second + 42, 0)  # b's offset: that of a
    with pytest.raises(FormatError, match="overlaps"):
        members(data)


WHOLE = {
    "zip": zipped({"a": b"1" * 700, "b/c": b"2" * 5000}),
    "stream": zipped({"a": b"1" * 700, "b/c": b"2" * 5000}, is_stream=True),
    "tar": tarred({"a": b"1" * 700, "x" * 150: b"2" * 5000}),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_cut_anywhere_is_a_format_error_with_a_place(kind: str) -> None:
    last = members(WHOLE[kind])[-1]
    # behind the first block of zeros a tar is only padding
    is_tar = kind == "tar"
    end = last.offset + last.packed_bytes + 512 if is_tar else len(WHOLE[kind])
    for cut in range(0, end, 7):
        with pytest.raises(FormatError) as caught:
            members(WHOLE[kind][:cut])
        assert 0 <= caught.value.offset <= end


@pytest.mark.parametrize("kind", WHOLE)
def test_damage_never_gives_members_that_overlap_or_leave_the_file(kind: str) -> None:
    chance = seeded(6)
    refused = 0
    for _ in range(4000):
        data = bytearray(WHOLE[kind])
        for _ in range(chance.choice([1, 2, 8])):
            at = chance.choice([chance.randrange(len(data)), chance.randrange(100)])
            data[at] = chance.choice([0, 0xFF, 0x80, chance.randrange(256)])
        try:
            found = members(data)
        except FormatError:
            refused += 1
            continue
        at = 0
        for one in found:
            assert one.offset >= at
            assert one.packed_bytes >= 0
            assert one.size_bytes >= 0
            at = one.offset + one.packed_bytes
        assert at <= len(data)
    assert refused > 100


@pytest.mark.parametrize("data", [b"", b"PK", b"\x1f\x8b", b"hello", bytes(512)])
def test_what_is_no_archive_is_refused_or_empty(data: bytes) -> None:
    if data == bytes(512):
        assert members(data) == ()
        return
    with pytest.raises(FormatError):
        members(data)


def test_a_tar_that_goes_backwards_comes_to_an_end() -> None:
    header = bytearray(WHOLE["tar"][:512])
    header[124:136] = b"\xff" * 10 + b"\xfc\x00"  # a size of -1024, in base 256
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(FormatError):
        members(WHOLE["tar"][:1536] + bytes(header) + bytes(1024))


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_more_members_than_anybody_needs_are_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "MAX_ENTRIES", 1)
    with pytest.raises(FormatError, match=r"more than 1 members|or too many"):
        members(WHOLE[kind])
