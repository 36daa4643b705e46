"""bind-input on Silero VAD and Moonshine's decoder, and on what it cannot work with."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import real
from onnx import GraphProto, TensorProto, helper, parser

from toolchain.errors import ConfigError, FormatError, InputError
from toolchain.formats import audio
from toolchain.formats.onnx_session import run, session
from toolchain.passes.base import make_pass
from toolchain.passes.bind_input import BindInput
from toolchain.passes.import_ort import ImportOrt
from toolchain.verify import same_numbers

SHAPES = {"input": (1, 576), "state": (2, 1, 128)}
PLAIN = """<ir_version: 8, opset_import: ["" : 17]>
main (float[2] x, int64 rate, bool on, float[k] free) => (float[2] y) { y = Neg (x) }"""


@pytest.fixture(scope="module")
def silero() -> bytes:
    return real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx").read_bytes()


def probabilities(model: bytes, clip: Path, feeds: Mapping[str, np.ndarray]) -> list[float]:
    """Return the probability of speech of each 32 ms of a clip at 16 kHz."""
    samples = audio.read_wav(clip.read_bytes()).samples
    opened, found = session(model), []
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
    for start in range(0, len(samples) - 512, 512):
        frame = np.concatenate([context, samples[start : start + 512]]).astype(np.float32)
        outputs = run(opened, {"input": frame[None], "state": state, **feeds})
        found.append(float(outputs["output"][0, 0]))
        state, context = outputs["stateN"].astype(np.float32), frame[-64:]
    return found


@pytest.mark.parametrize(
    ("shapes", "most_bytes", "most_nodes"), [({}, 1_275_000, 130), (SHAPES, 1_255_000, 45)]
)
def test_silero_at_16_khz_is_half_as_large_and_says_the_same(
    silero: bytes, shapes: dict[str, tuple[int, ...]], most_bytes: int, most_nodes: int
) -> None:
    made = BindInput(input="sr", value=16000, shapes=shapes)
    after = made.rewrite(silero)
    assert len(after) < most_bytes
    graph = onnx.load_from_string(after).graph
    assert [v.name for v in graph.input] == ["input", "state"]
    assert len(graph.node) <= most_nodes
    clip = next(p for p in real.folder("pypi:pytest-audioeval==0.1.3").rglob("counting.wav"))
    expected = probabilities(silero, clip, {"sr": np.array(16000)})
    assert probabilities(after, clip, {}) == expected
    assert min(expected) < 0.1
    assert max(expected) > 0.9
    options = {"input": "sr", "value": 16000, "shapes": shapes}
    assert same_numbers.prove(silero, after, options).holds
    assert made.rewrite(after) is after


def test_the_other_rate_gives_another_model(silero: bytes) -> None:
    after = BindInput(input="sr", value=8000).rewrite(silero)
    proof = same_numbers.prove(silero, after, {"input": "sr", "value": 16000})
    assert not proof.holds


@pytest.fixture(scope="module")
def decoder() -> bytes:
    """Return Moonshine's decoder: a network for the first token, and one for all that follow."""
    name = "moonshine_voice/assets/tiny-en/decoder_model_merged.ort"
    return ImportOrt().rewrite(real.file("pypi:moonshine-voice==0.0.73", name).read_bytes())


def sizes_of(graph: GraphProto, reader: GraphProto) -> dict[str, int]:
    """Return the bytes of each weight of ``graph`` that a node of ``reader`` reads."""
    read = {name for node in reader.node for name in node.input}
    return {t.name: len(t.raw_data) for t in graph.initializer if t.name in read}


def branch(graph: GraphProto, name: str) -> GraphProto:
    """Return a branch of the only If of ``graph``."""
    [choice] = [n for n in graph.node if n.op_type == "If"]
    return next(a.g for a in choice.attribute if a.name == name)


@pytest.mark.parametrize(
    ("options", "branches", "inputs", "weights"),
    [
        ({"value": True}, ("then_branch", "else_branch"), 27, 12 * 288 * 288),
        ({"value": False}, ("else_branch", "then_branch"), 3, 0),  # it needs all of the weights
    ],
)
def test_of_a_merged_decoder_one_network_is_left(
    decoder: bytes, options: dict[str, bool], branches: tuple[str, str], inputs: int, weights: int
) -> None:
    after = BindInput("use_cache_branch", **options).rewrite(decoder)
    graph, left = (onnx.load_from_string(data).graph for data in (decoder, after))
    assert "use_cache_branch" in {v.name for v in graph.input}
    assert "use_cache_branch" not in {v.name for v in left.input}
    assert len(left.input) == inputs
    stays, goes = (branch(graph, name) for name in branches)
    nodes = {n.name for n in goes.node} - {n.name for n in stays.node}
    assert len(nodes) > 10
    assert not (nodes | {"If"}) & {name for n in left.node for name in (n.name, n.op_type)}
    assert len(left.node) <= len(stays.node) + len(graph.output)
    unread = sizes_of(graph, goes).items() - sizes_of(graph, graph).items()
    unread -= sizes_of(graph, stays).items()
    assert not dict(unread).keys() & {t.name for t in left.initializer}
    assert sum(dict(unread).values()) >= weights
    assert len(decoder) - len(after) > weights + 500_000
    question = {"input": "use_cache_branch", **options}
    assert same_numbers.prove(decoder, after, question).holds


