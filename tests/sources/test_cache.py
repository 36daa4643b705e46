"""A cache that is used by many, killed at any moment, tampered with and out of room."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sources.fake_registry import Registry, tgz, wheel

from toolchain.errors import IntegrityError, UnavailableError
from toolchain.sources import cache as caches
from toolchain.sources.base import Integrity
from toolchain.sources.exclusive import exclusive
from toolchain.sources.project import open_target

TARGET = "npm:a@1.0.0"
OPEN = "import sys; from toolchain.sources.project import open_target; open_target(sys.argv[1])"


def opened(target: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", OPEN, target]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def contents(target: str) -> dict[str, str]:
    files = open_target(target).tree.files
    for file in files.values():
        assert hashlib.sha256(file.path.read_bytes()).hexdigest() == file.digest
    return {name: file.digest for name, file in files.items()}


def leftovers(cache: Path) -> list[str]:
    return [p.name for p in cache.rglob(".*")]


@pytest.mark.parametrize("damage", ["longer", "longer, old time", "same size", "gone"])
def test_a_changed_file_is_noticed_and_mended_without_a_network(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    registry.publish("a", "1.0.0", {"index.js": b"good"})
    before = contents(TARGET)
    monkeypatch.setenv("VTOOL_OFFLINE", "1")
    path = open_target(TARGET).tree.files["index.js"].path
    if damage == "gone":
        path.unlink()
    else:
        times = path.stat()
        path.write_bytes(b"evil" if damage == "same size" else b"longer")
        if damage == "longer, old time":
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert contents(TARGET) == before
    assert path.read_bytes() == b"good"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 9, "files": []}'])
def test_a_broken_index_is_written_anew(registry: Registry, cache: Path, text: str) -> None:
    registry.publish("a", "1.0.0", {"index.js": b"good"})
    before = contents(TARGET)
    (index,) = cache.glob("trees/*/index.json")
    index.write_text(text)
    assert contents(TARGET) == before


def test_a_changed_download_is_thrown_away_and_fetched_again(
    registry: Registry, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish("a", "1.0.0", {"index.js": b"good"})
    before = contents(TARGET)
    (download,) = cache.glob("downloads/*")
    download.write_bytes(tgz({"index.js": b"evil"}))
    open_target(TARGET).tree.files["index.js"].path.unlink()
    monkeypatch.setenv("VTOOL_OFFLINE", "1")
    with pytest.raises(UnavailableError, match="VTOOL_OFFLINE is set"):
        open_target(TARGET)
    monkeypatch.delenv("VTOOL_OFFLINE")
    assert contents(TARGET) == before


@pytest.mark.parametrize("text", ["", "[]", '{"address": 1}', '{"address": "pkg:npm/a@1.0.0"}'])
def test_a_broken_pin_is_asked_for_again(registry: Registry, cache: Path, text: str) -> None:
    registry.publish("a", "1.0.0")
    before = contents(TARGET)
    (pin,) = cache.glob("pins/*")
    pin.write_text(text)
    assert contents(TARGET) == before


def test_many_processes_fetch_once(registry: Registry, cache: Path) -> None:
    path = registry.publish("a", "1.0.0", {f"{i}.js": b"x" * i for i in range(200)})
    running = [opened(TARGET) for _ in range(4)]
    for process in running:
        assert process.wait(60) == 0, process.stderr.read() if process.stderr else ""
        process.communicate(timeout=10)
    assert registry.asked.count(path) == 1
    assert leftovers(cache) == []


def test_a_kill_at_any_moment_leaves_a_cache_that_works(registry: Registry, cache: Path) -> None:
    chance = random.Random(7)  # noqa: S311 - a test that fails must fail again
    files = {f"{i}.bin": chance.randbytes(200_000) for i in range(40)}
    path = registry.publish("a", "1.0.0", files)
    start = time.monotonic()
    process = opened(TARGET)
    assert process.wait(60) == 0
    process.communicate(timeout=10)
    whole_s = time.monotonic() - start
    killed = 0
    for turn in range(12):
        for name in ("downloads", "trees"):
            for old in (cache / name).glob("*"):
                old.rename(cache / f"gone-{turn}-{name}-{old.name}")
        process = opened(TARGET)
        time.sleep(whole_s * (0.4 + 0.6 * turn / 12))
        process.send_signal(signal.SIGKILL)
        killed += process.wait(30) == -signal.SIGKILL
        process.communicate(timeout=10)
        assert len(contents(TARGET)) == 41
        assert leftovers(cache) == []
    assert killed >= 4
    assert registry.asked.count(path) > 2


def test_a_full_disk_is_said_and_leaves_nothing(registry: Registry, cache: Path) -> None:
    registry.publish("a", "1.0.0", {"big": os.urandom(400_000)})
    code = (
        "import resource, signal, sys\n"
        "from toolchain.errors import UnavailableError\n"
        "from toolchain.sources.project import open_target\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n    open_target(sys.argv[1])\n"
        "except UnavailableError as error:\n    print(error, '|', error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, TARGET],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "cannot use the cache" in done.stdout
    assert "set VTOOL_CACHE to a folder with room" in done.stdout
    assert leftovers(cache) == []
    assert len(contents(TARGET)) == 2


def test_a_cache_that_cannot_be_written_is_said(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.publish("a", "1.0.0")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("VTOOL_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UnavailableError, match="cannot use the cache") as caught:
        open_target(TARGET)
    assert "VTOOL_CACHE" in caught.value.hint


def test_a_warm_open_reads_no_file_of_the_tree(registry: Registry) -> None:
    registry.publish("a", "1.0.0", {"index.js": b"good"})
    first = open_target(TARGET)
    path = first.tree.files["index.js"].path
    times = path.stat()
    path.write_bytes(b"evil")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert open_target(TARGET) == first  # only who reads the file can know
    assert path.read_bytes() == b"evil"


def test_a_lock_held_too_long_is_an_error_with_an_end(tmp_path: Path) -> None:
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with exclusive(tmp_path / "lock"):
            taken.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert taken.wait(10)
        with (
            pytest.raises(UnavailableError, match="has been busy with lock"),
            exclusive(tmp_path / "lock", limit_s=0.1),
        ):
            pytest.fail("two hold it")
    finally:
        done.set()
        thread.join(30)
    with exclusive(tmp_path / "lock", limit_s=0.1):
        pass


def test_a_local_archive_is_unpacked_once_and_again_when_it_changes(
    tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(wheel({"a": b"1"}))
    first = open_target(str(path)).tree.files["a"]
    assert open_target(str(path)).tree.files["a"] == first
    path.write_bytes(wheel({"a": b"2"}))
    assert open_target(str(path)).tree.files["a"].path.read_bytes() == b"2"
    assert len(list(cache.glob("trees/*/index.json"))) == 2


def test_a_hash_that_is_not_the_file_s_is_refused(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "a.whl"
    path.write_bytes(wheel({"a": b"1"}))
    with pytest.raises(IntegrityError, match="changed while it was read"):
        caches.unpacked(Integrity.parse("sha256:" + "0" * 64), lambda: path)
    assert path.exists()
    assert not list(cache.glob("trees/*"))


def test_the_index_holds_no_path_of_this_machine(registry: Registry, cache: Path) -> None:
    registry.publish("a", "1.0.0")
    open_target(TARGET)
    (index,) = cache.glob("trees/*/index.json")
    assert [row[0] for row in json.loads(index.read_text())["files"]] == ["package/package.json"]
    assert str(cache) not in index.read_text()
