"""Stages in processes of their own: the same answers, cancelled, killed and started again."""

import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import application
import numpy as np
import pytest

from toolchain.errors import InputError, ToolError
from toolchain.formats.audio import Samples
from toolchain.voice.remote import Remote
from toolchain.voice.running import Cancellation, Cancelled
from toolchain.voice.stage import FRAME_SAMPLES, Llm, Stt, Tts, Vad


def frames(samples: Samples) -> Samples:
    whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
    return samples[:whole].reshape(-1, FRAME_SAMPLES)


@pytest.fixture(scope="module", params=["vad", "stt", "llm", "tts"])
def stage(request: pytest.FixtureRequest, files: dict[str, Path]) -> Iterator[Remote]:
    one = Remote(request.param, application.voice(), files)
    yield one
    one.close()


@pytest.fixture(scope="module")
def llm_apart(files: dict[str, Path]) -> Iterator[Remote]:
    one = Remote("llm", application.voice(), files)
    yield one
    one.close()


def test_a_stage_in_another_process_says_the_same(  # noqa: PLR0913, PLR0917 - one of four
    stage: Remote, vad: Vad, stt: Stt, llm: Llm, tts: Tts, counting: Samples
) -> None:
    chunks = {
        "vad": list(frames(counting)),
        "stt": [counting, counting[: len(counting) // 2]],
        "llm": ["What is the capital of France?", "Hello"],
        "tts": ["Hello there.", "Two. Three."],
    }[stage.stage]
    here = {"vad": vad, "stt": stt, "llm": llm, "tts": tts}[stage.stage]
    ours, theirs = list(here.stream(chunks)), list(stage.stream(chunks))
    if stage.stage == "tts":
        assert [s.rate_hz for s in ours] == [s.rate_hz for s in theirs]
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a.samples, b.samples)
    else:
        assert ours == theirs
    assert len(stage.overhead.calls_ms) >= len(theirs)
    assert min(stage.overhead.calls_ms) >= 0, "work cannot take longer than the call around it"


def test_two_streams_of_one_process_do_not_mix(stage: Remote, counting: Samples) -> None:
    chunks = {
        "vad": list(frames(counting))[:20],
        "stt": [counting, counting[:20_000]],
        "llm": ["What is the capital of France?"],
        "tts": ["One. Two. Three."],
    }[stage.stage]
    alone = list(stage.stream(chunks))
    first, second = stage.stream(chunks), stage.stream(chunks)
    mixed = [(a, b) for a, b in zip(first, second, strict=True)]
    assert repr([a for a, _ in mixed]) == repr(alone) == repr([b for _, b in mixed])


def test_an_answer_that_is_dropped_leaves_the_process_ready(llm_apart: Remote) -> None:
    begun = llm_apart.stream(["Tell me a long story about the sea."])
    first = next(begun)
    begun.close()
    assert next(llm_apart.stream(["Tell me a long story about the sea."])) == first


def test_a_stream_that_is_collected_while_another_is_asked_blocks_nobody(llm_apart: Remote) -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self
            self.begun = llm_apart.stream(["Tell me a long story about the sea."])
            next(self.begun)

    def questions() -> Iterator[str]:
        gc.collect()  # in the middle of a call, with the lock held
        yield "Hello"

    Cycle()
    assert next(llm_apart.stream(questions())).id >= 0
    assert not llm_apart._dropped or next(llm_apart.stream(["Hello"]))


def test_a_cancellation_stops_the_model_in_the_other_process(llm_apart: Remote) -> None:
    cancellation = Cancellation()
    with cancellation.applied():
        tokens = llm_apart.stream(["Tell me a long story about the sea."])
        next(tokens)
        cancellation.cancel()
        with pytest.raises(Cancelled):
            next(tokens)
    assert next(llm_apart.stream(["Hello"])).id >= 0


def test_a_conversation_in_another_process_remembers(llm_apart: Remote, llm: Llm) -> None:
    here, there = llm.talk(), llm_apart.talk()
    for question in ("My name is Ada.", "What is my name?"):
        assert list(here.reply(question)) == list(there.reply(question))
        here.keep()
        there.keep()


def test_a_process_that_was_killed_is_an_error_and_is_started_again(llm_apart: Remote) -> None:
    expected = next(llm_apart.stream(["Hello"]))
    os.kill(llm_apart.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{llm_apart.pid}").exists() and time.monotonic() < deadline:
        if llm_apart._process.exitcode is not None:
            break
        time.sleep(0.01)
    assert next(llm_apart.stream(["Hello"])) == expected, "between turns nobody notices"
    tokens = llm_apart.stream(["Tell me a long story about the sea."])
    next(tokens)
    os.kill(llm_apart.pid, signal.SIGKILL)
    with pytest.raises(ToolError, match="stage llm: its process ended with -9"):
        list(tokens)
    assert next(llm_apart.stream(["Hello"])) == expected


def test_a_model_that_cannot_be_opened_is_the_same_error_as_here(
    files: dict[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "vad.onnx"
    broken.write_bytes(b"no model")
    one = Remote("vad", application.voice(), {**files, "models/silero_vad.onnx": broken})
    with pytest.raises(InputError, match="cannot be opened as a model"):
        one.ready()
    one.close()


def test_nothing_is_left_in_shared_memory(files: dict[str, Path]) -> None:
    shelf = Path("/dev/shm")  # noqa: S108 - where Linux keeps it
    if not shelf.is_dir():
        pytest.skip("no /dev/shm here")
    before = set(shelf.iterdir())
    one = Remote("vad", application.voice(), files)
    one.ready()
    assert set(shelf.iterdir()) - before
    one.close()
    assert set(shelf.iterdir()) <= before
