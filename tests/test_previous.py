"""The last release: as a folder and as an archive, and everything that is none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cli.project import tgz, write, zipped

from toolchain.emit import MANIFEST
from toolchain.errors import ConfigError, InputError, IntegrityError
from toolchain.ir import digest_of
from toolchain.previous import open_release

_FILES = {"app/main.js": b"let a = 1;\n", "app/b.js": b"let b = 2;\n"}


def _manifest(files: dict[str, bytes]) -> bytes:
    rows = [{"id": n, "sha256": digest_of(d), "size": len(d), "new": 1} for n, d in files.items()]
    return json.dumps({"manifest_version": 1, "files": rows}).encode()


def _members() -> dict[str, bytes]:
    return {**_FILES, "app/main.js.br": b"br", MANIFEST: _manifest(_FILES)}


def test_a_folder_and_its_archives_are_the_same_release(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", _members())
    inner = {f"out-1.0/{name}": data for name, data in _members().items()}
    archives = {
        "a.tgz": tgz(_members()),
        "b.tgz": tgz(inner),
        "c.zip": zipped(_members()),
        "d.zip": zipped(inner),
    }
    for path in (folder, *(write(tmp_path, {n: d}) / n for n, d in archives.items())):
        release = open_release(path)
        assert release is not None
        assert {n: f.path.read_bytes() for n, f in release.files.items()} == _FILES


def test_no_release_is_none() -> None:
    assert open_release(None) is None


def test_what_is_not_there_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no previous release"):
        open_release(tmp_path / "gone")


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"app/main.js": b"1"}, "it has no vtool-manifest.json"),
        ({MANIFEST: b"{"}, "damaged"),
        ({MANIFEST: b"\xff\xfe"}, "damaged"),
        ({MANIFEST: b"[]"}, "damaged"),
        ({MANIFEST: b"{}"}, "damaged"),
        ({MANIFEST: b'{"files": [{"id": "a"}]}'}, "damaged"),
        ({MANIFEST: b"[" * 100_000}, "damaged"),
        ({MANIFEST: _manifest(_FILES), "app/b.js": _FILES["app/b.js"]}, "lacks app/main.js"),
        ({MANIFEST: _manifest({"../up.js": b"1"})}, "lacks ../up.js"),
    ],
)
def test_what_is_no_result_is_refused_with_the_reason(
    tmp_path: Path, members: dict[str, bytes], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        open_release(write(tmp_path / "out", members))


def test_a_file_that_is_not_the_published_one_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", {**_members(), "app/b.js": b"let b = 3;\n"})
    with pytest.raises(IntegrityError, match=r"app/b\.js"):
        open_release(folder)


def test_a_file_and_a_cut_archive_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"notes.md": "x", "cut.tgz": tgz(_members())[:-40]})
    with pytest.raises(InputError, match="neither a folder nor an archive"):
        open_release(tmp_path / "notes.md")
    with pytest.raises(InputError, match="truncated or damaged"):
        open_release(tmp_path / "cut.tgz")
    shutil.rmtree(tmp_path)
