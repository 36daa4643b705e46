"""Drop from an ONNX model what no output needs.

What it does
    Drops weights that nothing reads, nodes whose results nobody uses, results of branches that
    nobody takes (and in the branches all that only these needed), functions that are never
    called; and what no runtime reads: stored shapes of inner values, doc strings, and notes of
    exporters about nodes and values. With options also outputs and inputs.

Why
    Exporters leave behind what their own optimizations made useless, and write where in their
    source code each node came from. An application that reads one of three outputs pays for all.

Options
    ``outputs``: names of outputs that the application does not read. A model without them stays.
    ``inputs`` (default off): also drop inputs that nothing reads. Callers must then no longer
    feed them: onnxruntime refuses an input that it does not know.

Keeps
    The names, types and meaning of all other outputs and inputs, every number, the metadata of
    the model itself, and stored shapes of inner values: onnxruntime infers shapes for itself, but
    fuses less without those of the file (measured on hibari: two SkipLayerNormalization, and then
    other numbers).

Proof
    ``same-numbers``: both models give the same outputs, run over sequences with their state.

Source
    ONNX specification, "Graphs": a value that is no output and that no node reads has no effect,
    and no operator has effects of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.formats.onnx_cleanup import without_unused
from toolchain.formats.onnx_rewrite import rewritten
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass


@dataclass(frozen=True)
class DropUnused(ArtifactPass):
    """Drop what is not needed; with ``inputs``, and ``outputs`` by name."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ONNX})
    proof: ClassVar[str] = "same-numbers"

    outputs: tuple[str, ...] = ()
    inputs: bool = False

    def rewrite(self, data: bytes) -> bytes:
        """Return the smaller model; ``data`` itself if all of it is needed.

        Errors:
            InputError: no ONNX model, weights in another file, or onnxruntime cannot load it.
            ConfigError: no output would be left.
            PassError: the result breaks the rules of ONNX although ``data`` does not.
        """
        return rewritten(
            data,
            lambda model: without_unused(model, outputs=self.outputs, inputs=self.inputs),
            only_smaller=True,
        )
