"""Recordings become disjoint questions, the same every time."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import recorded_speech
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Audio, write_wav
from toolchain.tasks.base import Split
from toolchain.tasks.questions.audio import SHARE, Clip, clips, divided, scenes


def clip(name: str, seconds: float, voice: str = "") -> Clip:
    """Return a tone; those of other names (or voices) are other ones."""
    pitch = 20 + zlib.crc32((voice or name).encode()) % 10_007 / 500
    wave = np.sin(np.arange(int(seconds * 16_000)) / pitch).astype(np.float32)
    return Clip(name, wave)


def contents(parts: Mapping[Split, tuple[Clip, ...]]) -> list[bytes]:
    return [c.samples.tobytes() for some in parts.values() for c in some]


lengths = st.lists(st.floats(0.1, 9.0), min_size=3, max_size=30)


@given(lengths)
def test_every_clip_is_in_one_split_and_no_split_is_empty(seconds: list[float]) -> None:
    found = [clip(str(n), s) for n, s in enumerate(seconds)]
    parts = divided(found)
    assert sorted(contents(parts)) == sorted(c.samples.tobytes() for c in found)
    assert all(parts.values())


def test_a_recording_under_many_names_is_in_one_split() -> None:
    found = [clip(str(n), 3.0, voice=str(n % 4)) for n in range(12)]
    seen = contents(divided(found))
    assert len(set(seen)) == len(seen) == 4


def test_copies_change_nothing_of_how_the_others_are_divided() -> None:
    found = [clip(str(n), 1.0 + n % 5) for n in range(12)]
    copies = [clip(f"z{n}", 1.0 + n % 5, voice=str(n)) for n in (0, 3, 7)]
    assert contents(divided([*found, *copies])) == contents(divided(found))


def test_one_recording_under_three_names_is_too_little() -> None:
    same = [clip(name, 2.0, voice="one") for name in ("a.wav", "b/a.wav", "c/a copy.wav")]
    with pytest.raises(ConfigError, match="1 different pieces"):
        divided(same)


def test_the_recordings_in_use_are_all_different() -> None:
    found = clips(recorded_speech.recordings(), ["*.wav"])
    assert sorted(contents(divided(found))) == sorted(c.samples.tobytes() for c in found)


def test_the_splits_have_their_shares() -> None:
    parts = divided(clips(recorded_speech.recordings(), ["*.wav"]))
    whole = sum(c.seconds for some in parts.values() for c in some)
    for split, some in parts.items():
        assert abs(sum(c.seconds for c in some) / whole - SHARE[split]) < 0.03


def test_what_is_held_back_is_for_the_confirmation() -> None:
    found = [clip(str(n), 3.0) for n in range(9)]
    parts = divided(found, last=lambda c: c.name in {"0", "5"})
    assert {"0", "5"} <= {c.name for c in parts[Split.CONFIRMATION]}


def test_a_copy_of_what_is_held_back_is_not_asked_before() -> None:
    found = [clip("a copy", 3.0, voice="held"), *(clip(str(n), 3.0) for n in range(6))]
    found.append(clip("held", 3.0))
    parts = divided(found, last=lambda c: c.name == "held")
    assert "held" in {c.name for c in parts[Split.CONFIRMATION]}
    assert len(contents(parts)) == 7


@pytest.mark.parametrize(
    ("held", "empty"),
    [({"0", "1", "2", "3"}, "calibration, search$"), ({"1", "2", "3"}, "calibration|search")],
)
def test_to_hold_back_so_much_that_a_split_is_empty_is_refused(held: set[str], empty: str) -> None:
    found = [clip(str(n), 3.0) for n in range(4)]
    with pytest.raises(ConfigError, match=empty) as caught:
        divided(found, last=lambda c: c.name in held)
    assert f"{len(held)} of them held" in str(caught.value)
    assert "held" in caught.value.hint


def test_a_long_recording_is_cut_in_its_pauses_and_nothing_is_lost(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    words = [0.3 * generator.standard_normal(int(1.7 * 16_000)) for _ in range(12)]
    spoken = np.concatenate([np.pad(w, (0, 1_600)) for w in words]).astype(np.float32)
    (tmp_path / "a.wav").write_bytes(write_wav(Audio(spoken, 16_000)))
    found = clips({"a.wav": tmp_path / "a.wav"}, ["*.wav"])
    assert len(found) >= 3
    assert sum(len(c.samples) for c in found) == len(spoken)
    for piece in found[:-1]:
        assert 5.0 <= piece.seconds <= 9.0
        assert not np.any(piece.samples[-300:])


def test_a_text_beside_a_recording_is_what_is_said_in_it() -> None:
    found = {c.name: c.text for c in clips(recorded_speech.recordings(), ["speech/en/*.wav"])}
    assert found["speech/en/hello_world.wav"] == "Hello world."


def test_a_file_that_is_no_sound_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"MP3?" * 20)
    with pytest.raises(InputError, match=r"^songs/a.wav: wav: no RIFF"):
        clips({"songs/a.wav": tmp_path / "a.wav"}, ["*.wav"])


def test_scenes_are_long_enough_and_have_speech_noise_and_silence() -> None:
    made = scenes([clip(str(n), 2.0 + n) for n in range(4)], 200.0, seed=1)
    total = sum(len(s.samples) for s in made) / 16_000
    assert 200 <= total < 215
    assert {s.kind for s in made} == {"speech", "noise", "silence"}
    assert all(s.samples.dtype == np.float32 for s in made)
    assert all(np.abs(s.samples).max() <= 1 for s in made)


def test_the_same_seed_makes_the_same_scenes_and_another_one_others() -> None:
    found = [clip(str(n), 2.0) for n in range(4)]
    first, again, other = (scenes(found, 30.0, seed=seed) for seed in (1, 1, 2))
    assert [s.samples.tobytes() for s in first] == [s.samples.tobytes() for s in again]
    assert not {s.samples.tobytes() for s in first} & {s.samples.tobytes() for s in other}


def test_noise_is_as_loud_as_it_is_said_to_be() -> None:
    found = [clip(str(n), 4.0) for n in range(11)]
    for scene in scenes(found, 150.0, seed=3):
        if scene.name.endswith("in pink noise at 5 dB"):
            middle = scene.samples[24_000:60_000].astype(np.float64)
            assert np.sqrt((middle**2).mean()) == pytest.approx(0.05 * np.hypot(1, 0.562), rel=0.1)
            return
    pytest.fail("no scene in pink noise")
