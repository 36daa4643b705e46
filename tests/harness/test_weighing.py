"""Each model of the real application is weighed alone, and what is no model apart from it."""

from pathlib import Path

import application
import pytest

from toolchain.harness.examining import Application
from toolchain.harness.scales import Part
from toolchain.harness.scenario import Scenario
from toolchain.harness.turn import Clip
from toolchain.harness.weighing import weighed

PARTS = {
    "vad.model",
    "vad.rest",
    "stt.encoder",
    "stt.decoder",
    "stt.rest",
    "llm.model",
    "llm.rest",
    "tts.model",
    "tts.oov",
    "tts.rest",
}


@pytest.fixture(scope="module")
def weights(
    files: dict[str, Path], quick: Scenario, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    voice = application.voice()
    voice["llm"]["max_tokens"] = 8
    voice["llm"]["sessions"] = {voice["llm"]["model"]: {"threads": 1}}  # as a search leaves it
    clip = Clip("fox", str(files["audio/quick_brown_fox.wav"]), "", recorded=True, digest="")
    cache = tmp_path_factory.mktemp("weighed")
    found = weighed(Application(files, voice), [clip], quick, cache=cache)
    assert {len(m.samples) for m in found} == {1}
    return {m.name.removeprefix("memory."): m.samples[0] for m in found}


def test_every_model_and_what_is_no_model_has_a_row(weights: dict[str, float]) -> None:
    names = set(weights) - {"arena", "arena_cost"}
    assert {n for n in names if not n.endswith(".unique")} == PARTS


def test_models_weigh_about_what_their_weights_do(
    weights: dict[str, float], files: dict[str, Path]
) -> None:
    size = files["models/smollm2.gguf"].stat().st_size  # imported: blocks run as they are stored
    assert 0.9 * size < weights["llm.model"] < 2.5 * size
    encoder = files["models/moonshine/encoder_model.ort"].stat().st_size
    assert 0.5 * encoder < weights["stt.encoder"] < 3 * encoder
    assert 0 < weights["tts.oov"] < weights["tts.model"] < weights["llm.model"]
    assert 0 < weights["llm.rest"] < weights["llm.model"], "the system message and a vocabulary"


def test_what_is_unique_is_no_more_than_what_is_resident(weights: dict[str, float]) -> None:
    unique = {n.removesuffix(".unique"): w for n, w in weights.items() if n.endswith(".unique")}
    for name, alone in unique.items():
        assert alone <= weights[name] + 2_000_000, name  # pages become shared and unshared beside


def test_arenas_would_hold_memory_and_cost_some(weights: dict[str, float]) -> None:
    if "arena" in weights:  # onnxruntime before 1.32 does not tell
        assert 1_000_000 < weights["arena"] < 500_000_000
    assert weights["arena_cost"] > 1_000_000


def test_what_is_left_of_a_stage_is_what_its_models_do_not_take() -> None:
    stage, models = Part(100, 60), [Part(70, 50), Part(20, 5)]
    assert stage.less(models) == Part(10, 5)
    assert stage.less([Part(70, None)]) == Part(30, None), "unknown stays unknown"
    assert stage.less([]) == stage
