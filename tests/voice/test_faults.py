"""Stages in processes that are killed, hang or are interrupted: the next turn works."""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import application
import numpy as np
import psutil
import pytest

from toolchain.errors import ToolError
from toolchain.formats.audio import Audio, Samples, read_wav
from toolchain.voice import remote
from toolchain.voice.assistant import Assistant, Exchange, Manner
from toolchain.voice.clock import Clock
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.remote import Remote
from toolchain.voice.running import Cancellation, Cancelled
from toolchain.voice.stage import FRAME_MS, FRAME_SAMPLES

STORY = "Tell me a long story about the sea."
SILENCE = np.zeros(FRAME_SAMPLES, np.float32)
SHELF = Path("/dev/shm")  # noqa: S108 - where Linux keeps shared memory
linux = pytest.mark.skipif(not SHELF.is_dir(), reason="counts what Linux shows")


def soon(happens: Callable[[], bool], limit_s: float = 10) -> bool:
    deadline = time.monotonic() + limit_s
    while not happens() and time.monotonic() < deadline:
        time.sleep(0.005)
    return happens()


def shared() -> set[str]:
    return {block.name for block in SHELF.iterdir()} if SHELF.is_dir() else set()


@pytest.fixture(scope="module")
def apart(files: dict[str, Path]) -> Iterator[Pipeline]:
    stages = remote.load(application.voice(), files)
    yield stages
    remote.close([stages.vad, stages.stt, stages.llm, stages.tts])


@pytest.fixture(scope="module")
def fox(files: dict[str, Path]) -> Samples:
    return read_wav(files["audio/quick_brown_fox.wav"].read_bytes()).samples


class Session:
    """A conversation that is told turn by turn what is said."""

    def __init__(self, stages: Pipeline, patience_ms: float = 20_000) -> None:
        self.clock = Clock()
        manner = Manner(silence_frames=8, answer_frames=2, sure_frames=8, patience_ms=patience_ms)
        self.assistant = Assistant(stages, manner, self.clock, where="a turn", remembers=True)
        self.frames = 0

    def deliver(self, samples: Samples) -> None:
        padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
        for frame in padded.reshape(-1, FRAME_SAMPLES):
            self.frames += 1
            self.assistant.work(self.frames * FRAME_MS)
            self.clock.arrive(self.frames * FRAME_MS)
            self.assistant.hear(frame)

    def turn(self, said: Samples) -> list[Exchange]:
        """Say something and wait until it was answered; return what became of it."""
        before = len(self.assistant.exchanges)
        self.deliver(said)
        for _ in range(2_000):
            found = self.assistant.exchanges[before:]
            if found and self.assistant.answered and not self.assistant.speaking:
                return found
            self.deliver(SILENCE)
        raise AssertionError("no end of the turn")


def sounds(one: Exchange) -> list[Audio]:
    return [e.made for e in one.events if isinstance(e.made, Audio)]


class Killer:
    """Kills a stage's process in the middle of its work on an answer."""

    def __init__(self, stage: Remote) -> None:
        self._stage, self.done = stage, threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not self.done.is_set():
            if soon(self._stage._lock.locked, 1):
                os.kill(self._stage.pid, signal.SIGSTOP)
                time.sleep(0.05)  # who has had its answer by now has let go
                if self._stage._lock.locked():
                    self.done.set()
                    os.kill(self._stage.pid, signal.SIGKILL)
                else:
                    os.kill(self._stage.pid, signal.SIGCONT)


def killed(session: Session, stage: Remote, said: Samples) -> Exchange:
    """Return the turn in which ``stage`` was killed.

    Again if nobody noticed, since it was killed while it forgot what came before, or while it made
    what was thrown away: then it was started again in time.
    """
    for _ in range(4):
        killer = Killer(stage)
        turn = session.turn(said)[0]
        assert killer.done.is_set()
        if turn.error is not None:
            break
        assert sounds(turn), "what is not an error is a whole answer"
    return turn


def test_a_killed_process_ends_its_turn_and_the_next_one_works(
    apart: Pipeline, fox: Samples
) -> None:
    session = Session(apart)
    for stage in ("llm", "vad", "tts", "stt"):  # of the vad's turn the rest is heard and answered
        failed = killed(session, getattr(apart, stage), fox)
        assert isinstance(failed.error, ToolError)
        assert str(failed.error) == f"stage {stage}: its process ended with -9"
        if stage in {"llm", "stt"}:
            whole = session.turn(fox)[-1]
            assert whole.error is None
            assert sounds(whole)
    session.assistant.close()


def test_a_vad_that_hangs_is_stopped_named_and_started_again(apart: Pipeline, fox: Samples) -> None:
    session = Session(apart, patience_ms=400)
    session.deliver(fox[: 4 * FRAME_SAMPLES])
    os.kill(apart.vad.pid, signal.SIGSTOP)  # type: ignore[attr-defined]  # a process
    start_s = time.monotonic()
    session.deliver(SILENCE)
    (failed,) = session.assistant.exchanges
    assert str(failed.error) == "stage vad took longer than 0 s on a turn, and was stopped"
    assert time.monotonic() - start_s < 60
    session.assistant.close()
    after = Session(apart)
    after.deliver(fox[: 4 * FRAME_SAMPLES])
    assert after.assistant.exchanges == []
    after.assistant.close()


