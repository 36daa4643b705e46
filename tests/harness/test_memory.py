"""Memory is read from the system, and a dropped file is really gone from the page cache."""

import mmap
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from toolchain.harness import memory

MEGABYTES = 64


def test_what_is_taken_is_seen_and_the_peak_remembers_it() -> None:
    before = memory.resident()
    block = bytearray(os.urandom(1 << 20) * MEGABYTES)
    taken = memory.resident()
    assert taken - before > MEGABYTES * 900_000
    del block
    peak = memory.peak()
    assert peak is not None
    assert peak >= taken


linux = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="only Linux tells pages apart"
)


@linux
def test_a_child_that_has_ended_makes_nothing_unknown() -> None:
    """Nobody has waited for it yet: it has no peak and no pages to tell of."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert child.pid not in memory.started()
        assert memory.peak() is not None
        assert memory.footprint().unique is not None


@linux
def test_a_heap_is_anonymous_and_a_mapped_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(1 << 20) * MEGABYTES)
    before = memory.footprint()
    block = bytearray(os.urandom(1 << 20) * MEGABYTES)
    heap = memory.footprint()
    assert _grown(before.anonymous, heap.anonymous) > MEGABYTES * 900_000
    assert abs(_grown(before.of_files, heap.of_files)) < 4_000_000
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[::4096]) >= 0  # every page was touched
        read = memory.footprint()
    assert _grown(heap.of_files, read.of_files) > MEGABYTES * 900_000
    assert abs(_grown(heap.anonymous, read.anonymous)) < 4_000_000
    assert read.resident >= (read.unique or 0) > MEGABYTES * 900_000
    del block


@linux
def test_what_two_processes_share_is_unique_to_none(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(os.urandom(1 << 20) * MEGABYTES)
    touch = (
        "import mmap, sys; f = open(sys.argv[1], 'rb'); m = mmap.mmap(f.fileno(), 0, access=1); "
        "print(sum(m[::4096]), flush=True); sys.stdin.read()"
    )
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[::4096]) >= 0
        alone = memory.footprint()
        other = subprocess.Popen(
            [sys.executable, "-c", touch, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert other.stdout
            other.stdout.readline()
            both = memory.footprint()
        finally:
            other.communicate(timeout=10)
    assert _grown(alone.resident, both.resident) > MEGABYTES * 900_000, "a child counts too"
    assert _grown(alone.unique, both.unique) < -MEGABYTES * 900_000 + 20_000_000
    assert _grown(alone.proportional, both.proportional) < 20_000_000


def _grown(before: int | None, after: int | None) -> int:
    assert before is not None
    assert after is not None
    return after - before


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no memory file system here")  # noqa: S108 - a place on purpose
def test_a_memory_file_system_cannot_forget_and_that_is_said() -> None:
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file:
        file.write(os.urandom(1 << 20))
        file.flush()
        assert not memory.drop_from_page_cache([Path(file.name)])


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="this system cannot say what is cached")
def test_dropped_is_only_said_of_a_file_that_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "model"
    path.write_bytes(os.urandom(8 << 20))
    said = memory.drop_from_page_cache([path])
    with path.open("rb") as file:
        cached = memory._is_cached(file.fileno(), 3 << 20)  # a place it did not ask for
        assert said == (not cached)
        file.read()
        assert memory._is_cached(file.fileno(), 3 << 20), "reading brings it back"
