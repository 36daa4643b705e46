"""The reference application's inputs are the files that were measured, and open fast."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import real
from growth import cpu_s

from toolchain.sources import lock, project

ROOT = Path(__file__).parents[2]
APP = ROOT / "fixtures" / "voice-app"

# as measured by whoever chose these models (see docs of the reference application)
MODELS = {
    "models/silero_vad.onnx": "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
    "models/moonshine/encoder_model.ort": (
        "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221"
    ),
    "models/moonshine/decoder_model_merged.ort": (
        "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0"
    ),
    "models/moonshine/tokenizer.bin": (
        "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d"
    ),
    "models/smollm2.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    "models/hibari.onnx": "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8",
}


@pytest.fixture(scope="module")
def opened() -> project.Assembly:
    return project.open_target(str(APP))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_the_measured_file(opened: project.Assembly, name: str) -> None:
    assert opened.tree.files[name].digest == MODELS[name]


def test_sdks_native_code_and_clips_are_there(opened: project.Assembly) -> None:
    names = opened.tree.files.keys()
    assert "node_modules/@runanywhere/web-onnx/wasm/sherpa/sherpa-onnx.wasm" in names
    assert "node_modules/@ricky0123/vad-web/dist/index.js" in names
    assert {"native/sherpa-onnx.node", "native/libonnxruntime.so"} <= names
    clips = [n for n in opened.reference.files if n.startswith("audio/") and n.endswith(".wav")]
    assert [c.removeprefix("audio/") for c in clips] == [
        "counting.wav",
        "hello_world.wav",
        "quick_brown_fox.wav",
    ]
    assert all(c.replace(".wav", ".txt") in opened.reference.files for c in clips)
    recordings = [n for n in opened.reference.files if n.startswith("recordings/")]
    assert len([n for n in recordings if n.endswith(".wav")]) == 27 + 3
    assert set(opened.roots) <= names


def test_a_warm_open_does_not_read_the_files_again(opened: project.Assembly) -> None:
    """It takes 0.015 s on two cores; reading and hashing only the models takes ten times that."""
    assert project.open_target(str(APP)) == opened
    opening = cpu_s(lambda: project.open_target(str(APP)), 5)
    paths = [opened.tree.files[name].path for name in MODELS]
    assert opening < cpu_s(lambda: [hashlib.sha256(p.read_bytes()) for p in paths])


def test_the_lock_matches_vtool_toml() -> None:
    opened = project.load_project(APP)
    assert lock.read_lock(opened).requested == opened.requested


def test_no_lock_holds_an_address() -> None:
    for path in (APP / "vtool.lock", real.LOCK):
        assert "://" not in path.read_text()


def test_a_pinned_package_is_found_by_member_and_by_folder() -> None:
    model = real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx")
    assert model.stat().st_size == 2_327_524
    folder = real.folder("npm:livekit-client@2.23.0")
    assert (folder / "package.json").is_file()
