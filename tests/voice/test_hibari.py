"""Hibari says what it is given: the speech recognizer understands it."""

import numpy as np
import pytest

from toolchain.voice.stage import LISTENING_HZ, Stt, Tts


def test_what_is_spoken_is_understood(tts: Tts, stt: Stt) -> None:
    (sound,) = tts.stream(["The capital of France is Paris."])
    assert list(stt.stream([sound.at(LISTENING_HZ).samples])) == ["The capital of France is Paris."]


def test_the_same_text_always_sounds_the_same(tts: Tts) -> None:
    one, two = (next(tts.stream(["Good morning."])) for _ in range(2))
    np.testing.assert_array_equal(one.samples, two.samples)


def test_each_sentence_is_a_chunk_of_its_own(tts: Tts) -> None:
    sounds = tts.stream(["One sentence. And another one.", "A third."])
    assert len(list(sounds)) == 3


@pytest.mark.parametrize("text", ["", " ", "🙂", "\n"])
def test_what_has_no_sound_yields_nothing(tts: Tts, text: str) -> None:
    assert list(tts.stream([text])) == []


def test_a_rare_word_is_spelled_by_the_projects_own_model(tts: Tts) -> None:
    (sound,) = tts.stream(["Zyqqorblax"])
    assert sound.seconds > 0.3


def test_a_sentence_without_end_is_spoken_in_parts(tts: Tts) -> None:
    sounds = list(tts.stream(["very " * 300 + "long."]))
    assert len(sounds) > 1
    assert sum(s.seconds for s in sounds) > 60
