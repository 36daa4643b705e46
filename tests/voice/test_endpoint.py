"""Speech begins at one threshold and ends below another."""

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from toolchain.voice.endpoint import Endpoint

probabilities = st.lists(st.sampled_from([0.0, 0.34, 0.35, 0.4, 0.49, 0.5, 0.9, 1.0]))


def after(*heard: float) -> Endpoint:
    return reduce(Endpoint.after, heard, Endpoint())


def test_silence_before_speech_is_not_silence_after_it() -> None:
    assert after(0.1, 0.1, 0.1) == Endpoint(frames=3, began=None, silent=0)


def test_a_doubtful_frame_continues_what_was() -> None:
    assert after(0.9, 0.4, 0.4).silent == 0, "speech goes on"
    assert after(0.9, 0.1, 0.4).silent == 2, "silence goes on"
    assert after(0.4).began is None, "nothing began"


def test_speech_again_forgets_the_pause() -> None:
    assert after(0.9, 0.1, 0.1, 0.9) == Endpoint(frames=4, began=0, spoken=2, silent=0)


@given(probabilities)
def test_what_is_known_is_possible(heard: list[float]) -> None:
    known = after(*heard)
    loud = [i for i, p in enumerate(heard) if p >= 0.5]
    assert known.frames == len(heard)
    assert known.began == (loud[0] if loud else None)
    assert known.spoken == len(loud)
    assert known.silent <= (len(heard) - 1 - loud[-1] if loud else 0)
