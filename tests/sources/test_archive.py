"""Hostile, damaged and odd archives: nothing leaves the cache, nothing is half unpacked."""

from __future__ import annotations

import gzip
import io
import random
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sources.fake_registry import tgz, wheel

from toolchain.errors import FormatError, InputError
from toolchain.sources import archive, members, unpack
from toolchain.sources.project import open_target

Rows = list[tuple[tarfile.TarInfo, bytes]]


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a test that fails must fail again


def entry(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=kind, linkname=target)


def tar(rows: Rows) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in rows:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zipped(rows: list[tuple[str, bytes, int]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data, mode in rows:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return out.getvalue()


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


HOSTILE: dict[str, tuple[Rows, str]] = {
    "parent": ([entry("../evil", b"x")], "'../evil' that would lie outside"),
    "inner-parent": ([entry("a/../../evil", b"x")], "would lie outside"),
    "absolute": ([entry("/etc/evil", b"x")], "'/etc/evil' that would lie outside"),
    "drive": ([entry("C:/evil", b"x")], "would lie outside"),
    "backslashes": ([entry("a\\..\\..\\evil", b"x")], "would lie outside"),
    "symlink-out": ([link("a", "../../etc/passwd")], "'a' that is a link out of the archive"),
    "symlink-absolute": ([link("a", "/etc/passwd")], "link out of the archive"),
    "hardlink-out": ([link("b/a", "../x", tarfile.LNKTYPE)], "link out of the archive"),
    "through-a-link": (
        [link("a", "/tmp"), entry("a/evil", b"x")],  # noqa: S108 - where the attack aims
        "link out of the archive",
    ),
    "circle": ([link("a", "b"), link("b", "a")], "link in a circle"),
    "dangling": ([link("a", "nothing")], "link to nothing in the archive"),
    "device": ([entry("null", type=tarfile.CHRTYPE)], "'null' that is a device"),
    "block-device": ([entry("disk", type=tarfile.BLKTYPE)], "is a device"),
    "pipe": ([entry("pipe", type=tarfile.FIFOTYPE)], "is a device, a pipe"),
    "sparse": ([entry("hole", type=tarfile.GNUTYPE_SPARSE)], "a sparse file"),
    "twice": ([entry("a", b"1"), entry("a", b"2")], "'a' that is there twice"),
    "file-as-folder": ([entry("a", b"1"), entry("a/b", b"2")], "cannot be a file"),
    "folder-as-file": ([entry("a/b", b"2"), entry("a", b"1")], "cannot be a file"),
    "no-name": ([entry("./", b"1")], "has no name"),
    "endless-name": ([entry("a" * 300, b"1")], "cannot be a file"),
}


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["tar", "tgz"])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_tar_is_refused_by_name(
    tmp_path: Path, cache: Path, case: str, pack: Callable[[bytes], bytes]
) -> None:
    rows, fact = HOSTILE[case]
    path = tmp_path / "hostile.tar"
    path.write_bytes(pack(tar([entry("before", b"1"), *rows])))
    before = {p for p in tmp_path.rglob("*") if cache not in p.parents and p != cache}
    with pytest.raises(InputError) as caught:
        open_target(str(path))
    assert fact in str(caught.value)
    assert caught.value.hint
    assert {p for p in tmp_path.rglob("*") if cache not in p.parents and p != cache} == before
    assert names(cache / "trees") == []


@pytest.mark.parametrize(
    ("rows", "fact"),
    [
        ([("../evil", b"x", 0o644)], "would lie outside"),
        ([("/etc/evil", b"x", 0o644)], "would lie outside"),
        ([("a", b"/etc/passwd", stat.S_IFLNK | 0o777)], "link out of the archive"),
        ([("a", b"", stat.S_IFCHR | 0o666)], "is a device"),
        ([("a", b"", stat.S_IFIFO | 0o666)], "is a device, a pipe"),
        ([("a/b", b"1", 0), ("a", b"2", 0)], "cannot be a file"),
    ],
)
def test_a_hostile_zip_is_refused_by_name(
    tmp_path: Path, cache: Path, rows: list[tuple[str, bytes, int]], fact: str
) -> None:
    path = tmp_path / "hostile.zip"
    path.write_bytes(zipped(rows))
    with pytest.raises(InputError) as caught:
        open_target(str(path))
    assert fact in str(caught.value)
    assert names(cache / "trees") == []


def test_links_inside_become_files_and_links_to_folders_are_left_out(tmp_path: Path) -> None:
    rows = [
        link("lib/libx.so", "libx.so.1"),
        link("lib/libx.so.1", "../real/libx.so.1.0"),
        entry("real/libx.so.1.0", b"code", mode=0o755),
        link("hard", "real/libx.so.1.0", tarfile.LNKTYPE),
        link("lib64", "lib"),
    ]
    path = tmp_path / "a.tar"
    path.write_bytes(tar(rows))
    files = unpack.unpack(path, tmp_path / "out")
    assert {name: file.path.read_bytes() for name, file in files.items()} == dict.fromkeys(
        ["hard", "lib/libx.so", "lib/libx.so.1", "real/libx.so.1.0"], b"code"
    )
    assert not any(p.is_symlink() for p in (tmp_path / "out").rglob("*"))


def test_the_same_member_twice_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar([entry("./a", b"1"), entry("a", b"1")]))
    assert list(unpack.unpack(path, tmp_path / "out")) == ["a"]


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_a_bomb_by_ratio_is_refused_early(tmp_path: Path, cache: Path, suffix: str) -> None:
    zeros = bytes(1 << 20)
    path = tmp_path / f"bomb{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(100):
                archive.writestr(f"{i}", zeros)
    else:
        path.write_bytes(gzip.compress(tar([entry(f"{i}", zeros) for i in range(100)])))
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
        open_target(str(path))
    assert names(cache / "trees") == []


