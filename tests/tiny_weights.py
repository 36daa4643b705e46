"""Tiny models of every kind that holds weights, for tests of what changes weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper, parser

from toolchain.formats import onnx_model

_RNG_SEED = 5


def noise(*shape: int, seed: int = _RNG_SEED) -> NDArray[np.float32]:
    """Return normally distributed numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def integers(*shape: int, dtype: str = "int8") -> NDArray[np.generic]:
    """Return numbers as a weight of eight bits has them."""
    centre = 128 if dtype == "uint8" else 0
    return np.clip(np.rint(noise(*shape) * 30) + centre, centre - 127, centre + 127).astype(dtype)


def model(text: str, **stored: NDArray[np.generic]) -> bytes:
    """Return the model written in ``text``, with the arrays ``stored`` as initializers."""
    parsed: ModelProto = parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> {text}'
    )
    for name, array in stored.items():
        parsed.graph.initializer.append(numpy_helper.from_array(array, name))
    return onnx_model.serialized(parsed)


def matmul() -> bytes:
    """Return x W + b."""
    return model(
        "main (float[1, n, 24] x) => (float[1, n, 16] y) { h = MatMul (x, w) y = Add (h, b) }",
        w=noise(24, 16),
        b=noise(16),
    )


def gemm() -> bytes:
    """Return two layers, weights as rows."""
    return model(
        "main (float[n, 24] x) => (float[n, 12] y)"
        " { h = Gemm <transB: int = 1> (x, w, b) r = Relu (h) y = Gemm <transB: int = 1> (r, v) }",
        w=noise(16, 24),
        b=noise(16),
        v=noise(12, 16),
    )


def conv() -> bytes:
    """Return convolutions with groups and strides, and one that goes up again."""
    return model(
        """main (float[1, 8, 64] x) => (float[1, 6, p] y) {
            h = Conv <group: int = 2, pads: ints = [1, 1], strides: ints = [2]> (x, w)
            r = Relu (h)
            y = ConvTranspose <strides: ints = [2]> (r, v)
        }""",
        w=noise(12, 4, 3),
        v=noise(12, 6, 4),
    )


def lstm() -> bytes:
    """Return one recurrent layer; its state goes in and out."""
    return model(
        """main (float[t, 1, 6] x, float[1, 1, 8] h0, float[1, 1, 8] c0)
            => (float[t, 1, 1, 8] y, float[1, 1, 8] h0_out, float[1, 1, 8] c0_out) {
            y, h0_out, c0_out = LSTM <hidden_size: int = 8> (x, w, r, b, , h0, c0)
        }""",
        w=noise(1, 32, 6),
        r=noise(1, 32, 8, seed=6),
        b=noise(1, 64),
    )


def branches() -> bytes:
    """Return a model whose weights lie in the branches of an If: one stored, one a Constant."""
    parsed = onnx_model.load(
        model(
            """main (float[1, n, 24] x, bool[1] loud) => (float[1, n, 24] y) {
                h = MatMul (x, w)
                y = If (loud) <
                    then_branch = a () => (float[1, n, 24] p) { p = MatMul (h, v) },
                    else_branch = b () => (float[1, n, 24] q) {
                        v = Constant <value: tensor = float[1] {1.0}> ()
                        q = MatMul (h, v)
                    }
                >
            }""",
            w=noise(24, 16),
        )
    )
    attributes = {a.name: a.g for a in parsed.graph.node[1].attribute}
    attributes["then_branch"].initializer.append(numpy_helper.from_array(noise(16, 24), "v"))
    constant = attributes["else_branch"].node[0].attribute[0].t
    constant.CopyFrom(numpy_helper.from_array(noise(16, 24, seed=7)))
    return onnx_model.serialized(parsed)


def embedding() -> bytes:
    """Return a table of 40 rows, of which four are looked up, and a transposed weight."""
    return model(
        """main (int64[1, 4] x) => (float[1, 4, 10] y) {
            h = Gather (w, x)
            t = Transpose <perm: ints = [1, 0]> (v)
            y = MatMul (h, t)
        }""",
        w=noise(40, 12),
        v=noise(10, 12),
    )


def integer_matmul(dtype: str = "int8") -> bytes:
    """Return what onnxruntime's dynamic quantization makes of x W."""
    return model(
        """main (float[1, n, 24] x) => (float[1, n, 32] y) {
            q, s, z = DynamicQuantizeLinear (x)
            h = MatMulInteger (q, w, z, w_zero)
            f = Cast <to: int = 1> (h)
            t = Mul (s, w_scale)
            y = Mul (f, t)
        }""",
        w=integers(24, 32, dtype=dtype),
        w_zero=np.array(128 if dtype == "uint8" else 0, dtype),
        w_scale=np.float32(np.full(32, 0.01)),
    )


EVERY_KIND = {
    "matmul": matmul,
    "gemm": gemm,
    "conv": conv,
    "lstm": lstm,
    "branches": branches,
    "embedding": embedding,
    "int8": integer_matmul,
    "uint8": lambda: integer_matmul("uint8"),
}
