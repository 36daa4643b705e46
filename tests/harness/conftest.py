"""The real application, its clips, and a scenario that is quick to play."""

from pathlib import Path

import application
import pytest

from toolchain.harness.scenario import Scenario
from toolchain.voice import pipeline
from toolchain.voice.pipeline import Pipeline

QUICK = Scenario(
    repeats=1,
    warm_up=0,
    silence_ms=256,
    sure_silence_ms=256,
    answer_after_ms=64,
    cold_starts=0,
    warm_starts=1,
    timeout_s=120,
)


@pytest.fixture(scope="session")
def quick() -> Scenario:
    return QUICK


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return application.files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def opened(files: dict[str, Path]) -> Pipeline:
    table = application.voice()
    table["llm"]["max_tokens"] = 12
    return pipeline.load(table, files)
