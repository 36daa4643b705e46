"""Two sounds are compared to the ear although one is slower here and faster there."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toolchain.formats.audio import Audio, resample
from toolchain.harness.warping import _aligned, length_change, warped_distance_db
from toolchain.tasks.questions.spectra import distance_db

RATE_HZ = 16_000


def syllables(*hertz: float, seconds: float = 0.2) -> Audio:
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    parts = [np.sin(2 * np.pi * h * times) * np.hanning(len(times)) for h in hertz]
    return Audio(np.concatenate(parts).astype(np.float32), RATE_HZ)


def noise(seconds: float) -> Audio:
    drawn = np.random.default_rng(1).normal(0, 0.1, round(seconds * RATE_HZ))
    return Audio(drawn.astype(np.float32), RATE_HZ)


def test_a_sound_is_no_way_from_itself() -> None:
    sound = syllables(300, 900, 500)
    assert warped_distance_db(sound, sound) == 0
    assert length_change(sound, sound) == 0


def test_one_slow_syllable_is_near_and_another_syllable_is_far() -> None:
    said = syllables(300, 900, 500)
    slower = np.concatenate(
        [syllables(300).samples, syllables(900, seconds=0.26).samples, syllables(500).samples]
    )
    other = syllables(300, 2000, 500)
    near = warped_distance_db(said, Audio(slower, RATE_HZ))
    assert near < 2
    assert warped_distance_db(said, other) > 4 * near
    assert length_change(said, Audio(slower, RATE_HZ)) == pytest.approx(0.1)


def test_noise_instead_of_speech_is_far_away() -> None:
    assert warped_distance_db(syllables(300, 900, 500), noise(0.6)) > 20


def test_what_is_no_number_is_farther_than_silence() -> None:
    said = syllables(300, 900)
    silent = Audio(np.zeros_like(said.samples), RATE_HZ)
    broken = Audio(np.full_like(said.samples, np.nan), RATE_HZ)
    far, farther = warped_distance_db(said, silent), warped_distance_db(said, broken)
    assert 0 < far < farther < 200


def test_another_sample_rate_is_no_other_sound() -> None:
    said = syllables(300, 900, 500)
    twice = Audio(resample(said.samples, RATE_HZ, 2 * RATE_HZ), 2 * RATE_HZ)
    assert warped_distance_db(said, twice) < 1
    assert length_change(said, twice) == 0


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from([200, 700, 1500]), min_size=2, max_size=4), st.integers(0, 9))
def test_aligned_is_never_farther_than_in_step(hertz: list[float], seed: int) -> None:
    one = syllables(*hertz)
    drawn = np.random.default_rng(seed).normal(0, 0.01, len(one.samples))
    two = Audio((one.samples + drawn).astype(np.float32), RATE_HZ)
    assert warped_distance_db(one, two) <= distance_db(one, two) + 1e-9


def test_the_cheapest_way_is_found() -> None:
    assert _aligned(np.array([[1.0]])) == 1
    costs = np.array([[0, 5, 9], [5, 0, 9], [9, 0, 9], [9, 9, 0.0]])
    assert _aligned(costs) == 0
    assert _aligned(np.ones((3, 7))) == 1, "weights add up to the lengths"
