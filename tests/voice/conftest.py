"""The real models, opened once for all tests of a process."""

from pathlib import Path

import application
import pytest

from toolchain.formats.audio import Samples, read_wav
from toolchain.voice import pipeline
from toolchain.voice.stage import Llm, Stt, Tts, Vad


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return application.files(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def vad(files: dict[str, Path]) -> Vad:
    return pipeline.load_stage(application.voice(), "vad", files)


@pytest.fixture(scope="session")
def stt(files: dict[str, Path]) -> Stt:
    return pipeline.load_stage(application.voice(), "stt", files)


@pytest.fixture(scope="session")
def llm(files: dict[str, Path]) -> Llm:
    return pipeline.load_stage(application.voice(), "llm", files)


@pytest.fixture(scope="session")
def tts(files: dict[str, Path]) -> Tts:
    return pipeline.load_stage(application.voice(), "tts", files)


@pytest.fixture(scope="session")
def counting(files: dict[str, Path]) -> Samples:
    return read_wav(files["audio/counting.wav"].read_bytes()).samples
