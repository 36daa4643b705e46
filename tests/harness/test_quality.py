"""Quality figures: right is right, wrong costs what it should, and they stay in their range."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.harness.quality import (
    frame_agreement,
    share_equal,
    token_agreement,
    word_error_rate,
)

ids = st.lists(st.integers(0, 3), max_size=12)


@pytest.mark.parametrize(
    ("said", "heard", "rate"),
    [
        ("Hello world.", "hello, world", 0.0),
        ("It's seven o'clock.", "it is seven oclock", 0.0),
        ("one two three four", "one three four", 0.25),
        ("one two", "one two three four", 1.0),
        ("one two", "", 1.0),
        ("", "", 0.0),
        ("...", "hello", 1.0),
    ],
)
def test_words_wrong_missing_and_added_count(said: str, heard: str, rate: float) -> None:
    assert word_error_rate(said, heard) == rate


@given(ids, ids)
def test_agreement_is_a_share_and_the_same_both_ways(one: list[int], two: list[int]) -> None:
    share = token_agreement(one, two)
    assert 0 <= share <= 1
    assert share == token_agreement(two, one)
    assert (share == 1) == (one == two)


@given(ids, st.integers(0, 12))
def test_one_token_left_out_costs_one_token(tokens: list[int], at: int) -> None:
    fewer = tokens[:at] + tokens[at + 1 :]
    lost = len(tokens) - len(fewer)
    kept = 1 - lost / len(tokens) if tokens else 1
    assert token_agreement(tokens, fewer) == pytest.approx(kept)


@given(ids)
def test_places_that_differ_are_counted(tokens: list[int]) -> None:
    assert share_equal(tokens, tokens) == 1
    assert share_equal(tokens, [t + 1 for t in tokens]) == (0 if tokens else 1)


def test_only_frames_that_both_vads_heard_are_compared() -> None:
    assert frame_agreement([0.9, 0.1], [0.5, 0.4]) == 1
    assert frame_agreement([0.9, 0.1], [0.9, 0.1, 0.1, 0.1]) == 1, "the turn ended later"
    assert frame_agreement([0.9, 0.1, 0.1, 0.1], [0.9, 0.9, 0.9, 0.9, 0.9]) == 0.25, "hears on"
    assert frame_agreement([], []) == 0
    assert frame_agreement([0.9, 0.49], [0.9, 0.5]) == 0.5