def test_a_bomb_behind_the_end_of_a_tar_is_refused(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "bomb.tgz"
    path.write_bytes(gzip.compress(tar([entry("a", b"1")]) + bytes(100 << 20)))
    with pytest.raises(InputError, match="unpacks to more than 200 times its size"):
        open_target(str(path))
    del cache


def test_a_bomb_by_total_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members, "MAX_BYTES", 1000)
    path = tmp_path / "a.zip"
    path.write_bytes(wheel({"a": seeded(1).randbytes(1001)}))
    with pytest.raises(InputError, match=r"unpacks to more than 1\.00 kB"):
        unpack.unpack(path, tmp_path / "out")


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_a_bomb_by_count_is_refused(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_MEMBERS", 50)
    path = tmp_path / f"a{suffix}"
    files = {f"{i}": b"" for i in range(51)}
    path.write_bytes(wheel(files) if suffix == ".zip" else tgz(files))
    with pytest.raises(InputError, match="has more than 50 members"):
        unpack.unpack(path, tmp_path / "out")


def test_a_tar_header_of_gigabytes_is_not_read_into_memory(tmp_path: Path) -> None:
    header = tarfile.TarInfo("long")
    header.type = tarfile.XHDTYPE
    header.size = 5 << 30
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(6 << 30)  # sparse: takes no room on the disk
    with pytest.raises(InputError, match=r"has a header of 5\.37 GB"):
        unpack.unpack(path, tmp_path / "out")


GOOD = {
    ".tar": tar([entry("a", b"1" * 700), entry("b/c", b"2" * 5000), entry("d", b"")]),
    ".tgz": tgz({"a": b"1" * 700, "b/c": seeded(2).randbytes(5000), "d": b""}),
    ".zip": wheel({"a": b"1" * 700, "b/c": seeded(3).randbytes(5000), "d": b""}),
}


@pytest.mark.parametrize("suffix", GOOD)
def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    whole = GOOD[suffix]
    end = len(whole) if suffix != ".tar" else 512 * 16  # behind it, a tar is only padding
    cuts = sorted({*seeded(4).sample(range(end), 150), 0, 1, 511, 512, 1024, end - 1})
    for cut in (c for c in cuts if c < end):
        path = tmp_path / f"{cut}{suffix}"
        path.write_bytes(whole[:cut])
        with pytest.raises(FormatError) as caught:
            unpack.unpack(path, tmp_path / f"{cut}")
        assert 0 <= caught.value.offset <= cut


@pytest.mark.parametrize("suffix", GOOD)
def test_a_damaged_archive_is_refused_or_read_but_never_a_crash(
    tmp_path: Path, suffix: str
) -> None:
    chance = seeded(5)
    for turn in range(300):
        data = bytearray(GOOD[suffix])
        for _ in range(chance.choice([1, 1, 4])):
            at = chance.randrange(len(data))
            data[at] = chance.randrange(256)
        path = tmp_path / f"{turn}{suffix}"
        path.write_bytes(data)
        try:
            unpack.unpack(path, tmp_path / f"{turn}")
        except InputError as error:
            assert error.hint  # noqa: PT017 - most damage is refused, some changes only a byte of data


plain = st.text("abc./ö", min_size=1, max_size=8).filter(lambda n: n.strip("./"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(plain, st.binary(max_size=600), min_size=1, max_size=4))
def test_an_unpacked_tar_holds_its_safe_members_or_is_refused(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
    folder.mkdir()
    (folder / "a.tar").write_bytes(tar([entry(n, d) for n, d in files.items()]))
    try:
        found = unpack.unpack(folder / "a.tar", folder / "out")
    except InputError:
        return
    for name, data in files.items():
        inner = "/".join(p for p in name.split("/") if p not in {"", "."})
        assert found[inner].path.read_bytes() == data
    assert all((folder / "out") in file.path.resolve().parents for file in found.values())


def test_what_npm_packed_loses_its_folder_and_what_others_packed_does_not(
    tmp_path: Path, cache: Path
) -> None:
    (tmp_path / "a.tgz").write_bytes(tgz({"package.json": b"{}", "lib/x.js": b""}))
    (tmp_path / "b.tgz").write_bytes(tgz({"lib/x.js": b""}))
    (tmp_path / "c.whl").write_bytes(wheel({"c/__init__.py": b""}))
    opened = [list(open_target(str(tmp_path / n)).tree.files) for n in ("a.tgz", "b.tgz", "c.whl")]
    assert opened == [["lib/x.js", "package.json"], ["package/lib/x.js"], ["c/__init__.py"]]
    inner = list(archive.unpack(tmp_path / "a.tgz").files)
    assert inner == ["package/lib/x.js", "package/package.json"]
    del cache


def test_an_archive_without_files_is_refused(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.zip").write_bytes(wheel({}))
    (tmp_path / "b.tar").write_bytes(tar([entry("folder", type=tarfile.DIRTYPE)]))
    for name in ("a.zip", "b.tar"):
        with pytest.raises(InputError, match="holds no file"):
            open_target(str(tmp_path / name))
    del cache


def test_an_encrypted_zip_says_so(tmp_path: Path) -> None:
    data = bytearray(zipped([("a", b"secret", 0)]))
    data[data.index(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"is encrypted \('a'\)"):
        unpack.unpack(tmp_path / "a.zip", tmp_path / "out")


def test_programs_stay_programs(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar([entry("run", b"#!", mode=0o755), entry("data", b"")]))
    files = unpack.unpack(tmp_path / "a.tar", tmp_path / "out")
    modes = {name: bool(file.path.stat().st_mode & 0o100) for name, file in files.items()}
    assert modes == {"run": True, "data": False}
