"""Keep equal weights of an ONNX model once, and one of two that are each other's transpose.

What it does
    Finds weights with the same type, shape and numbers, in the main graph and in branches and loop
    bodies, stored as initializers or in Constant nodes, and lets all readers read one of them.
    Of two matrices of which one is the other's transpose it keeps one. Where the other was only
    looked up in row by row (an embedding whose transpose is the last layer), columns of the kept
    one are looked up instead, and the few numbers that were found are transposed: the copy is in
    memory no more either. Everywhere else a Transpose makes it, which onnxruntime computes once,
    while it loads.

Why
    Exporters write a tied embedding twice, and every branch gets its own weights. Moonshine's
    decoder is 29.7 MB, 9.4 MB of which are its embedding again, turned. No compressor finds that.

Options
    ``transposed`` (default on): also share transposed matrices.
    ``least_bytes``: smaller matrices are not compared with others' transposes; a Transpose node
    takes about 100 bytes itself.

Keeps
    The names, types and meaning of all inputs and outputs, and every number.

Proof
    ``same-numbers``: both models give the same outputs, run over sequences with their state.

Source
    ONNX specification, "Names Within a Graph" (what a branch can read), Gather-13, Transpose-13.
    Measured on Moonshine's decoder, onnxruntime 1.32: columns instead of rows cost 0.1 ms of
    1.8 ms a token and save 10 MB of memory; a Transpose folded at load costs 25 ms of load.
    1,000 bytes: ours, ten times what a node takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.formats.onnx_rewrite import rewritten
from toolchain.formats.onnx_transposed import shared_weights
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass


@dataclass(frozen=True)
class ShareTensors(ArtifactPass):
    """Share equal weights, and transposed ones of ``least_bytes`` or more."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ONNX})
    proof: ClassVar[str] = "same-numbers"

    transposed: bool = True
    least_bytes: int = 1000

    def rewrite(self, data: bytes) -> bytes:
        """Return the model with every weight once; ``data`` itself if it is so already.

        Errors:
            InputError: no ONNX model, weights in another file, or onnxruntime cannot load it.
            PassError: the result breaks the rules of ONNX although ``data`` does not.
        """
        least_bytes = self.least_bytes if self.transposed else None
        return rewritten(data, lambda model: shared_weights(model, least_bytes=least_bytes))
