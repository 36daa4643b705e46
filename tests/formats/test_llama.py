"""The two llama graphs against a third, written in numpy from the papers and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import tiny_gguf
from gguf import GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray
from tiny_gguf import Tensor, Value

from toolchain.errors import InputError
from toolchain.formats import gguf, onnx_builder
from toolchain.formats.gguf_blocks import as_float32
from toolchain.formats.gguf_layouts import LAYOUTS
from toolchain.formats.llama import llama
from toolchain.formats.llama_float import write_float, write_fp32
from toolchain.formats.llama_packed import packed_graph, with_accuracy_level
from toolchain.formats.llama_weights import Weights
from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.formats.onnx_model import serialized
from toolchain.formats.onnx_session import run, session

IDS = np.array([5, 1, 33, 8, 8, 60, 2, 17, 40, 3], np.int64)
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class NumpyLlama:
    """Float64, no cache, no batching, rotary embedding in complex numbers."""

    weights: dict[str, Rows]
    layers: int
    heads: int
    kv_heads: int
    factors: Rows | None = None  # that angles are divided by

    def logits(self, ids: NDArray[np.int64]) -> Rows:
        """Return (tokens, vocabulary)."""
        states = self.weights["token_embd"][ids]
        for layer in range(self.layers):
            states = states + self.attention(layer, self.norm(states, f"blk.{layer}.attn_norm"))
            states = states + self.feed(layer, self.norm(states, f"blk.{layer}.ffn_norm"))
        head = self.weights.get("output", self.weights["token_embd"])
        return self.norm(states, "output_norm") @ head.T

    def norm(self, states: Rows, name: str) -> Rows:
        """Return the states over their root mean square."""
        mean_square = (states**2).mean(-1, keepdims=True)
        return states / np.sqrt(mean_square + 1e-5) * self.weights[name]

    def attention(self, layer: int, states: Rows) -> Rows:
        """Return what each token takes from those before it."""
        query, key, value = (states @ self.weights[f"blk.{layer}.attn_{n}"].T for n in "qkv")
        size = query.shape[1] // self.heads
        mixed = []
        for head in range(self.heads):
            shared = head * self.kv_heads // self.heads
            q = self.rotate(query[:, head * size : (head + 1) * size])
            k = self.rotate(key[:, shared * size : (shared + 1) * size])
            scores = q @ k.T / np.sqrt(size)
            scores[np.triu_indices(len(scores), 1)] = -np.inf
            shares = np.exp(scores - scores.max(-1, keepdims=True))
            shares /= shares.sum(-1, keepdims=True)
            mixed.append(shares @ value[:, shared * size : (shared + 1) * size])
        return np.concatenate(mixed, -1) @ self.weights[f"blk.{layer}.attn_output"].T

    def rotate(self, rows: Rows) -> Rows:
        """Turn neighbouring pairs as complex numbers: GGUF's order of rotary rows."""
        pairs = rows[:, 0::2] + 1j * rows[:, 1::2]
        angles = 10_000.0 ** (-np.arange(pairs.shape[1]) / pairs.shape[1])
        if self.factors is not None:
            angles = angles / self.factors
        turned = pairs * np.exp(1j * np.arange(len(rows))[:, None] * angles)
        return np.stack([turned.real, turned.imag], -1).reshape(rows.shape)

    def feed(self, layer: int, states: Rows) -> Rows:
        """Return SwiGLU of each token."""
        gate, up = (states @ self.weights[f"blk.{layer}.ffn_{n}"].T for n in ("gate", "up"))
        return (gate / (1 + np.exp(-gate)) * up) @ self.weights[f"blk.{layer}.ffn_down"].T


def numpy_llama(data: bytes, folder: Path, *, layers: int, heads: int, kv_heads: int) -> NumpyLlama:
    path = folder / "reference.gguf"
    path.write_bytes(data)
    weights = {
        t.name.removesuffix(".weight"): dequantize(t.data, t.tensor_type).astype(np.float64)
        for t in GGUFReader(path).tensors
    }
    return NumpyLlama(weights, layers, heads, kv_heads, weights.get("rope_freqs"))


