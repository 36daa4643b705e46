"""Any detector that takes sound and states is understood from its inputs and outputs."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import real
from onnx import TensorProto, helper

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Samples
from toolchain.voice import pipeline
from toolchain.voice.stage import Vad

AKIKI = {"adapter": "framewise", "model": "vad.onnx", "frame": 256, "context": 320}


@pytest.fixture(scope="session")
def akiki() -> Path:
    return real.file("pypi:akiki==0.0.6", "akiki/models/akiki-vad.onnx")


def opened(path: Path, **options: object) -> Vad:
    files = {"vad.onnx": path, "models/other.onnx": path}
    return pipeline.load_stage({"vad": {**AKIKI, **options}}, "vad", files)


def test_a_detector_with_shorter_frames_is_asked_twice_a_chunk(
    akiki: Path, counting: Samples
) -> None:
    session = ort.InferenceSession(str(akiki))
    whole, state = (
        np.concatenate([np.zeros(320, np.float32), counting]),
        np.zeros((1, 1, 128), "f4"),
    )
    each = []
    for at in range(0, len(counting) - 255, 256):
        feeds = {"audio_with_context": whole[None, at : at + 576], "h": state}
        probability, state = session.run(["probability", "h_out"], feeds)
        each.append(probability.item())
    chunks = [counting[i : i + 512] for i in range(0, len(counting) - 511, 512)]
    expected = [max(each[2 * i : 2 * i + 2]) for i in range(len(chunks))]
    assert list(opened(akiki).stream(chunks)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [100, 256, 300, 1_000])
def test_chunks_of_any_length_are_heard_whole(akiki: Path, counting: Samples, size: int) -> None:
    chunks = [counting[i : i + size] for i in range(0, len(counting), size)]
    heard = list(opened(akiki).stream(chunks))
    assert len(heard) == len(chunks)
    assert max(heard) > 0.9
    assert heard[0] < 0.5


def test_a_detector_that_is_lost_says_so_instead_of_hearing_nothing(tmp_path: Path) -> None:
    """A sample that is no number stays in its state: every later answer would be none."""
    port, number = helper.make_tensor_value_info, TensorProto.FLOAT
    ports = [port("sound", number, [1, 512]), port("state", number, [1, 1])]
    nodes = [
        helper.make_node("ReduceSum", ["sound"], ["loud"]),
        helper.make_node("Add", ["loud", "state"], ["stateN"]),
        helper.make_node("Identity", ["stateN"], ["speech"]),
    ]
    graph = helper.make_graph(
        nodes, "g", ports, [port(n, number, [1, 1]) for n in ("speech", "stateN")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "sum.onnx"
    onnx.save(model, path)
    detector = opened(path, frame=512, context=0)
    sound = np.zeros((2, 512), np.float32)
    sound[0, 0] = 0.25
    assert list(detector.stream(sound)) == [0.25, 0.25]
    sound[1, 7] = np.nan
    with pytest.raises(InputError, match="answers with what is not a number"):
        list(detector.stream(sound))


def test_lengths_that_do_not_add_up_to_the_models_are_refused(akiki: Path) -> None:
    with pytest.raises(ConfigError, match=r"takes 576 samples, not 512") as caught:
        opened(akiki, frame=256, context=256)
    assert "add up" in caught.value.hint


@pytest.mark.parametrize("lengths", [{"frame": 0}, {"context": -1}])
def test_impossible_lengths_are_refused(akiki: Path, lengths: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"voice\.vad: a frame of"):
        opened(akiki, **lengths)


def test_a_model_with_two_sounds_is_refused_with_all_that_is_known(tmp_path: Path) -> None:
    sounds = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 512]) for n in ("near", "far")
    ]
    out = helper.make_tensor_value_info("echo", TensorProto.FLOAT, [1, 512])
    node = helper.make_node("Sub", ["near", "far"], ["echo"])
    graph = helper.make_graph([node], "canceller", sounds, [out])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "canceller.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"inputs far, near, which fit no adapter") as caught:
        opened(path, frame=512, context=0)
    assert "silero: input, state or input, h, c" in caught.value.hint


def test_a_model_fed_with_words_is_no_detector(tmp_path: Path) -> None:
    words = helper.make_tensor_value_info("text", TensorProto.STRING, [1])
    out = helper.make_tensor_value_info("same", TensorProto.STRING, [1])
    graph = helper.make_graph(
        [helper.make_node("Identity", ["text"], ["same"])], "g", [words], [out]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "words.onnx"
    onnx.save(model, path)
    with pytest.raises(InputError, match=r"input text of vad\.onnx is a tensor\(string\)"):
        opened(path)
