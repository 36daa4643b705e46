"""How the weights of a GGUF model enter an ONNX graph: blocks as they are, the rest as floats.

A matrix of blocks becomes a MatMulNBits with the file's codes and scales, unchanged. It computes
``scale * (code - middle)``. What a format has beyond that (a minimum, codes that count from 0) is
a constant a block: it is multiplied with the sum of the block's activations and added. (Rounding
that constant to a 4-bit zero point would cost a third of top-1 agreement.) Scales and minima stay
in the types of the file; onnxruntime widens them once, when it loads.

A matrix of another format becomes a Gemm. It is stored as float16 where that holds every number,
bfloat16 stays, all else is float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from toolchain.formats.gguf import GgufModel, GgufTensor
from toolchain.formats.gguf_blocks import Blocks, as_float32, blocks, has_blocks, stacked
from toolchain.formats.gguf_layouts import Factors
from toolchain.formats.onnx_builder import MICROSOFT, GraphBuilder

_MIDDLE = {4: 8, 8: 128}  # MatMulNBits' zero point where none is given

_INT8 = 4  # accuracy_level of MatMulNBits: activations are rounded to 8 bits, block by block
_WIDE_BITS = 8


@dataclass(frozen=True)
class Weights:
    """Adds products with the tensors of ``model`` to ``graph``."""

    model: GgufModel
    graph: GraphBuilder
    accuracy_level: int

    def vector(self, tensor: GgufTensor) -> str:
        """Return a tensor as float32."""
        return self.graph.constant(tensor.name, as_float32(self.model, tensor))

    def linear(self, states: str, name: str, tensors: Sequence[GgufTensor]) -> str:
        """Return (n, rows) for (n, columns) ``states`` and matrices stacked row on row."""
        if len({tensor.type_name for tensor in tensors}) > 1:
            each = [self.linear(states, tensor.name, [tensor]) for tensor in tensors]
            return self.graph.add("Concat", *each, axis=-1)
        if not has_blocks(tensors[0]):
            matrix = self._widened(self._floats(name, tensors))
            return self.graph.add("Gemm", states, matrix, transB=1)
        table = stacked([blocks(self.model, tensor) for tensor in tensors])
        return self._product(states, name, table)

    def rows(self, tensor: GgufTensor, ids: str) -> str:
        """Return (n, columns) float32 for (1, n) ``ids``: rows, exactly as dequantized."""
        add, graph = self.graph.add, self.graph
        if not has_blocks(tensor):
            stored = self._floats(tensor.name, [tensor])
            ids = add("Reshape", ids, graph.integers(-1))
            picked = add("Gather", stored, ids)
            narrow = graph.constants[stored].data_type != TensorProto.FLOAT
            return self._widened(picked) if narrow else picked
        table = blocks(self.model, tensor)
        codes, scales = self._stored(tensor.name, table)
        ids = add("Reshape", ids, graph.integers(-1))
        picked = add("Gather", codes, ids)
        if table.bits == 4:  # noqa: PLR2004 - 4 or 8
            picked = self._unpacked(picked, table.block)
        numbers = add("Cast", picked, to=TensorProto.FLOAT)
        if table.zero:
            numbers = add("Sub", numbers, graph.scalar(table.zero, np.float32))
        factors = self._picked(scales, table.scales, ids)
        numbers = add("Mul", numbers, add("Unsqueeze", factors, graph.integers(2)))
        if table.minima is not None:
            minima = self._factors(f"{tensor.name}.minima", table.minima)
            lowest = self._picked(minima, table.minima, ids)
            numbers = add("Add", numbers, add("Unsqueeze", lowest, graph.integers(2)))
        return add("Reshape", numbers, graph.integers(-1, tensor.shape[0]))

    def _product(self, states: str, name: str, table: Blocks) -> str:
        rows, count, _ = table.codes.shape
        codes, scales = self._stored(name, table)
        factors = self._numbers(scales, table.scales)
        product = self.graph.add(
            f"{MICROSOFT}:MatMulNBits",
            states,
            codes,
            self.graph.add("Reshape", factors, self.graph.integers(-1)),
            K=count * table.block,
            N=rows,
            bits=table.bits,
            block_size=table.block,
            accuracy_level=_level(self.accuracy_level, table.bits),
        )
        if table.minima is None:
            return product
        stored = self._factors(f"{name}.minima", table.minima)
        constants = self._numbers(stored, table.minima)
        return self._plus_constants(product, states, table, (factors, constants))

    def _plus_constants(
        self, product: str, states: str, table: Blocks, factors: tuple[str, str]
    ) -> str:
        """Add each block's constant times the sum of its activations."""
        add, graph = self.graph.add, self.graph
        scales, constants = factors
        if missing := _MIDDLE[table.bits] - table.zero:
            beyond = add("Mul", scales, graph.scalar(missing, np.float32))
            constants = add("Add", constants, beyond)
        in_blocks = add("Reshape", states, graph.integers(0, -1, table.block))
        sums = add("ReduceSum", in_blocks, graph.integers(2), keepdims=0)
        return add("Gemm", sums, constants, product, transB=1)

    def _unpacked(self, pairs: str, block: int) -> str:
        """Return (n, blocks, block) codes of (n, blocks, block / 2) bytes."""
        add, graph = self.graph.add, self.graph
        low = add("BitwiseAnd", pairs, graph.constant("uint8_15", np.array(15, np.uint8)))
        four = graph.constant("uint8_4", np.array(4, np.uint8))
        high = add("BitShift", pairs, four, direction="RIGHT")
        both = [add("Unsqueeze", half, graph.integers(3)) for half in (low, high)]
        return add("Reshape", add("Concat", *both, axis=3), graph.integers(0, 0, block))

    def _stored(self, name: str, table: Blocks) -> tuple[str, str]:
        codes = self.graph.constant(f"{name}.codes", table.codes)
        return codes, self._factors(f"{name}.scales", table.scales)

    def _factors(self, name: str, factors: Factors) -> str:
        """Store factors; the integers of ``name`` are called ``name.fine``."""
        if factors.fine is not None:
            self.graph.constant(f"{name}.fine", factors.fine)
        return self.graph.constant(name, factors.coarse)

    def _picked(self, name: str, factors: Factors, ids: str) -> str:
        """Return (n, blocks) float32 for (n,) ``ids``."""
        fine = "" if factors.fine is None else self.graph.add("Gather", f"{name}.fine", ids)
        return self._multiplied(self.graph.add("Gather", name, ids), fine)

    def _numbers(self, name: str, factors: Factors) -> str:
        """Return (rows, blocks) float32."""
        return self._multiplied(name, "" if factors.fine is None else f"{name}.fine")

    def _multiplied(self, coarse: str, fine: str) -> str:
        wide = self._widened(coarse)
        if not fine:
            return wide
        exact = self.graph.add("Mul", wide, self._widened(fine))
        return self.graph.add("Reshape", exact, self.graph.integers(0, -1))

    def _floats(self, name: str, tensors: Sequence[GgufTensor]) -> str:
        parts = [_smallest(self.model, tensor) for tensor in tensors]
        same = len({part.dtype for part in parts}) == 1
        rows = np.concatenate(parts if same else [part.astype(np.float32) for part in parts])
        return self.graph.constant(name, rows)

    def _widened(self, name: str) -> str:
        stored = self.graph.constants.get(name)
        if stored is not None and stored.data_type == TensorProto.FLOAT:
            return name
        return self.graph.add("Cast", name, to=TensorProto.FLOAT)


def _smallest(model: GgufModel, tensor: GgufTensor) -> NDArray[np.generic]:
    """Return a matrix in the smallest float type that holds every number of it."""
    numbers = as_float32(model, tensor)
    if tensor.type_name == "BF16":
        return numbers.astype(helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16))
    with np.errstate(over="ignore"):
        halves = numbers.astype(np.float16)
    return halves if np.array_equal(halves, numbers) else numbers


def _level(asked: int, bits: int) -> int:
    """Return MatMulNBits' accuracy level: 8-bit products are in int8 unless 0 was asked for.

    In float32 the 8-bit output matrix of SmolLM2 alone takes 188 of 200 ms a token, in int8 2.
    """
    return _INT8 if bits == _WIDE_BITS and asked else asked