def logits(model: bytes | Path, ids: NDArray[np.int64], *, steps: int = 0) -> NDArray[np.generic]:
    """Return logits at all positions; the last ``steps`` tokens go in one by one."""
    opened = session(model)
    states: dict[str, NDArray[np.generic]] = {
        value.name: np.zeros((1, value.shape[1], 0, value.shape[3]), np.float32)
        for value in opened.get_inputs()
        if value.name.startswith("past.")
    }
    found = []
    chunks = [ids[: len(ids) - steps], *(ids[i : i + 1] for i in range(len(ids) - steps, len(ids)))]
    for chunk in chunks:
        feeds = {"input_ids": chunk[None], "logits_from": np.array([0], np.int64), **states}
        outputs = run(opened, feeds)
        found.append(outputs.pop("logits")[0])
        states = {name.replace("present", "past"): value for name, value in outputs.items()}
    return np.concatenate(found)


SHAPES = {
    "grouped heads, tied": {},
    "as many key heads as heads": {"kv_heads": 4},
    "one key head, untied": {"kv_heads": 1, "tied": False},
    "one layer of other formats": {
        "layers": 1,
        "kinds": {"attn_v": "Q8_0", "attn_output": "Q4_0", "ffn_up": "Q4_0", "ffn_down": "Q8_0"},
    },
    "heads larger than their share": {"head_size": 32},
    "a head and an embedding of other formats": {
        "tied": False,
        "kinds": {"token_embd": "Q5_1", "output": "BF16"},
    },
    "a mixture as it is published": {
        "layers": 1,
        "hidden": 256,
        "inner": 256,
        "tied": False,
        "kinds": {"*": "Q4_K", "attn_v": "Q6_K", "ffn_down": "Q6_K", "output": "Q6_K"},
    },
}


@pytest.mark.parametrize("sizes", SHAPES.values(), ids=SHAPES)
def test_both_graphs_compute_what_the_papers_say(sizes: dict[str, int], tmp_path: Path) -> None:
    data = tiny_gguf.written(*tiny_gguf.llama(**sizes))  # type: ignore[arg-type]  # a table of keywords
    reference = numpy_llama(
        data,
        tmp_path,
        layers=sizes.get("layers", 2),
        heads=4,
        kv_heads=sizes.get("kv_heads", 2),
    )
    expected = reference.logits(IDS)
    sizes_read = llama(gguf.read(data))
    packed = serialized(packed_graph(sizes_read, accuracy_level=0))
    plain = write_float(sizes_read, tmp_path / "plain.onnx")
    for steps in (0, 4, len(IDS) - 1):
        np.testing.assert_allclose(logits(packed, IDS, steps=steps), expected, atol=2e-5)
        np.testing.assert_allclose(logits(plain, IDS, steps=steps), expected, atol=2e-5)


EVERY_KIND = [*LAYOUTS, "F32", "F16", "BF16"]


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_format_serves_as_matrix_and_as_tied_embedding(kind: str, tmp_path: Path) -> None:
    sizes = {"layers": 1, "hidden": 256, "inner": 256}
    data = tiny_gguf.written(*tiny_gguf.llama(**sizes, kinds={"*": kind}))
    expected = numpy_llama(data, tmp_path, layers=1, heads=4, kv_heads=2).logits(IDS)
    model = llama(gguf.read(data))
    packed = logits(serialized(packed_graph(model, accuracy_level=0)), IDS, steps=3)
    plain = logits(write_float(model, tmp_path / "plain.onnx"), IDS, steps=3)
    most = np.abs(expected).max()
    assert most > 0.5
    np.testing.assert_allclose(packed, expected, atol=2e-5 * most)
    np.testing.assert_allclose(plain, expected, atol=2e-5 * most)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_rows_of_an_embedding_are_the_dequantized_ones_to_the_last_bit(kind: str) -> None:
    metadata, tensors = tiny_gguf.llama(layers=1, hidden=256, kinds={"token_embd": kind})
    model = gguf.read(tiny_gguf.written(metadata, tensors))
    table = llama(model).tensors["token_embd.weight"]
    graph = GraphBuilder()
    rows = Weights(model, graph, 0).rows(table, "ids")
    graph.add("Identity", rows, outputs=["rows"])
    built = graph.model(
        [value("ids", np.int64, (1, "n"))], [value("rows", np.float32, ("n", 256))], {}
    )
    found = run(session(serialized(built)), {"ids": IDS[None]})["rows"]
    assert found.tobytes() == as_float32(model, table)[IDS].tobytes()


