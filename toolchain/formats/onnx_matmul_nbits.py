"""Matrix products on blocks of 8- or 4-bit weights: onnxruntime's MatMulNBits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto

from toolchain.formats.integer_grid import codes, exact_steps
from toolchain.formats.onnx_builder import MICROSOFT
from toolchain.formats.onnx_constants import Scope
from toolchain.formats.onnx_products import (
    Product,
    Rewrite,
    Weights,
    Writer,
    product_of,
    rewritten,
    with_domain,
)

_BLOCK = 32  # the smallest MatMulNBits knows, so the finest scales
_INT8 = 4  # accuracy_level: activations are rounded to int8 too; level 0 is 13 to 30 times slower
_NIBBLE = 4  # bits
_LEAST_ELEMENTS = 1024
"""Ours: below that a product takes about as long as calling it, and its scales outweigh it."""


def with_matmul_nbits(model: ModelProto, bits: int) -> bool:
    """Write every float32 product of ``model`` with known weights as MatMulNBits; False: none was.

    Weights are symmetric, with a step a block of 32; those that are small integers times a step
    already (a step a column, or a block) do not change. Activations are rounded to int8.
    """

    def rewrite(node: NodeProto, scope: Scope, writer: Writer) -> bool:
        product = None if node.domain else product_of(node, scope)
        if product is None or product.weights.size < _LEAST_ELEMENTS:
            return False
        _write(product, bits, writer)
        return True

    def rewrites() -> Rewrite:
        return rewrite

    if not rewritten(model, rewrites):
        return False
    with_domain(model, MICROSOFT)
    return True


def _write(product: Product, bits: int, writer: Writer) -> None:
    width, columns = product.weights.shape
    blocks, steps = blocked(product.weights, bits)
    name = product.node.input[1]
    stored = [
        writer.constant(f"{name}.blocks", blocks),
        writer.constant(f"{name}.steps", steps.reshape(-1)),
    ]
    output = product.node.output[0]
    result = writer.free(output) if product.bias else output
    writer.add(
        f"{MICROSOFT}:MatMulNBits",
        [product.activations, *stored],
        result,
        K=width,
        N=columns,
        bits=bits,
        block_size=_BLOCK,
        accuracy_level=_INT8,
    )
    if product.bias:
        writer.add("Add", [result, product.bias], output)


def blocked(weights: Weights, bits: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return MatMulNBits' B and scales for ``weights`` (K, N), K padded with zeros to whole blocks.

    Shapes:
        returns: (N, blocks, 4 * bits) uint8; (N, blocks) float32

    Source: onnxruntime, ContribOperators.md, MatMulNBits; without zero points codes are read as
    ``code - 2 ** (bits - 1)``, and the lower nibble comes first.
    """
    width, columns = weights.shape
    count = -(-width // _BLOCK)
    rows = np.zeros((columns, count * _BLOCK), np.float32)
    rows[:, :width] = weights.T
    parts = rows.reshape(columns * count, _BLOCK)
    most = (1 << (bits - 1)) - 1
    steps = np.repeat(exact_steps(rows, most), count)
    if not steps.any():
        steps = exact_steps(parts, most)
    peaks = np.abs(parts).max(axis=1)
    steps = np.where(steps > 0, steps, peaks / np.float32(most)).astype(np.float32)
    unsigned = (codes(parts, steps, most).astype(np.int16) + most + 1).astype(np.uint8)
    stored = unsigned[:, 0::2] + unsigned[:, 1::2] * 16 if bits == _NIBBLE else unsigned
    return stored.astype(np.uint8).reshape(columns, count, -1), steps.reshape(columns, count)
