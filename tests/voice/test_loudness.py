"""A pause is heard from the level: at once, relative to the speech before it, whatever its gain."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.voice.loudness import Loudness
from toolchain.voice.stage import FRAME_SAMPLES

levels = st.lists(st.sampled_from([0.0, 1e-4, 1e-3, 0.01, 0.1, 0.5]), max_size=20)


def after(heard: list[float], range_db: float = 30) -> Loudness:
    frames = [np.full(FRAME_SAMPLES, level, np.float32) for level in heard]
    return reduce(lambda known, frame: known.after(frame, range_db, spoken=0), frames, Loudness())


def test_what_is_within_the_range_is_speech_and_what_is_below_a_pause() -> None:
    assert after([0.5, 0.5 * 10 ** (-29 / 20)]).quiet == 0
    assert after([0.5, 0.5 * 10 ** (-31 / 20)]).quiet == 1


def test_one_loud_part_makes_the_whole_frame_loud() -> None:
    frame = np.zeros(FRAME_SAMPLES, np.float32)
    frame[200:400] = 0.4
    assert after([0.5]).after(frame, 30, spoken=1).quiet == 0


@given(levels, st.sampled_from([0.25, 0.5, 2.0]))
def test_the_gain_of_the_microphone_changes_no_pause(heard: list[float], gain: float) -> None:
    assert after([level * gain for level in heard]).quiet == after(heard).quiet


@given(levels)
def test_a_pause_is_as_long_as_the_quiet_end_of_what_was_heard(heard: list[float]) -> None:
    peaks = [max(heard[: n + 1]) for n in range(len(heard))]
    quiet = [level**2 < peak**2 / 1000 for level, peak in zip(heard, peaks, strict=True)]
    expected = next((n for n, q in enumerate(reversed(quiet)) if not q), len(quiet))
    assert after(heard).quiet == pytest.approx(expected)


@given(st.lists(st.tuples(st.sampled_from([0.5, 0.001]), st.booleans()), max_size=30))
def test_what_the_detector_goes_on_hearing_is_soft_speech_and_no_pause(
    heard: list[tuple[float, bool]],
) -> None:
    known, spoken, quiet = Loudness(), 0, 0
    since: list[bool] = []  # what the detector has taken for speech since it was loud
    for level, speech in [(0.5, True), *heard]:
        spoken += speech
        known = known.after(np.full(FRAME_SAMPLES, level, np.float32), 30, spoken)
        quiet, since = (0, []) if level == 0.5 else (quiet + 1, [*since, speech])
        assert known.pause == (quiet if sum(since) <= 4 else 0)
