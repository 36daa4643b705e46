"""Compute in advance what an ONNX model computes from constants alone.

What it does
    Replaces nodes that depend on no input by their results, takes the branch of each If whose
    condition is then known, skips Identity nodes, and drops nodes and weights that no output
    needs any more. Equal weights are kept once. A result that takes more room than what it
    replaces (a weight read as it is and transposed, a half precision weight made wide) is left to
    the runtime, which computes it once, while it loads.

Why
    Exporters write shapes and masks as graphs that compute them. onnxruntime folds them at every
    load; on every device. Silero's 16 kHz file (350 nodes) loads in half the time.

Keeps
    The names, types and meaning of all outputs and inputs, and every number. Never makes a file
    larger; a model that would become larger stays as it is.

Proof
    ``same-numbers``: both models give the same outputs, run over sequences with their state.

Source
    ONNX specification, "Names Within a Graph". onnxruntime is the calculator, so that the numbers
    are the ones that it would compute itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.formats.onnx_rewrite import rewritten
from toolchain.formats.onnx_specialize import with_constants_folded
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass


@dataclass(frozen=True)
class FoldConstants(ArtifactPass):
    """Fold; there is nothing to choose."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ONNX})
    proof: ClassVar[str] = "same-numbers"

    def rewrite(self, data: bytes) -> bytes:
        """Return the smaller model; ``data`` itself if nothing is to fold.

        Errors:
            InputError: no ONNX model, weights in another file, or onnxruntime cannot load it.
            PassError: the result breaks the rules of ONNX although ``data`` does not.
        """
        return rewritten(data, with_constants_folded, only_smaller=True)
