"""Turns with real models: prepared, thrown away, decided, interrupted; and stages that fail."""

import itertools
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from toolchain.errors import InputError, ToolError, VtoolError
from toolchain.formats.audio import Audio, Samples, read_wav
from toolchain.voice.assistant import Assistant, Exchange, Manner
from toolchain.voice.clock import Clock
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import FRAME_MS, FRAME_SAMPLES, Llm, Stt, Tts, Vad

MANNER = Manner(silence_frames=8, answer_frames=2, sure_frames=8)
SIDES = pytest.mark.parametrize("threads", [False, True], ids=["in turn", "side by side"])


@pytest.fixture(scope="module")
def stages(vad: Vad, stt: Stt, llm: Llm, tts: Tts) -> Pipeline:
    return Pipeline(vad=vad, stt=stt, llm=llm, tts=tts)


@pytest.fixture(scope="module")
def hello(files: dict[str, Path]) -> Samples:
    return read_wav(files["audio/hello_world.wav"].read_bytes()).samples


@pytest.fixture(scope="module")
def fox(files: dict[str, Path]) -> Samples:
    return read_wav(files["audio/quick_brown_fox.wav"].read_bytes()).samples


def silence(ms: float) -> Samples:
    return np.zeros(round(ms * 16), np.float32)