def test_a_process_that_hangs_is_killed_and_what_it_was_asked_ends(apart: Pipeline) -> None:
    llm: Remote = apart.llm  # type: ignore[assignment]
    threads, pid = threading.active_count(), llm.pid
    tokens = llm.stream([STORY])
    next(tokens)
    os.kill(pid, signal.SIGSTOP)
    cancellation, ended = Cancellation(), threading.Event()

    def ask() -> None:
        with cancellation.applied(), pytest.raises(Cancelled):
            next(tokens)
        ended.set()

    threading.Thread(target=ask, daemon=True).start()
    assert soon(llm._lock.locked)
    cancellation.cancel()
    assert ended.wait(8)
    assert soon(lambda: not psutil.pid_exists(pid))
    assert next(llm.stream(["Hello"])).id >= 0
    assert soon(lambda: threading.active_count() <= threads)


@pytest.mark.parametrize("stage", ["stt", "llm", "tts"])
def test_speech_into_an_answer_stops_the_process_that_works_on_it_within_a_frame(
    apart: Pipeline, fox: Samples, stage: str
) -> None:
    worker: Remote = getattr(apart, stage)
    took = (stopping_ms(Session(apart), worker, fox) for _ in range(10))
    assert any(ms < FRAME_MS for ms in took), "once in ten, on a machine that others use too"


def stopping_ms(session: Session, worker: Remote, fox: Samples) -> float:
    """Return how long it takes to stop ``worker`` in the middle of an answer."""
    assistant = session.assistant
    for at in range(0, len(fox) + 8 * FRAME_SAMPLES, FRAME_SAMPLES):
        session.deliver(fox[at : at + FRAME_SAMPLES] if at < len(fox) else SILENCE)
        if assistant._work is not None:
            break
    assert soon(worker._lock.locked), "it works now"
    took_ms = assistant._stop()
    assert not worker._lock.locked(), "nothing is in flight"
    assistant.close()
    return took_ms


def test_a_stream_whose_process_died_between_two_pieces_is_no_whole_answer(apart: Pipeline) -> None:
    llm: Remote = apart.llm  # type: ignore[assignment]
    tokens = llm.stream([STORY])
    next(tokens)
    os.kill(llm.pid, signal.SIGKILL)
    assert soon(lambda: not llm._process.is_alive())
    with pytest.raises(ToolError, match="stage llm: its process ended with -9"):
        list(tokens)
    again = llm.stream([STORY])
    next(again)
    os.kill(llm.pid, signal.SIGKILL)
    assert soon(lambda: not llm._process.is_alive())
    assert next(llm.stream(["Hello"])).id >= 0, "somebody else has started it again"
    with pytest.raises(ToolError, match="its process ended"):
        list(again)


def test_a_conversation_outlives_its_process(apart: Pipeline, llm: object) -> None:
    stage: Remote = apart.llm  # type: ignore[assignment]
    here, there = llm.talk(), stage.talk()  # type: ignore[attr-defined]
    for question in ("My name is Ada.", "I like the sea."):
        assert list(here.reply(question)) == list(there.reply(question))
        here.keep()
        there.keep()
    os.kill(stage.pid, signal.SIGKILL)
    assert soon(lambda: not stage._process.is_alive())
    there.keep()  # of a question that nobody asked: no error, nothing to keep
    assert there.remembered == here.remembered
    next(there.reply("What is my name?"))
    there.keep()
    assert there.remembered[:2] == here.remembered, "its new process has been told"


def test_what_is_asked_with_a_source_that_fails_does_not_mix_up_the_next(apart: Pipeline) -> None:
    stt: Remote = apart.stt  # type: ignore[assignment]

    def broken() -> Iterator[Samples]:
        raise KeyError("no chunk")
        yield SILENCE

    with pytest.raises(KeyError, match="no chunk"):
        next(stt.stream(broken()))
    (text,) = stt.stream([np.zeros(16_000, np.float32)])
    assert isinstance(text, str)


@linux
def test_nothing_is_left_after_many_faults_but_what_was_there_before(
    files: dict[str, Path], counting: Samples
) -> None:
    def left() -> tuple[int, int, int, int]:
        gc.collect()
        children = [p for p in psutil.Process().children() if p.status() != psutil.STATUS_ZOMBIE]
        open_files = len(list(Path("/proc/self/fd").iterdir()))
        return open_files, threading.active_count(), len(children), len(shared())

    frames = counting[: FRAME_SAMPLES * 8].reshape(-1, FRAME_SAMPLES)
    one = Remote("vad", application.voice(), files)
    whole = list(one.stream(frames))
    before = left()
    for fault in range(4):
        heard = one.stream(frames)
        next(heard)
        os.kill(one.pid, signal.SIGKILL)
        with pytest.raises(ToolError):
            list(heard)
        if fault % 2:
            begun = one.stream(frames)
            next(begun)
            begun.close()
    assert list(one.stream(frames)) == whole
    assert left() == before
    one.close()
    assert left()[3] == before[3] - 2
    with pytest.raises(ToolError, match="stage vad was closed"):
        next(one.stream(frames))


PARENT = """
import json, sys, time
import application
from toolchain.voice.remote import Remote
if __name__ == "__main__":
    one = Remote("vad", application.voice(), json.loads(sys.argv[1]))
    one.ready()
    print(one.pid, *(block.name for block in one._blocks), flush=True)
    time.sleep(60)
"""


@linux
def test_who_started_a_process_and_is_killed_leaves_neither_it_nor_its_memory(
    files: dict[str, Path], tmp_path: Path
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT, "utf-8")
    paths = json.dumps({name: str(path) for name, path in files.items()})
    parent = subprocess.Popen(
        [sys.executable, str(script), paths],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert parent.stdout is not None
    pid, *blocks = parent.stdout.readline().split()
    assert set(blocks) <= shared()
    parent.kill()
    parent.wait(timeout=10)
    assert soon(lambda: not psutil.pid_exists(int(pid)))
    assert soon(lambda: not set(blocks) & shared())
    parent.stdout.close()
