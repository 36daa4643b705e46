"""Memory is read from the system, and a dropped file is really gone from the page cache."""

import os
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