def said(stages: Pipeline, manner: Manner, *parts: Samples, ms: float = 0) -> Assistant:
    """Let an assistant hear ``parts``, and then silence until it has heard ``ms`` altogether."""
    sound = np.concatenate(parts)
    frames = max(-(-len(sound) // FRAME_SAMPLES), round(ms / FRAME_MS))
    padded = np.pad(sound, (0, frames * FRAME_SAMPLES - len(sound)))
    clock = Clock()
    assistant = Assistant(stages, manner, clock, where="what was said")
    for number, frame in enumerate(padded.reshape(frames, FRAME_SAMPLES)):
        assistant.work((number + 1) * FRAME_MS)
        clock.arrive((number + 1) * FRAME_MS)
        assistant.hear(frame)
    assistant.close()
    return assistant


def sounds(one: Exchange) -> list[Audio]:
    return [e.made for e in one.events if isinstance(e.made, Audio)]


@SIDES
def test_two_things_said_are_two_exchanges_in_order(
    stages: Pipeline, hello: Samples, fox: Samples, *, threads: bool
) -> None:
    manner = replace(MANNER, threads=threads)
    first, second = said(stages, manner, hello, silence(20_000), fox, silence(20_000)).exchanges
    assert first.transcript == "Hello world."
    assert "lazy dog" in second.transcript
    assert sounds(first)
    assert sounds(second)
    assert first.error is None
    assert first.barged_in_ms is None


@SIDES
def test_both_ways_to_work_give_the_same_answer(
    stages: Pipeline, fox: Samples, *, threads: bool
) -> None:
    kept = said(stages, replace(MANNER, threads=not threads), fox, ms=20_000).exchanges[0]
    one = said(stages, replace(MANNER, threads=threads), fox, ms=20_000).exchanges[0]
    assert [e.made for e in one.events if e.stage == "llm"] == [
        e.made for e in kept.events if e.stage == "llm"
    ]
    for a, b in zip(sounds(one), sounds(kept), strict=True):
        assert np.array_equal(a.samples, b.samples)


@SIDES
def test_speech_into_an_answer_ends_it_within_a_frame_and_is_answered_itself(
    stages: Pipeline, hello: Samples, fox: Samples, *, threads: bool
) -> None:
    manner = replace(MANNER, threads=threads)
    before = threading.active_count()
    assistant = said(stages, manner, fox, silence(700), hello, silence(20_000))
    first, second = assistant.exchanges
    assert first.barged_in_ms is not None
    assert first.stopping_ms < FRAME_MS
    assert first.heard_until_ms <= first.barged_in_ms
    assert all(e.end_ms <= first.barged_in_ms + FRAME_MS for e in first.events)
    assert "world" in second.transcript.lower()
    assert sounds(second)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before, "the threads of the first answer have ended"


def test_a_click_is_no_utterance_and_does_not_interrupt(stages: Pipeline, fox: Samples) -> None:
    rng = np.random.default_rng(0)
    click = (rng.standard_normal(320) * 0.5).astype(np.float32)  # 20 ms of noise
    assistant = said(stages, MANNER, fox, silence(900), click, silence(20_000))
    assert len(assistant.exchanges) == 1
    assert assistant.exchanges[0].barged_in_ms is None


def test_a_whole_sentence_is_answered_sooner_than_half_of_one(
    stages: Pipeline, hello: Samples
) -> None:
    class Quick:
        """Understands at once: on a busy machine the real one may need more than the silence."""

        def __init__(self, text: str) -> None:
            self.text = text

        def stream(self, chunks: Iterable[Samples]) -> Iterator[str]:
            yield from (self.text for _ in chunks)

    def decided(text: str) -> float:
        heard = replace(stages, stt=Quick(text))
        manner = replace(MANNER, sure_frames=5)
        return float(said(heard, manner, hello, ms=9_000).exchanges[0].decided_ms or 0)

    assert decided("Hello") - decided("Hello.") == pytest.approx(3 * FRAME_MS, abs=FRAME_MS / 2)


def test_a_level_that_falls_prepares_the_answer_before_the_vad_is_sure(
    stages: Pipeline, fox: Samples
) -> None:
    loud = np.flatnonzero(np.abs(fox) > 0.05)[-1]  # the recording breaks off in its last word

    def prepared(quiet_db: float) -> float:
        manner = replace(MANNER, answer_frames=1, quiet_db=quiet_db)
        (one,) = said(stages, manner, fox[:loud], ms=9_000).exchanges
        return one.utterance_ms

    assert 0 < prepared(0) - prepared(30) <= 4 * FRAME_MS


def test_a_pause_is_prepared_once_however_level_and_vad_take_turns_in_it(
    stages: Pipeline, hello: Samples
) -> None:
    loud = np.flatnonzero(np.abs(hello) > 0.05)[-1]
    breath = np.tile([0.0] * 512 + [0.004] * 512, 4).astype(np.float32)
    manner = replace(MANNER, answer_frames=1, quiet_db=30)
    (one,) = said(stages, manner, hello[:loud], breath, ms=9_000).exchanges
    assert one.prepared <= 2


def test_in_steady_noise_only_the_vad_says_when_to_prepare(stages: Pipeline, fox: Samples) -> None:
    noise = np.random.default_rng(3).standard_normal(len(fox)).astype(np.float32) * 0.03
    sound = np.concatenate([fox + noise, noise])
    manner = replace(MANNER, answer_frames=1)
    without, with_level = (
        said(stages, replace(manner, quiet_db=db), sound, ms=9_000).exchanges[0] for db in (0, 30)
    )
    assert with_level.utterance_ms == without.utterance_ms


def test_what_is_prepared_in_a_pause_is_thrown_away_and_counted(
    stages: Pipeline, hello: Samples
) -> None:
    loud = np.flatnonzero(np.abs(hello) > 0.05)[-1]
    assistant = said(stages, MANNER, hello[:loud], silence(120), hello, ms=15_000)
    (one,) = assistant.exchanges
    assert one.prepared == 2
    assert one.wasted_ms > 0
    assert one.transcript.lower().count("hello") == 2


def test_nothing_is_heard_before_the_end_of_speech_is_decided(
    stages: Pipeline, hello: Samples
) -> None:
    late = replace(MANNER, silence_frames=50, sure_frames=50)
    (one,) = said(stages, late, hello, ms=15_000).exchanges
    assert one.decided_ms is not None
    spoken_ms = sum(1000 * s.seconds for s in sounds(one))
    assert one.heard_until_ms >= one.decided_ms + spoken_ms - 1e-6
    made_ms = next(e.end_ms for e in one.events if isinstance(e.made, Audio))
    assert made_ms < one.decided_ms, "it was ready, and waited"


def test_speech_that_never_pauses_is_taken_after_its_most_frames(
    stages: Pipeline, fox: Samples
) -> None:
    short = replace(MANNER, most_frames=40)
    first = said(stages, short, fox[4_000:36_000], fox[4_000:36_000], ms=9_000).exchanges[0]
    assert first.utterance_ms == pytest.approx(40 * FRAME_MS, abs=FRAME_MS)


class Failing:
    """A stage that fails as told: the fault that is injected."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.release = threading.Event()

    def stream(self, chunks: Iterable[object]) -> Iterator[object]:
        for _ in chunks:
            if self.fault == "raises":
                raise RuntimeError("damaged")
            if self.fault == "has a defect":
                raise KeyError("damaged")
            if self.fault == "refuses":
                raise InputError("damaged", hint="another one")
            if self.fault == "hangs":
                self.release.wait(30)
            yield from ()


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
@SIDES
def test_a_stage_that_raises_ends_its_turn_and_the_session_goes_on(
    stages: Pipeline, hello: Samples, stage: str, *, threads: bool
) -> None:
    broken = replace(stages, **{stage: Failing("raises")})
    manner = replace(MANNER, threads=threads)
    first, second = said(broken, manner, hello, silence(8_000), hello, silence(8_000)).exchanges
    for one in (first, second):
        assert isinstance(one.error, ToolError)
        assert str(one.error) == f"stage {stage} failed on what was said: damaged"


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [("refuses", InputError, "damaged"), ("has a defect", ToolError, "KeyError: 'damaged'")],
)
def test_whatever_a_stage_raises_names_it_and_ends_its_turn_only(
    stages: Pipeline, hello: Samples, fault: str, kind: type[VtoolError], told: str
) -> None:
    broken = replace(stages, stt=Failing(fault))
    first, second = said(broken, MANNER, hello, silence(2_000), hello, silence(2_000)).exchanges
    for one in (first, second):
        assert type(one.error) is kind
        assert str(one.error) == f"stage stt failed on what was said: {told}"


def test_the_clock_does_not_jump_over_work_while_enough_waits_to_be_heard(
    stages: Pipeline, fox: Samples
) -> None:
    manner = replace(MANNER, lead_ms=1)
    (one,) = said(stages, manner, fox, ms=20_000).exchanges
    tokens = [e.ms for e in one.events if e.stage == "llm"]
    assert len(tokens) > 10
    assert max(tokens) < 1_000, "20 ms of work, where it jumped 2 s"


def test_a_vad_that_fails_while_an_answer_is_made_leaves_the_answer(
    stages: Pipeline, hello: Samples
) -> None:
    class Failing:
        def stream(self, chunks: Iterable[Samples]) -> Iterator[float]:
            for number, probability in enumerate(stages.vad.stream(chunks)):
                if number == 60:
                    raise RuntimeError("damaged")
                yield probability

    late = replace(MANNER, lead_ms=1)
    first, second, *_ = said(replace(stages, vad=Failing()), late, hello, ms=9_000).exchanges
    assert first.error is None
    assert sounds(first)
    assert str(second.error) == "stage vad failed on what was said: damaged"


def test_a_vad_that_ends_is_an_error_and_begins_anew(stages: Pipeline, hello: Samples) -> None:
    class Ending:
        def stream(self, chunks: Iterable[Samples]) -> Iterator[float]:
            yield from itertools.islice(stages.vad.stream(chunks), 100)

    exchanges = said(replace(stages, vad=Ending()), MANNER, hello, ms=4_000).exchanges
    assert "stage vad gave no probability" in str(exchanges[-1].error)


def test_an_assistant_that_is_closed_leaves_no_thread(stages: Pipeline, fox: Samples) -> None:
    before = threading.active_count()
    assistant = said(stages, replace(MANNER, lead_ms=1), fox, silence(300))
    assert assistant.exchanges
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before


def test_a_vad_that_raises_fails_frame_by_frame_and_listens_again(
    stages: Pipeline, hello: Samples
) -> None:
    class Once:
        failed = False

        def stream(self, chunks: Iterable[Samples]) -> Iterator[float]:
            for number, probability in enumerate(stages.vad.stream(chunks)):
                if number == 5 and not Once.failed:
                    Once.failed = True
                    raise RuntimeError("damaged")
                yield probability

    first, second = said(replace(stages, vad=Once()), MANNER, hello, ms=9_000).exchanges
    assert "stage vad failed" in str(first.error)
    assert sounds(second)


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
def test_a_stage_that_hangs_is_named_and_left(stages: Pipeline, hello: Samples, stage: str) -> None:
    hanging = Failing("hangs")
    broken = replace(stages, **{stage: hanging})
    manner = replace(MANNER, threads=True, patience_ms=1_000)
    start_s = time.monotonic()
    clock = Clock(real_time=True)
    assistant = Assistant(broken, manner, clock, where="what was said")
    frames = np.pad(hello, (0, -len(hello) % FRAME_SAMPLES + 70 * FRAME_SAMPLES))
    for number, frame in enumerate(frames.reshape(-1, FRAME_SAMPLES)):
        assistant.work((number + 1) * FRAME_MS)
        clock.arrive((number + 1) * FRAME_MS)
        assistant.hear(frame)
    hanging.release.set()
    assert str(assistant.exchanges[0].error).startswith(f"stage {stage} took longer than")
    assert time.monotonic() - start_s < 45


@SIDES
def test_silence_understood_is_answered_with_nothing(
    stages: Pipeline, hello: Samples, *, threads: bool
) -> None:
    class Deaf:
        def stream(self, chunks: Iterable[Samples]) -> Iterator[str]:
            for _ in chunks:
                yield ""

    manner = replace(MANNER, threads=threads)
    (one,) = said(replace(stages, stt=Deaf()), manner, hello, ms=8_000).exchanges
    assert one.error is None
    assert [e.stage for e in one.events] == ["stt"]


def test_soft_words_after_loud_ones_are_understood_too(stages: Pipeline, fox: Samples) -> None:
    """Whoever turns away from the microphone still speaks, as the VAD hears."""
    loud, soft = len(fox) * 45 // 100, 10 ** (-30 / 20)
    sound = np.concatenate([fox[:loud], fox[loud:] * soft]) * 0.9 / np.abs(fox).max()
    manner = replace(MANNER, answer_frames=1)
    without, with_level = (
        said(stages, replace(manner, quiet_db=db), sound, ms=9_000).exchanges[0] for db in (0, 30)
    )
    assert with_level.transcript == without.transcript
    assert "lazy dog" in with_level.transcript