def test_only_floats_that_need_it_are_stored_wide() -> None:
    """Halves in an F32 tensor are stored as such; one number that needs more keeps them wide."""
    metadata, tensors = tiny_gguf.llama(kinds={"ffn_up": "F32", "ffn_down": "F32"})
    for one in tensors:
        if "ffn_up" in one.name:
            one.numbers[:] = one.numbers.astype(np.float16)
    graph = packed_graph(llama(gguf.read(tiny_gguf.written(metadata, tensors))), accuracy_level=4)
    types = {t.name: t.data_type for t in graph.graph.initializer}
    assert types["blk.0.ffn_up.weight"] == onnx.TensorProto.FLOAT16
    assert types["blk.0.ffn_down.weight"] == onnx.TensorProto.FLOAT


def test_factors_of_the_angles_are_used(tmp_path: Path) -> None:
    metadata, tensors = tiny_gguf.llama()
    factors = Tensor("rope_freqs.weight", "F32", np.linspace(1, 8, 8, dtype=np.float32))
    data = tiny_gguf.written(metadata, [*tensors, factors])
    reference = numpy_llama(data, tmp_path, layers=2, heads=4, kv_heads=2)
    assert reference.factors is not None
    model = llama(gguf.read(data))
    packed = logits(serialized(packed_graph(model, accuracy_level=0)), IDS)
    np.testing.assert_allclose(packed, reference.logits(IDS), atol=2e-5)
    without = tiny_gguf.written(metadata, tensors)
    other = serialized(packed_graph(llama(gguf.read(without)), accuracy_level=0))
    assert np.abs(logits(other, IDS) - packed).max() > 1e-3


TINY = tiny_gguf.written(*tiny_gguf.llama())


def test_level_4_rounds_and_level_0_does_not() -> None:
    model = packed_graph(llama(gguf.read(TINY)), accuracy_level=4)
    rough = logits(serialized(model), IDS)
    assert with_accuracy_level(model, 0) == 2 * 4 + 1
    exact = logits(serialized(model), IDS)
    error = np.abs(rough - exact).max()
    assert 1e-3 < error < 0.3


def test_a_metadata_value_that_is_no_text_is_kept_and_a_key_refused() -> None:
    metadata, tensors = tiny_gguf.llama(layers=1)
    data = tiny_gguf.written({**metadata, "general.name": "a name"}, tensors)
    kept = packed_graph(llama(gguf.read(data.replace(b"a name", b"a n\xffme"))), accuracy_level=4)
    assert {p.key: p.value for p in kept.metadata_props}["general.name"] == '"a n\\udcffme"'
    with pytest.raises(InputError, match="is no text"):
        packed_graph(
            llama(gguf.read(data.replace(b"general.name", b"general\xffname"))), accuracy_level=4
        )


def test_only_the_last_position_is_computed_unless_asked() -> None:
    opened = session(serialized(packed_graph(llama(gguf.read(TINY)), accuracy_level=0)))
    states = {
        f"past.{n}.{s}": np.zeros((1, 2, 0, 16), np.float32)
        for n in (0, 1)
        for s in ("key", "value")
    }
    last = run(opened, {"input_ids": IDS[None], **states})
    assert last["logits"].shape == (1, 1, 64)
    assert last["present.1.value"].shape == (1, 2, len(IDS), 16)
    every = run(opened, {"input_ids": IDS[None], "logits_from": np.array([0]), **states})
    np.testing.assert_allclose(every["logits"][:, -1:], last["logits"], atol=1e-5)


