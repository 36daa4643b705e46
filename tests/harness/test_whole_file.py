"""What the measured process writes: whole or not at all, and an error that says why."""

import threading
from pathlib import Path

import pytest

from toolchain.errors import UnavailableError
from toolchain.harness.whole_file import write_whole


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path, ended = tmp_path / "question-1.wav", threading.Event()
    versions = [bytes([n]) * 1_000_000 for n in range(2)]
    write_whole(path, versions[0])

    def rewrite() -> None:
        for n in range(60):
            write_whole(path, versions[n % 2])
        ended.set()

    threading.Thread(target=rewrite, daemon=True).start()
    while not ended.is_set():
        assert path.read_bytes() in versions
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_place_that_takes_nothing_is_said_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "answer.wav").mkdir()
    with pytest.raises(UnavailableError, match=r"answer\.wav cannot be written"):
        write_whole(tmp_path / "answer.wav", b"RIFF")
    assert [p.name for p in tmp_path.iterdir()] == ["answer.wav"]