def test_options_come_from_toml() -> None:
    options = {"input": "sr", "value": 16000, "shapes": {"x": [1, 2]}}
    assert make_pass("bind-input", options) == BindInput("sr", 16000, {"x": (1, 2)})
    with pytest.raises(ConfigError, match="value"):
        make_pass("bind-input", {"input": "sr", "value": "many"})
    with pytest.raises(ConfigError, match="input"):
        make_pass("bind-input", {"value": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input": "rate", "value": 0.5}, "'rate', int64, cannot be 0.5"),
        ({"input": "rate", "value": 2**70}, "cannot be"),
        ({"input": "rate", "value": True}, "'rate', int64, cannot be True"),
        ({"input": "on", "value": 1}, "'on', bool, cannot be 1"),
        ({"input": "free", "value": 1.0}, r"'free' has the shape \['k'\], not a fixed one"),
        ({"input": "rate", "value": 1, "shapes": {"x": (3,)}}, r"'x' has the shape \[2\]"),
        ({"input": "rate", "value": 1, "shapes": {"x": (2, 1)}}, r"'x' has the shape \[2\]"),
        ({"input": "rate", "value": 1, "shapes": {"z": (2,)}}, "no input 'z'"),
    ],
)
def test_a_value_or_shape_that_does_not_fit_is_a_mistake_of_the_request(
    options: dict[str, object], message: str
) -> None:
    data = parser.parse_model(PLAIN).SerializeToString()
    with pytest.raises(ConfigError, match=message):
        make_pass("bind-input", options).rewrite(data)  # type: ignore[attr-defined]  # an artifact pass


def test_a_shape_makes_an_open_input_bindable() -> None:
    data = parser.parse_model(PLAIN).SerializeToString()
    after = BindInput("free", 1.0, {"free": (3,)}).rewrite(data)
    names = [v.name for v in onnx.load_from_string(after).graph.input]
    assert names == ["x", "rate", "on"]


def test_an_operator_that_nobody_has_is_named() -> None:
    text = PLAIN.replace('"" : 17', '"" : 17, "com.acme" : 1').replace("Neg", "com.acme.Twist")
    with pytest.raises(InputError, match=r"com\.acme.*Twist") as caught:
        BindInput("rate", 1).rewrite(parser.parse_model(text).SerializeToString())
    assert caught.value.hint


def test_missing_external_weights_are_named() -> None:
    model = parser.parse_model(PLAIN)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    model.graph.initializer.append(tensor)
    with pytest.raises(InputError, match=r"'w' lie in another file, 'weights\.bin'"):
        BindInput("rate", 1).rewrite(model.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x3a\xff\xff\xff\xff\x7f"])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        BindInput("rate", 1).rewrite(data)


def test_odd_tensors_survive() -> None:
    model = parser.parse_model(PLAIN)
    model.graph.node[0].op_type = "Add"
    model.graph.node[0].input.append("nan")
    model.graph.initializer.extend(
        [
            helper.make_tensor("nan", TensorProto.FLOAT, [2], [np.nan, 1]),
            helper.make_tensor("nibbles", TensorProto.INT4, [3], [1, -2, 3]),
            helper.make_tensor("none", TensorProto.FLOAT, [0, 4], []),
        ]
    )
    model.opset_import[0].version = 21
    model.ir_version = 10
    data = model.SerializeToString()
    after = BindInput("rate", 1).rewrite(data)
    assert [t.name for t in onnx.load_from_string(after).graph.initializer] == ["nan"]
    assert same_numbers.prove(data, after, {"input": "rate", "value": 1}).holds


def test_the_result_does_not_depend_on_the_process(silero: bytes, tmp_path: Path) -> None:
    (tmp_path / "in.onnx").write_bytes(silero)
    code = (
        "import hashlib, sys; from toolchain.passes.bind_input import BindInput as S;"
        "data = open(sys.argv[1], 'rb').read();"
        "print(hashlib.sha256(S('sr', 16000).rewrite(data)).hexdigest())"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "in.onnx")]
    digests = {
        subprocess.run(
            command,
            capture_output=True,
            check=True,
            timeout=60,
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1
