"""Conversations: what was said is known, answers are interrupted, memory is told turn by turn."""

from dataclasses import replace
from pathlib import Path

import application
import pytest

from toolchain.errors import ConfigError
from toolchain.formats.audio import read_wav
from toolchain.harness.conversation import Line, Remark, converse, growth
from toolchain.harness.conversing import converse as measured
from toolchain.harness.scenario import Conversation
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import FRAME_MS

ASKED = Conversation(
    silence_ms=256,
    sure_silence_ms=160,
    answer_after_ms=32,
    timeout_s=120,
    turns=4,
    pause_ms=300,
    interrupt_every=2,
    interrupt_after_ms=32,
)


def lines(files: dict[str, Path]) -> list[Line]:
    names = ("hello_world", "quick_brown_fox")
    return [Line(n, read_wav(files[f"audio/{n}.wav"].read_bytes()).samples) for n in names]


def talked(opened: Pipeline, files: dict[str, Path], asked: Conversation) -> list[Remark]:
    told: list[int] = []
    remarks = list(converse(opened, lines(files), asked, lambda turn, _: told.append(turn)))
    assert told == list(range(asked.turns)), "every turn is told before it is played"
    return remarks


@pytest.mark.alone
@pytest.mark.parametrize("placement", [0, 1])
def test_every_turn_is_heard_and_answered(
    opened: Pipeline, files: dict[str, Path], placement: int
) -> None:
    remarks = talked(opened, files, replace(ASKED, placement=placement))
    assert [r.clip for r in remarks] == ["hello_world", "quick_brown_fox"] * 2
    assert [r.transcript for r in remarks][:2] == [
        "Hello world.",
        "The quick brown fox jumps over the lazy dog.",
    ]
    assert all(r.answer and not r.error for r in remarks)
    first_ms = [r.first_audio_ms for r in remarks]
    assert all(ms is not None and 0 < ms < 5_000 for ms in first_ms), first_ms


def test_the_answers_that_are_to_be_interrupted_are(
    opened: Pipeline, files: dict[str, Path]
) -> None:
    remarks = talked(opened, files, ASKED)
    assert [r.interrupted for r in remarks] == [False, True, False, False], "not the last one"
    assert remarks[1].stopping_ms < FRAME_MS
    calm = talked(opened, files, replace(ASKED, interrupt_every=0))
    assert not any(r.interrupted for r in calm)


def test_memory_grows_by_how_far_it_rises_above_its_highest_so_far() -> None:
    assert growth(list(range(10))) is None, "ten turns say nothing about what comes after them"
    assert growth([*range(10), 9]) == 0
    assert growth([9, *range(9), 14, 3]) == 5


def test_a_conversation_is_measured_in_a_process_of_its_own(
    files: dict[str, Path], tmp_path: Path
) -> None:
    table = application.voice()
    table["llm"]["max_tokens"] = 6
    table["audio"]["questions"] = []
    talk = measured(files, table, replace(ASKED, turns=11), cache=tmp_path)
    samples = {m.name: m.samples for m in talk.measures}
    assert len(samples["conversation.first_audio"]) == 11
    assert len(samples["conversation.stopping"]) == 5
    assert len(samples["memory.turn"]) == 11
    assert samples["memory.growth"][0] < 30e6
    assert samples["conversation.unanswered"] == (0.0,) * 11
    assert max(samples["memory.turn"]) <= samples["memory.peak"][0]


def test_a_wrong_table_is_refused_before_a_process_is_started(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"voice\.vad is missing"):
        measured({}, {}, ASKED, cache=tmp_path)
