"""The store: bytes come back as they were put, from many writers at once and on a full disk."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import UnavailableError
from toolchain.ir import DirectoryStore, MemoryStore, digest_of


@given(st.lists(st.binary(max_size=200)))
def test_both_stores_give_back_what_was_put(blobs: list[bytes]) -> None:
    store = MemoryStore()
    digests = [store.put(b) for b in blobs]
    assert [store.get(d) for d in digests] == blobs
    assert digests == [hashlib.sha256(b).hexdigest() for b in blobs]
    assert len(store.blobs) == len(set(blobs))


def test_a_directory_store_outlives_its_object(tmp_path: Path) -> None:
    digest = DirectoryStore(tmp_path).put(b"weights")
    assert digest in DirectoryStore(tmp_path)
    assert DirectoryStore(tmp_path).get(digest) == b"weights"


@pytest.mark.parametrize("kind", ["memory", "directory"])
def test_what_was_never_put_is_a_key_error(kind: str, tmp_path: Path) -> None:
    store = MemoryStore() if kind == "memory" else DirectoryStore(tmp_path)
    missing = digest_of(b"never put")
    assert missing not in store
    assert 7 not in store
    with pytest.raises(KeyError):
        store.get(missing)


def test_adopted_files_are_served_from_where_they_lie(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    store = DirectoryStore(tmp_path / "store")
    digest = digest_of(b"weights")
    store.adopt(model, digest)
    assert store.put(b"weights") == digest
    assert store.path(digest) == model
    assert store.get(digest) == b"weights"
    assert not (tmp_path / "store").exists()


def test_an_adopted_file_that_is_gone_is_a_key_error(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    store.adopt(tmp_path / "gone", digest_of(b"x"))
    with pytest.raises(KeyError):
        store.get(digest_of(b"x"))


def test_threads_that_put_the_same_bytes_leave_one_blob(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    blob = os.urandom(200_000)
    with ThreadPoolExecutor(16) as pool:
        digests = set(pool.map(lambda _: store.put(blob), range(64)))
    assert digests == {digest_of(blob)}
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [store.path(digest_of(blob))]


def _put_and_read(root: Path) -> bool:
    store = DirectoryStore(root)
    blobs = [bytes([n]) * 50_000 for n in range(40)]
    return all(store.get(store.put(b)) == b for b in blobs)


def test_processes_never_see_half_a_blob(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        assert all(pool.map(_put_and_read, [tmp_path] * 8, timeout=60))
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert len(files) == 40
    assert all(digest_of(p.read_bytes()) == p.parent.name + p.name for p in files)


_FULL_DISK = """
import resource, sys
from pathlib import Path
from toolchain.errors import UnavailableError
from toolchain.ir import DirectoryStore

store = DirectoryStore(Path(sys.argv[1]))
small = store.put(b"s" * 1000)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    store.put(b"x" * 1_000_000)
except UnavailableError as error:
    print(error)
    print(error.hint)
    print(store.get(small) == b"s" * 1000)
"""


def test_a_write_that_does_not_fit_leaves_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    message, hint, kept = done.stdout.splitlines()
    assert message.startswith("cannot write 1000000 bytes to the cache")
    assert "VTOOL_CACHE" in hint
    assert kept == "True"
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert [p.stat().st_size for p in files] == [1000]


def test_a_folder_that_is_a_file_is_said_to_be_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(UnavailableError):
        DirectoryStore(tmp_path / "store").put(b"x")
