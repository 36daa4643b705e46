"""Long utterances are cut where it is quiet; nothing is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.voice.utterance import most_tokens, pieces

RATE = 16_000


@given(st.integers(0, 40 * RATE), st.sampled_from([6.0, 10.0, 30.0]))
def test_no_sample_is_lost_and_no_piece_is_too_long(count: int, seconds: float) -> None:
    utterance = np.arange(count, dtype=np.float32)
    found = list(pieces(utterance, seconds))
    np.testing.assert_array_equal(np.concatenate(found), utterance)
    assert all(len(piece) <= seconds * RATE for piece in found)


@pytest.mark.parametrize("pause_s", [26.0, 27.3, 29.5])
def test_a_piece_ends_in_the_pause(pause_s: float) -> None:
    utterance = np.random.default_rng(0).standard_normal(45 * RATE).astype(np.float32)
    utterance[int(pause_s * RATE) : int((pause_s + 0.3) * RATE)] = 0
    first = next(pieces(utterance, 30))
    assert pause_s < len(first) / RATE < pause_s + 0.3


def test_half_an_hour_comes_in_pieces_at_once() -> None:
    found = list(pieces(np.zeros(30 * 60 * RATE, np.float32), 30))
    assert 60 <= len(found) <= 73


def test_an_empty_utterance_is_one_empty_piece() -> None:
    assert [len(p) for p in pieces(np.zeros(0, np.float32), 30)] == [0]
    assert most_tokens(0) == 1
