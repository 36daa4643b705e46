"""Silero hears speech where there is some, in each of its versions."""

from pathlib import Path

import application
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import real

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Samples
from toolchain.voice import pipeline
from toolchain.voice.stage import FRAME_SAMPLES, Vad


def frames(samples: Samples) -> list[Samples]:
    return [samples[i : i + 512] for i in range(0, len(samples) - 511, FRAME_SAMPLES)]


def test_speech_is_heard_in_a_clip_and_not_in_silence(vad: Vad, counting: Samples) -> None:
    spoken = list(vad.stream(frames(counting)))
    assert sum(p >= 0.5 for p in spoken) > 0.8 * len(spoken)
    assert max(vad.stream(frames(np.zeros(16_000, np.float32)))) < 0.1


VERSIONS = [
    *(
        ("npm:@ricky0123/vad-web@0.0.31", f"dist/silero_vad_{v}.onnx")
        for v in ("legacy", "v5", "v6")
    ),
    *(
        ("pypi:silero-vad==6.2.3", f"silero_vad/data/silero_vad_{v}.onnx")
        for v in ("16k_op15", "16k_sequence", "half", "op18_ifless", "openvino_16k")
    ),
]


def opened(package: str, member: str) -> Vad:
    table = {"vad": {"adapter": "silero", "model": "vad.onnx"}}
    return pipeline.load_stage(table, "vad", {"vad.onnx": real.file(package, member)})


@pytest.mark.parametrize(("package", "member"), VERSIONS, ids=lambda one: one.rsplit("_", 1)[-1])
def test_every_version_decides_as_the_newest_one(
    package: str, member: str, vad: Vad, counting: Samples
) -> None:
    other = opened(package, member)
    heard, newest = (np.array(list(v.stream(frames(counting)))) >= 0.5 for v in (other, vad))
    assert (heard == newest).mean() > 0.95
    assert max(other.stream(frames(np.zeros(16_000, np.float32)))) < 0.1


def test_version_4_hears_each_frame_by_itself_as_its_vendor_does(counting: Samples) -> None:
    """Its states are h and c; a frame is 512 samples without those before."""
    path = real.file(*VERSIONS[0])
    session = ort.InferenceSession(str(path))
    h = c = np.zeros((2, 1, 64), np.float32)
    expected = []
    for frame in frames(counting):
        feeds = {"input": frame[None], "h": h, "c": c, "sr": np.array(16_000)}
        probability, h, c = session.run(None, feeds)
        expected.append(probability.item())
    assert list(opened(*VERSIONS[0]).stream(frames(counting))) == pytest.approx(expected, abs=1e-6)


def test_a_new_stream_remembers_nothing_of_the_last(vad: Vad, counting: Samples) -> None:
    first = list(vad.stream(frames(counting)))
    assert list(vad.stream(frames(counting))) == first


def test_frames_are_joined_as_the_vendor_joins_them(
    vad: Vad, counting: Samples, files: dict[str, Path]
) -> None:
    """The loop of silero-vad's OnnxWrapper: 64 samples before each 512, and the state handed on."""
    session = ort.InferenceSession(str(files["models/silero_vad.onnx"]))
    whole = np.concatenate([np.zeros(64, np.float32), counting])
    state, expected = np.zeros((2, 1, 128), np.float32), []
    for at in range(0, len(counting) - 511, 512):
        feeds = {"input": whole[None, at : at + 576], "state": state, "sr": np.array(16_000)}
        probability, state = session.run(None, feeds)
        expected.append(probability.item())
    assert list(vad.stream(frames(counting))) == pytest.approx(expected, abs=1e-6)


def test_a_model_without_the_rate_input_gives_the_same(
    vad: Vad, counting: Samples, files: dict[str, Path], tmp_path: Path
) -> None:
    model = onnx.load(files["models/silero_vad.onnx"])
    rate = next(i for i in model.graph.input if i.name == "sr")
    model.graph.input.remove(rate)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(16_000), "sr"))
    bound = tmp_path / "bound.onnx"
    onnx.save(model, bound)
    table = {"vad": {"adapter": "silero", "model": "bound.onnx"}}
    other = pipeline.load_stage(table, "vad", {"bound.onnx": bound})
    same = list(other.stream(frames(counting)))
    assert same == pytest.approx(list(vad.stream(frames(counting))), abs=1e-6)


def test_a_model_of_another_family_is_refused_with_both_lists_of_inputs(
    files: dict[str, Path],
) -> None:
    table = application.voice()
    table["vad"]["model"] = table["tts"]["model"]
    with pytest.raises(InputError, match=r"inputs ids, speed, which fit no adapter") as caught:
        pipeline.load_stage(table, "vad", files)
    assert caught.value.hint == (
        "known inputs: silero: input, state or input, h, c (also sr); "
        "framewise: (sound of any name) (also a rate, states that outputs continue)"
    )


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\x08\x07" * 500, b"ORTM\xff" * 64])
@pytest.mark.parametrize("name", ["x.onnx", "x.ort"])
def test_garbage_is_not_a_model(content: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    table = {"vad": {"adapter": "silero", "model": "models/x"}}
    with pytest.raises(InputError, match="models/x cannot be opened as a model") as caught:
        pipeline.load_stage(table, "vad", {"models/x": path})
    assert caught.value.hint
    assert str(tmp_path) not in str(caught.value)


def test_a_file_the_project_does_not_have_is_named_with_its_neighbours(
    files: dict[str, Path],
) -> None:
    table = {"vad": {"adapter": "silero", "model": "models/silero.onnx"}}
    with pytest.raises(ConfigError, match=r"models/silero\.onnx") as caught:
        pipeline.load_stage(table, "vad", files)
    assert "models/silero_vad.onnx" in caught.value.hint
