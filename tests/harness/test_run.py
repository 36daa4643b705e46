"""A whole measurement in processes of their own: every figure, and two runs compared."""

import wave
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import application
import pytest

from toolchain.errors import ConfigError, InputError, ToolError
from toolchain.harness.run import Run, compare, measure
from toolchain.harness.scenario import Scenario
from toolchain.ir import Measure

CLIPS = ("counting", "hello_world", "quick_brown_fox", "question-1")


def table() -> dict[str, object]:
    short = application.voice()
    short["llm"]["max_tokens"] = 10
    short["audio"]["questions"] = ["What is the capital of France?"]
    return short


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    (folder / "answers").mkdir()
    return folder


@pytest.fixture(scope="module")
def run(files: dict[str, Path], quick: Scenario, place: Path) -> Run:
    cold = replace(quick, cold_starts=1)
    return measure(files, table(), cold, cache=place, audio_out=place / "answers")


def samples(run: Run, name: str) -> tuple[float, ...]:
    return next(m.samples for m in run.measures if m.name == name)


def test_every_figure_is_measured_once_a_turn(run: Run) -> None:
    names = {m.name for m in run.measures}
    a_turn = {n for n in names if n.startswith(("turn.", "vad.", "stt.", "llm.", "tts."))}
    assert len(a_turn) == 14
    assert {n: len(samples(run, n)) for n in a_turn} == dict.fromkeys(a_turn, len(CLIPS))
    assert {
        f"memory.{n}" for n in ("start", "vad", "stt", "llm", "tts", "peak", "after_gc")
    } < names
    assert {"memory.before_gc", "memory.unique"} < names
    assert {"init.warm", "quality.wer", "quality.wer_questions", "quality.tts_wer"} < names
    assert ("init.cold" in names) != bool(run.notes), "cold was measured, or a note says why not"


def test_all_figures_are_possible_and_of_this_machine(run: Run) -> None:
    for one in run.measures:
        assert all(s >= 0 for s in one.samples) or "end_error" in one.name, one.name
        assert one.machine is not None
    assert min(samples(run, "memory.peak")) >= max(samples(run, "memory.after_gc")) * 0.9
    assert max(samples(run, "memory.unique")) <= max(samples(run, "memory.after_gc"))
    assert max(samples(run, "turn.first_audio")) < 10_000


def test_the_reference_clips_are_understood_word_for_word(run: Run) -> None:
    assert samples(run, "quality.wer") == (0.0, 0.0, 0.0)
    assert samples(run, "quality.wer_questions") == (0.0,)


def test_answers_are_written_as_they_sound(run: Run, place: Path) -> None:
    assert sorted(p.stem for p in (place / "answers").iterdir()) == sorted(CLIPS)
    for turn in run.turns:
        with wave.open(str(place / "answers" / turn.audio)) as audio:
            seconds = audio.getnframes() / audio.getframerate()
        assert 1000 * seconds == pytest.approx(turn.times.spoken)
        assert turn.heard
        assert dict(turn.facts())["answered"] == turn.answer


def test_an_application_agrees_with_itself(
    run: Run, files: dict[str, Path], quick: Scenario, place: Path
) -> None:
    again = measure(files, table(), quick, cache=place, reference=run)
    agreement = {m.name: m.samples for m in compare(run, again)}
    whole = (1.0,) * len(CLIPS)
    assert agreement == {
        "quality.vad_agreement": whole,
        "quality.llm_agreement": whole,
        "quality.llm_same_answer": whole,
    }


def test_runs_that_were_not_made_to_be_compared_are_not(run: Run) -> None:
    with pytest.raises(ConfigError, match="different clips"):
        compare(run, run)


def test_a_damaged_model_is_the_users_error_also_across_the_process(
    files: dict[str, Path], quick: Scenario, tmp_path: Path
) -> None:
    bad = tmp_path / "garbage.ort"
    bad.write_bytes(b"ORTM" * 1_000)
    broken = {**files, "models/moonshine/encoder_model.ort": bad}
    only_clips = table() | {"audio": application.voice()["audio"] | {"questions": []}}
    with pytest.raises(InputError, match=r"models/moonshine/encoder_model\.ort cannot be opened"):
        measure(broken, only_clips, quick, cache=tmp_path)


