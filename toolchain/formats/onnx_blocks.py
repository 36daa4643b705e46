"""Finds the block-quantized matrices of an ONNX model: codes, scales, minima, and who reads them.

A matrix is what a MatMulNBits multiplies with, as ``llama_weights`` writes it: its number is
``scale * (code - zero) + minimum``, with one scale and one minimum a block. Minima, where there
are some, are multiplied with the sums of the blocks' activations and added by a Gemm.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

from toolchain.formats import onnx_model
from toolchain.formats.onnx_builder import MICROSOFT

_MIDDLE = {4: 8, 8: 128}  # MatMulNBits' zero point where none is given
_CODES: Collection[int] = (TensorProto.UINT8,)
_SCALED: Collection[int] = (TensorProto.FLOAT16, TensorProto.FLOAT)
_PASSING = {"Cast", "Reshape", "Identity"}  # what stands between a stored factor and its reader
_MOST_STEPS = 8  # of a walk from a reader to what is stored
_ZERO_POINTS = 3  # position of MatMulNBits' optional input; group indices follow


@dataclass(frozen=True, eq=False)
class Stored:
    """A tensor of the main graph; ``index`` counts as ``onnx_model.tensors`` does."""

    index: int
    values: NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class BlockMatrix:
    """A matrix (rows, blocks * block) on 4- or 8-bit codes.

    Shapes:
        codes: (rows, blocks, block * bits / 8) uint8; of 4-bit codes, number 2j is the low half of
            byte j
        scales, minima: (rows, blocks), float16 or float32
    """

    name: str
    activations: str  # what it is multiplied with, (n, blocks * block), before positions are cut
    bits: int
    block: int
    zero: float
    gathered: bool  # its rows are also looked up: a tied embedding
    codes: Stored
    scales: Stored
    minima: Stored | None

    @property
    def columns(self) -> int:
        """Numbers in a row."""
        return int(self.codes.values.shape[1]) * self.block

    def numbers(self) -> NDArray[np.float32]:
        """Return (rows, blocks, block): what the codes stand for, less the minimum."""
        scales = self.scales.values.astype(np.float32)[:, :, None]
        return scales * self.units()

    def units(self) -> NDArray[np.float32]:
        """Return (rows, blocks, block): ``code - zero``."""
        stored = self.codes.values.astype(np.uint8, copy=False)
        if self.bits == 8:  # noqa: PLR2004 - 4 or 8
            return stored.astype(np.float32) - np.float32(self.zero)
        found = np.empty((*stored.shape[:2], self.block), np.float32)
        found[..., 0::2] = stored & 15
        found[..., 1::2] = stored >> 4
        return found - np.float32(self.zero)


def block_matrices(data: bytes) -> list[BlockMatrix]:
    """Return the block-quantized matrices of the main graph, in the order of their products.

    Left out is what is not as described above: zero points, factors that are products of two
    tensors (K-quants), codes or factors with readers that are not understood.

    Errors:
        FormatError, InputError: as ``onnx_model.load``.
    """
    model = onnx_model.load(data)
    seen = _Graph.of(model)
    found: dict[str, BlockMatrix] = {}
    for node in model.graph.node:
        if node.op_type == "MatMulNBits" and node.domain == MICROSOFT:
            matrix = seen.matrix(node)
            if matrix is not None:
                found[matrix.name] = matrix
    return list(found.values())


@dataclass(frozen=True)
class _Graph:
    stored: Mapping[str, tuple[int, TensorProto]]
    makers: Mapping[str, NodeProto]
    readers: Mapping[str, list[NodeProto]]

    @classmethod
    def of(cls, model: ModelProto) -> _Graph:
        graph = model.graph
        readers: dict[str, list[NodeProto]] = {}
        for node in onnx_model.nodes(model):
            for name in node.input:
                readers.setdefault(name, []).append(node)
        outside = {v.name for v in (*graph.input, *graph.output)}
        return cls(
            {t.name: (i, t) for i, t in enumerate(graph.initializer) if t.name not in outside},
            {name: node for node in graph.node for name in node.output},
            readers,
        )

    def matrix(self, node: NodeProto) -> BlockMatrix | None:
        """Return what a MatMulNBits multiplies with, if it is understood."""
        attributes = {a.name: a.i for a in node.attribute}
        bits, block = attributes.get("bits", 4), attributes["block_size"]
        if bits not in _MIDDLE or any(node.input[_ZERO_POINTS:]):
            return None
        codes = self._tensor(node.input[1], _CODES)
        scales = self._source(node.input[2])
        gathered = self._lookups(node)
        if codes is None or scales is None or gathered is None:
            return None
        rows, count, _ = codes.values.shape
        beyond = self._beyond(node.output[0], scales)
        if scales.values.size != rows * count or beyond is None:
            return None
        minima, missing = beyond
        shape = (rows, count)
        return BlockMatrix(
            name=node.input[1],
            activations=self._uncut(node.input[0]),
            bits=bits,
            block=block,
            zero=_MIDDLE[bits] - missing,
            gathered=gathered,
            codes=codes,
            scales=Stored(scales.index, scales.values.reshape(shape)),
            minima=None if minima is None else Stored(minima.index, minima.values.reshape(shape)),
        )

    def _uncut(self, name: str) -> str:
        maker = self.makers.get(name)
        return maker.input[0] if maker is not None and maker.op_type == "Slice" else name

    def _lookups(self, node: NodeProto) -> bool | None:
        """Return whether the codes of a product are looked up too; None: by somebody else."""
        others = [r for r in self.readers[node.input[1]] if r is not node]
        if any(r.op_type != "Gather" for r in others):
            return None
        return bool(others)

    def _beyond(self, product: str, scales: Stored) -> tuple[Stored | None, float] | None:
        """Return the minima that are added to a product, and how far codes count from its middle.

        None: something is added that is not understood.
        """
        adders = [
            r
            for r in self.readers.get(product, [])
            if r.op_type == "Gemm" and list(r.input)[2:] == [product]
        ]
        if not adders:
            return None, 0.0
        name = adders[0].input[1]
        maker = self.makers.get(name)
        if maker is None or maker.op_type != "Add":
            minima = self._source(name)
            return None if minima is None else (minima, 0.0)
        sources = [self._source(part) for part in maker.input]
        shifts = [self._shift(part, scales) for part in maker.input]
        pairs = [(sources[0], shifts[1]), (sources[1], shifts[0])]
        known = [(m, s) for m, s in pairs if m is not None and s is not None]
        return known[0] if known else None

    def _shift(self, name: str, scales: Stored) -> float | None:
        """Return k if ``name`` is ``k * scales``."""
        maker = self.makers.get(name)
        if maker is None or maker.op_type != "Mul":
            return None
        for scaled, number in (maker.input, maker.input[::-1]):
            source = self._source(scaled)
            if source is not None and source.index == scales.index and number in self.stored:
                values = numpy_helper.to_array(self.stored[number][1])
                return float(values.item()) if values.size == 1 else None
        return None

    def _source(self, name: str) -> Stored | None:
        """Return the stored factors that arrive at ``name`` unchanged but in type and shape."""
        for _ in range(_MOST_STEPS):
            maker = self.makers.get(name)
            if maker is None or maker.op_type not in _PASSING:
                break
            name = maker.input[0]
        return self._tensor(name, _SCALED)

    def _tensor(self, name: str, types: Collection[int]) -> Stored | None:
        index, tensor = self.stored.get(name, (0, None))
        if tensor is None or tensor.data_type not in types:
            return None
        return Stored(index, numpy_helper.to_array(tensor))
