"""Turn an ORT model, onnxruntime's own format, back into an ONNX model.

What it does
    Writes graph, weights, types, names and metadata of the flatbuffer as ONNX, with the graphs
    in If, Loop and Scan, the nodes in an order that ONNX allows, and the operator sets that are
    used. Operators that onnxruntime fused (DynamicQuantizeMatMul, FusedMatMul, QuickGelu ...)
    stay, in onnxruntime's domain.

Why
    The other passes and every tool read ONNX. An ORT file is what a vendor shipped; unused
    branches, copies of weights and wide weights in it can be removed only after this.

Keeps
    Every weight byte for byte, the names of all values, the operators. Not kept: doc strings of
    nodes, and onnxruntime's notes to itself (edges, kernel tables, recorded optimizations), which
    follow from the graph. A model saved for one machine (optimization level ``all``: weights in
    blocks) or with its weights in another file is left alone.

Proof
    ``same-answers``: both models give the same bits.

Source
    onnxruntime, ``core/flatbuffers/schema/ort.fbs``; onnx, ``onnx.proto``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.formats.onnx_model import serialized
from toolchain.formats.ort_to_onnx import to_onnx
from toolchain.ir import ArtifactId, Kind
from toolchain.passes.base import ArtifactPass


@dataclass(frozen=True)
class ImportOrt(ArtifactPass):
    """Write ORT as ONNX; the result is another format, so it may be larger."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ORT})
    produces: ClassVar[Kind | None] = Kind.ONNX
    pays_in_bytes: ClassVar[bool] = True
    proof: ClassVar[str] = "same-answers"

    def rewrite(self, data: bytes) -> bytes:
        """Return ``data`` as an ONNX model."""
        return serialized(to_onnx(data))

    def rename(self, name: ArtifactId) -> ArtifactId:
        """Return the name with ``.onnx`` in place of ``.ort``."""
        return ArtifactId(name.removesuffix(".ort") + ".onnx")