def test_a_wav_that_is_none_is_the_users_error(
    files: dict[str, Path], quick: Scenario, tmp_path: Path
) -> None:
    bad = tmp_path / "x.wav"
    bad.write_bytes(b"MP3")
    only_clips = table() | {"audio": application.voice()["audio"] | {"questions": []}}
    with pytest.raises(InputError, match=r"audio/counting\.wav: wav: no RIFF/WAVE header"):
        measure({**files, "audio/counting.wav": bad}, only_clips, quick, cache=tmp_path)


def test_a_stage_that_raises_is_named_also_across_the_process(
    files: dict[str, Path], quick: Scenario, tmp_path: Path
) -> None:
    only_clips = table() | {"audio": application.voice()["audio"] | {"questions": []}}
    wrong = {**files, "audio/counting.wav": files["audio/counting.wav"]}
    wrong["audio/counting.wav"] = recording(tmp_path / "hum.wav", b"\0\4\0\xfc" * 8_000)
    with pytest.raises(ToolError, match="stage vad heard no speech in hum"):
        measure(wrong, only_clips, quick, cache=tmp_path)


def recording(path: Path, frames: bytes) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes(frames)
    return path


@pytest.mark.parametrize(
    ("frames", "what"),
    [
        (b"", "has no samples"),
        (b"\0\0" * 16_000, "is silent from beginning to end"),
        (b"\1\0\xff\xff" * 8_000, "is silent from beginning to end"),
    ],
    ids=["empty", "silent", "a converter's noise"],
)
def test_a_clip_without_sound_is_the_users_error_before_a_model_is_opened(
    files: dict[str, Path], quick: Scenario, tmp_path: Path, frames: bytes, what: str
) -> None:
    broken = tmp_path / "vad.onnx"
    broken.write_bytes(b"no model")
    wrong = {**files, "models/silero_vad.onnx": broken}
    wrong["audio/hello_world.wav"] = recording(tmp_path / "x.wav", frames)
    with pytest.raises(InputError, match=rf"audio/hello_world\.wav {what}"):
        measure(wrong, table(), quick, cache=tmp_path)


def test_a_transcript_that_is_no_text_is_the_users_error(
    files: dict[str, Path], quick: Scenario, tmp_path: Path
) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes("Tsch\xfcss".encode("latin-1"))
    with pytest.raises(InputError, match=r"audio/counting\.txt is not UTF-8"):
        measure({**files, "audio/counting.txt": latin}, table(), quick, cache=tmp_path)


def test_a_question_without_a_sound_is_the_users_error(
    files: dict[str, Path], quick: Scenario, tmp_path: Path
) -> None:
    mute = table()
    mute["audio"] = {"questions": ["\N{PARTY POPPER}"]}
    with pytest.raises(ConfigError, match="no sound for the question"):
        measure(files, mute, quick, cache=tmp_path)


def test_what_is_undecided_is_measured_again_and_nothing_else(
    files: dict[str, Path], quick: Scenario, place: Path
) -> None:
    asked: list[set[str]] = []

    def undecided(measures: Sequence[Measure]) -> set[str]:
        asked.append({m.name for m in measures})
        assert {m.looks for m in measures} == {3}
        return {"init.warm"} if len(asked) == 1 else {"turn.first_audio"}

    again = replace(quick, looks=3)
    found = measure(files, table(), again, cache=place, undecided=undecided)
    assert len(asked) == 2, "after the last look nothing can follow"
    assert len(samples(found, "turn.first_audio")) == 2 * len(CLIPS)
    assert len(samples(found, "init.warm")) == 3, "one at first, one more, one with the turns"
    assert len(samples(found, "memory.peak")) == 2
    assert len(samples(found, "quality.wer")) == 3, "still one a clip: its worst"


def test_what_is_decided_is_not_measured_again(
    files: dict[str, Path], quick: Scenario, place: Path
) -> None:
    found = measure(files, table(), replace(quick, looks=3), cache=place)
    assert len(samples(found, "turn.first_audio")) == len(CLIPS)


def test_stages_in_processes_tell_what_asking_them_took(
    files: dict[str, Path], quick: Scenario, place: Path
) -> None:
    apart = measure(files, table(), replace(quick, placement=2), cache=place)
    names = {m.name for m in apart.measures}
    assert {"worker.vad", "worker.stt", "worker.llm", "worker.tts", "memory.all"} <= names
    assert max(samples(apart, "worker.vad")) < 1_000
    here = measure(files, table(), replace(quick, placement=0), cache=place)
    assert [t.answer for t in here.turns] == [t.answer for t in apart.turns]
    assert samples(apart, "memory.peak")[0] > samples(here, "memory.peak")[0]
