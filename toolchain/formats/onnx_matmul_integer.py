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
_ZERO = 128  # of the codes of rows: uint8, symmetric around it
_LEAST_PEAK = 1e-30  # ours: of a row; a row of zeros must not be divided by zero
_FIRST_OPSET = 11  # of ONNX, that has DynamicQuantizeLinear
_AXES_AS_INPUT = 18  # the first opset of ONNX in which ReduceMax takes its axes as an input


@dataclass(frozen=True)
class _Digit:
    """Names of activations rounded to 8 bits: ``(codes - zero) * step``."""

    codes: str
    step: str
    zero: str
    each_row: bool = False


def with_matmul_integer(model: ModelProto, digits: int, *, each_row: bool = False) -> bool:
    """Write every product of ``model`` with known weights as MatMulInteger; False: none was.

    Weights are int8 with a step a column (those that are on such a grid already do not change).
    Activations are rounded to uint8 over the range of the whole tensor, once for all products that
    read them; with ``each_row`` each row (a token, a frame) over its own, which halves the error of
    a transformer and takes a sixth more time. With two ``digits`` what that rounding leaves is
    rounded in the same way and multiplied too: 16 bits, for models whose activations have outliers,
    at twice the work. MatMulNBits of 4 and 8 bits is rewritten too: its blocks become columns.

    The nodes for whole tensors are those that onnxruntime fuses into one (MatMulIntegerToFloat).
    """
    opset = max((o.version for o in model.opset_import if not o.domain), default=0)
    if opset < _FIRST_OPSET:
        return False

    def rewrites() -> Rewrite:
        rounded: dict[str, list[_Digit]] = {}

        def rewrite(node: NodeProto, scope: Scope, writer: Writer) -> bool:
            product = product_of(node, scope)
            if product is None or min(product.weights.shape) < _LEAST_SIDE:
                return False
            name = product.activations
            if name not in rounded:
                rounded[name] = (
                    [_rounded_rows(name, opset, writer)]
                    if each_row
                    else _rounded(name, digits, writer)
                )
            _write(product, rounded[name], writer)
            return True

        return rewrite

    return rewritten(model, rewrites)


def _rounded_rows(activations: str, opset: int, writer: Writer) -> _Digit:
    """Round each row of ``activations`` by its own largest number."""
    sizes, peaks, some, steps, shares, codes = (
        writer.free(f"{activations}.{part}")
        for part in ("sizes", "peaks", "some", "step", "shares", "codes")
    )
    writer.add("Abs", [activations], sizes)
    if opset < _AXES_AS_INPUT:
        writer.add("ReduceMax", [sizes], peaks, axes=[-1], keepdims=1)
    else:
        last = writer.constant("last_axis", np.array([-1], np.int64))
        writer.add("ReduceMax", [sizes, last], peaks, keepdims=1)
    writer.add(
        "Max", [peaks, writer.constant("least_peak", np.array(_LEAST_PEAK, np.float32))], some
    )
    writer.add("Mul", [some, writer.constant("peak_share", np.array(1 / _MOST, np.float32))], steps)
    writer.add("Div", [activations, steps], shares)
    zero = writer.constant("row_zero", np.array(_ZERO, np.uint8))
    writer.add(
        "QuantizeLinear", [shares, writer.constant("one", np.array(1, np.float32)), zero], codes
    )
    return _Digit(codes, steps, zero, each_row=True)


def _rounded(activations: str, digits: int, writer: Writer) -> list[_Digit]:
    """Round ``activations``, then what is left of them; return the digits, the highest first."""
    found: list[_Digit] = []
    rest = activations
    for number in range(digits):
        names = [writer.free(f"{activations}.{part}") for part in ("codes", "step", "zero")]
        writer.add("DynamicQuantizeLinear", [rest], *names)
        digit = _Digit(names[0], names[1], names[2])
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
        terms.append(writer.free(output))
        if digit.each_row:
            # the other order onnxruntime 1.32 fuses, and takes the first row's step for all rows
            writer.add("Mul", [wide, factors], scale)
            writer.add("Mul", [scale, digit.step], terms[-1])
        else:
            writer.add("Mul", [digit.step, factors], scale)
            writer.add("Mul", [wide, scale], terms[-1])
    if product.bias:
        terms.append(product.bias)
    while len(terms) > 1:
        first, second, *more = terms
        terms = [output if not more else writer.free(output), *more]
        writer.add("Add", [first, second], terms[0])
    if terms[0] != output:
        writer.nodes[-1].output[0] = output
