"""A [voice] table that is wrong is refused at the key that is wrong."""

from collections.abc import Callable
from typing import Any

import application
import pytest

from toolchain.errors import ConfigError
from toolchain.voice.pipeline import AudioTable, check_table

Change = Callable[[dict[str, Any]], object]


def test_the_reference_application_is_right() -> None:
    assert len(check_table(application.voice()).clips) == 3


WRONG: dict[str, tuple[Change, str]] = {
    "stage missing": (lambda v: v.pop("llm"), "voice.llm is missing"),
    "stage unknown": (lambda v: v.update(asr={}), "voice.asr is not a stage"),
    "stage not a table": (lambda v: v.update(tts="hibari"), "voice.tts is missing"),
    "adapter unknown": (lambda v: v["stt"].update(adapter="vosk"), "no adapter 'vosk'"),
    "adapter missing": (lambda v: v["vad"].pop("adapter"), "no adapter None"),
    "option unknown": (lambda v: v["vad"].update(modle="x"), r"voice.vad: modle"),
    "option missing": (lambda v: v["stt"].pop("decoder"), r"voice.stt: decoder"),
    "option of another type": (lambda v: v["llm"].update(max_tokens="many"), "voice.llm: max_t"),
    "speed of zero": (lambda v: v["tts"].update(speed=0.0), "voice.tts: speed is 0.0"),
    "speed no number": (lambda v: v["tts"].update(speed=float("nan")), "voice.tts: speed is nan"),
    "no tokens": (lambda v: v["llm"].update(max_tokens=0), "voice.llm: max_tokens is 0"),
    "negative tokens": (lambda v: v["llm"].update(max_tokens=-5), "voice.llm: max_tokens is -5"),
    "tiny context": (lambda v: v["llm"].update(context=3), "voice.llm: context is 3"),
    "many threads": (lambda v: v["llm"].update(threads=5000), "voice.llm: threads is 5000"),
    "session threads": (
        lambda v: v["llm"].update(sessions={v["llm"]["model"]: {"threads": 5000}}),
        "smollm2.gguf: threads is 5000",
    ),
    "loud noise": (
        lambda v: v.update(tts={"adapter": "piper", "model": "m", "config": "c", "noise_w": 9.0}),
        "voice.tts: noise_w is 9.0",
    ),
    "no frame": (
        lambda v: v.update(vad={"adapter": "framewise", "model": "m", "frame": 0}),
        "voice.vad: frame is 0",
    ),
    "fewer transcripts": (lambda v: v["audio"]["transcripts"].pop(), "3 clips and 2 transcripts"),
    "nothing said": (lambda v: v.pop("audio"), "says nothing"),
    "one name twice": (lambda v: v["audio"].update(clips=["a/x.wav", "b/x.wav"]), "called x"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_table_is_refused_with_the_place(what: str) -> None:
    change, place = WRONG[what]
    table = application.voice()
    change(table)
    with pytest.raises(ConfigError, match=place) as caught:
        check_table(table)
    assert caught.value.hint


def test_questions_alone_are_enough() -> None:
    table = application.voice()
    table["audio"] = {"questions": ["Who are you?"]}
    assert check_table(table) == AudioTable(questions=("Who are you?",))


def test_a_number_out_of_its_range_is_told_what_the_range_is() -> None:
    table = application.voice()
    table["tts"]["speed"] = 40.0
    with pytest.raises(ConfigError) as caught:
        check_table(table)
    assert caught.value.hint == "speed is a number from 0.25 to 4.0"
