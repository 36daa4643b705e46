"""Matrix products in 8-bit integers: activations are rounded as they come (MatMulInteger)."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from toolchain.formats.integer_grid import grid
from toolchain.formats.onnx_constants import Scope
from toolchain.formats.onnx_products import Product, Rewrite, Writer, product_of, rewritten

_LEAST_SIDE = 16
"""Ours: of K and N. Rounding the activations costs as much as the product of so small a matrix."""
_MOST = 127  # of the codes: int8, symmetric


def with_matmul_integer(model: ModelProto) -> bool:
    """Write every product of ``model`` with known weights as MatMulInteger; False: none was.

    Weights are int8 with a step a column (those that are on such a grid already do not change);
    activations are rounded to uint8 over the range of the whole tensor, once for all products that
    read them. MatMulNBits of 4 and 8 bits is rewritten too: its blocks become columns.

    The nodes are those that onnxruntime fuses into one (MatMulIntegerToFloat).
    """

    def rewrites() -> Rewrite:
        rounded: dict[str, tuple[str, str, str]] = {}

        def rewrite(node: NodeProto, scope: Scope, writer: Writer) -> bool:
            product = product_of(node, scope)
            if product is None or min(product.weights.shape) < _LEAST_SIDE:
                return False
            if product.activations not in rounded:
                rounded[product.activations] = _rounded(product.activations, writer)
            _write(product, rounded[product.activations], writer)
            return True

        return rewrite

    return rewritten(model, rewrites)


def _rounded(activations: str, writer: Writer) -> tuple[str, str, str]:
    """Return the names of codes, step and zero point of ``activations``."""
    names = tuple(writer.free(f"{activations}.{part}") for part in ("codes", "step", "zero"))
    writer.add("DynamicQuantizeLinear", [activations], *names)
    return names[0], names[1], names[2]


def _write(product: Product, rounded: tuple[str, str, str], writer: Writer) -> None:
    name, output = product.node.input[1], product.node.output[0]
    codes, steps = grid(np.ascontiguousarray(product.weights.T), _MOST)
    stored = writer.constant(f"{name}.codes", codes.T)
    factors = writer.constant(f"{name}.steps", steps)
    total, wide, scale = (writer.free(f"{output}.{p}") for p in ("total", "wide", "scale"))
    writer.add("MatMulInteger", [rounded[0], stored, rounded[2]], total)
    writer.add("Cast", [total], wide, to=TensorProto.FLOAT)
    writer.add("Mul", [rounded[1], factors], scale)
    result = writer.free(output) if product.bias else output
    writer.add("Mul", [wide, scale], result)
    if product.bias:
        writer.add("Add", [result, product.bias], output)
