"""Matrix products in 8-bit integers: activations are rounded as they come (MatMulInteger)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto

from toolchain.formats.integer_grid import grid
from toolchain.formats.onnx_constants import Scope
from toolchain.formats.onnx_products import Product, Rewrite, Writer, product_of, rewritten

_LEAST_SIDE = 16
"""Ours: of K and N. Rounding the activations costs as much as the product of so small a matrix."""
_MOST = 127  # of the codes: int8, symmetric


@dataclass(frozen=True)
class _Digit:
    """Names of activations rounded to 8 bits: ``(codes - zero) * step``."""

    codes: str
    step: str
    zero: str


def with_matmul_integer(model: ModelProto, digits: int) -> bool:
    """Write every product of ``model`` with known weights as MatMulInteger; False: none was.

    Weights are int8 with a step a column (those that are on such a grid already do not change).
    Activations are rounded to uint8 over the range of the whole tensor, once for all products that
    read them. With two ``digits`` what that rounding leaves is rounded in the same way and
    multiplied too: 16 bits, for models whose activations have outliers, at twice the work.
    MatMulNBits of 4 and 8 bits is rewritten too: its blocks become columns.

    The nodes are those that onnxruntime fuses into one (MatMulIntegerToFloat).
    """

    def rewrites() -> Rewrite:
        rounded: dict[str, list[_Digit]] = {}

        def rewrite(node: NodeProto, scope: Scope, writer: Writer) -> bool:
            product = product_of(node, scope)
            if product is None or min(product.weights.shape) < _LEAST_SIDE:
                return False
            if product.activations not in rounded:
                rounded[product.activations] = _rounded(product.activations, digits, writer)
            _write(product, rounded[product.activations], writer)
            return True

        return rewrite

    return rewritten(model, rewrites)


def _rounded(activations: str, digits: int, writer: Writer) -> list[_Digit]:
    """Round ``activations``, then what is left of them; return the digits, the highest first."""
    found: list[_Digit] = []
    rest = activations
    for number in range(digits):
        names = [writer.free(f"{activations}.{part}") for part in ("codes", "step", "zero")]
        writer.add("DynamicQuantizeLinear", [rest], *names)
        digit = _Digit(*names)
        found.append(digit)
        if number + 1 < digits:
            back, left = (writer.free(f"{activations}.{part}") for part in ("back", "left"))
            writer.add("DequantizeLinear", [digit.codes, digit.step, digit.zero], back)
            writer.add("Sub", [rest, back], left)
            rest = left
    return found


def _write(product: Product, digits: list[_Digit], writer: Writer) -> None:
    name, output = product.node.input[1], product.node.output[0]
    codes, steps = grid(np.ascontiguousarray(product.weights.T), _MOST)
    stored = writer.constant(f"{name}.codes", codes.T)
    factors = writer.constant(f"{name}.steps", steps)
    terms = []
    for digit in digits:
        total, wide, scale = (writer.free(f"{output}.{p}") for p in ("total", "wide", "scale"))
        writer.add("MatMulInteger", [digit.codes, stored, digit.zero], total)
        writer.add("Cast", [total], wide, to=TensorProto.FLOAT)
        writer.add("Mul", [digit.step, factors], scale)
        terms.append(writer.free(output))
        writer.add("Mul", [wide, scale], terms[-1])
    if product.bias:
        terms.append(product.bias)
    while len(terms) > 1:
        first, second, *more = terms
        terms = [output if not more else writer.free(output), *more]
        writer.add("Add", [first, second], terms[0])
    if terms[0] != output:
        writer.nodes[-1].output[0] = output
