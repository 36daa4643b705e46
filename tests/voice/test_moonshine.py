"""Moonshine writes down what is said, word for word, and survives what is not speech."""

from pathlib import Path

import application
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import FormatError, InputError
from toolchain.formats.audio import Samples, read_wav
from toolchain.voice import pipeline
from toolchain.voice.moonshine import read_pieces
from toolchain.voice.stage import Stt


def test_fast_counting_is_not_cut_off_before_ten(stt: Stt, counting: Samples) -> None:
    until_he_stops = counting[: 2_700 * 16]
    for utterance in (counting, until_he_stops):
        heard = list(stt.stream([utterance]))
        assert heard == ["One, two, three, four, five, six, seven, eight, nine, ten."]


def test_each_utterance_is_transcribed_by_itself(stt: Stt, files: dict[str, Path]) -> None:
    names = ("hello_world", "quick_brown_fox", "hello_world")
    clips = [read_wav(files[f"audio/{name}.wav"].read_bytes()).samples for name in names]
    assert [heard.rstrip(".") for heard in stt.stream(clips)] == [
        "Hello world",
        "The quick brown fox jumps over the lazy dog",
        "Hello world",
    ]


@pytest.mark.parametrize("samples", [0, 1, 100, 16_000])
def test_silence_of_any_length_is_transcribed_without_an_error(stt: Stt, samples: int) -> None:
    (heard,) = stt.stream([np.zeros(samples, np.float32)])
    assert len(heard) < 40


def spelled(pieces: list[bytes]) -> bytes:
    out = b""
    for piece in pieces:
        short = len(piece) < 128
        length = [len(piece)] if short else [len(piece) % 128 + 128, len(piece) // 128]
        out += bytes(length) + piece
    return out


sizes = st.sampled_from([0, 1, 127, 128, 129, 300])  # both sides of a one-byte length


@given(st.lists(sizes.map(lambda n: b"x" * n)))
def test_pieces_of_every_length_are_read_back(pieces: list[bytes]) -> None:
    assert list(read_pieces(spelled(pieces))) == pieces


@pytest.mark.parametrize("cut", range(1, 4))
def test_a_cut_piece_table_is_refused(cut: int) -> None:
    with pytest.raises(FormatError, match="runs past the end of the file at byte 2"):
        read_pieces(spelled([b"a", b"abc"])[:-cut])


def test_the_table_of_another_model_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    table = tmp_path / "tokenizer.bin"
    table.write_bytes(spelled([b"a"] * 100))
    with pytest.raises(InputError, match="has 100 pieces") as caught:
        pipeline.load_stage(
            application.voice(), "stt", {**files, "models/moonshine/tokenizer.bin": table}
        )
    assert "32768" in str(caught.value)