def test_all_metadata_travels_along() -> None:
    model = packed_graph(llama(gguf.read(TINY)), accuracy_level=4)
    kept = session(serialized(model)).get_modelmeta().custom_metadata_map
    assert json.loads(kept["tokenizer.ggml.tokens"])[3] == "\u01203"
    assert json.loads(kept["tokenizer.ggml.eos_token_id"]) == 2
    assert set(kept) == set(gguf.read(TINY).metadata)


def test_the_graphs_are_valid_onnx_and_always_the_same(tmp_path: Path) -> None:
    sizes = llama(gguf.read(TINY))
    model = packed_graph(sizes, accuracy_level=4)
    onnx.checker.check_model(model)
    assert serialized(model) == serialized(packed_graph(sizes, accuracy_level=4))
    source = tmp_path / "m.gguf"
    source.write_bytes(TINY)
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        onnx.checker.check_model(str(write_fp32(source, folder)))
    files = [{p.name: p.read_bytes() for p in folder.iterdir()} for folder in folders]
    assert files[0] == files[1]
    assert set(files[0]) == {"m.onnx", "m.onnx.data"}


def test_the_tied_embedding_is_stored_once() -> None:
    model = packed_graph(llama(gguf.read(TINY)), accuracy_level=4)
    names = [t.name for t in model.graph.initializer if "token_embd" in t.name]
    assert sorted(names) == ["token_embd.weight.codes", "token_embd.weight.scales"]


def without(name: str) -> tuple[dict[str, Value], list[Tensor]]:
    metadata, tensors = tiny_gguf.llama()
    return metadata, [t for t in tensors if t.name != name]


def changed(**values: Value) -> tuple[dict[str, Value], list[Tensor]]:
    metadata, tensors = tiny_gguf.llama()
    return {**metadata, **{k.replace("__", "."): v for k, v in values.items()}}, tensors


def added(name: str, kind: str, *sizes: int) -> tuple[dict[str, Value], list[Tensor]]:
    metadata, tensors = tiny_gguf.llama()
    return metadata, [*tensors, tiny_gguf.tensor(name, kind, *sizes)]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (changed(general__architecture="qwen2"), "architecture 'qwen2'"),
        (changed(llama__block_count=0), "'llama.block_count' is 0"),
        (changed(llama__block_count=3), "'blk.2.attn_norm.weight' is missing"),
        (changed(llama__block_count=2**32 - 1), "'blk.2.attn_norm.weight' is missing"),
        (changed(llama__block_count=1), "'blk.1.attn_k.weight' is not part"),
        (changed(llama__attention__head_count=7), "do not divide 64"),
        (changed(llama__rope__dimension_count=8), "part of each head"),
        (changed(llama__rope__scaling__type="yarn"), "scaled rotary"),
        (changed(llama__rope__freq_base=-1.0), "'llama.rope.freq_base' is -1.0"),
        (without("blk.0.ffn_up.weight"), "'blk.0.ffn_up.weight' is missing"),
        (without("token_embd.weight"), "'token_embd.weight' is"),
        (added("blk.0.attn_q.bias", "F32", 64), "'blk.0.attn_q.bias' is not part"),
        (added("rope_freqs.weight", "F32", 4), r"'rope_freqs.weight' is \(4,\)"),
        (changed(llama__attention__value_length=8), "different sizes"),
        (added("output.weight", "F16", 32, 64), r"'output.weight' is \(32, 64\)"),
    ],
)
def test_what_would_be_ignored_or_guessed_is_refused(
    model: tuple[dict[str, Value], list[Tensor]], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        packed_graph(llama(gguf.read(tiny_gguf.written(*model))), accuracy_level=4)


def test_weights_beyond_what_a_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tried with a lower limit: two gigabytes would take a minute."""
    monkeypatch.setattr(onnx_builder, "_MOST_BYTES", 10_000)
    with pytest.raises(InputError, match="an ONNX file holds 10000 at most"):
        packed_graph(llama(gguf.read(TINY)), accuracy_level=4)
