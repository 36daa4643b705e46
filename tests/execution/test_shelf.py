"""What is made once is there whole, whoever was first, and an error that leaves nothing is said."""

from pathlib import Path

import pytest

from toolchain.errors import InputError, UnavailableError
from toolchain.execution.shelf import made_once


def _write(folder: Path, text: str) -> None:
    (folder / "model").write_text(text)


def test_it_is_made_once(tmp_path: Path) -> None:
    home = tmp_path / "shelf" / "digest"
    made_once(home, lambda folder: _write(folder, "first"))
    found = made_once(home, lambda folder: _write(folder, "second"))
    assert (found / "model").read_text() == "first"
    assert [one.name for one in home.parent.iterdir()] == ["digest"]


def test_of_two_processes_the_first_counts(tmp_path: Path) -> None:
    home = tmp_path / "shelf" / "digest"

    def overtaken(folder: Path) -> None:
        _write(folder, "second")
        home.mkdir()
        _write(home, "first")

    assert (made_once(home, overtaken) / "model").read_text() == "first"
    assert [one.name for one in home.parent.iterdir()] == ["digest"]


def test_what_cannot_be_put_in_its_place_is_no_result(tmp_path: Path) -> None:
    home = tmp_path / "digest"
    home.write_text("a file where a folder should be")
    with pytest.raises(UnavailableError, match="cannot be written") as caught:
        made_once(home, lambda folder: _write(folder, "model"))
    assert "VTOOL_CACHE" in caught.value.hint


def test_what_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    def refuse(folder: Path) -> None:
        _write(folder, "half")
        raise InputError("damaged")

    with pytest.raises(InputError, match="damaged"):
        made_once(tmp_path / "shelf" / "digest", refuse)
    assert list((tmp_path / "shelf").iterdir()) == []
