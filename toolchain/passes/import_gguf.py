"""Turn a llama GGUF model into an ONNX graph on the same 4-bit blocks.

What it does
    Writes the graph of the model (RMS norm, rotary embedding, grouped attention with a key/value
    cache, SwiGLU, tied embedding) as ONNX. Q4_1, Q4_0 and Q8_0 blocks go unchanged into
    MatMulNBits; the minimum of a Q4_1 block is added exactly, not rounded to a zero point. The
    tokenizer and all other metadata travel along as metadata of the ONNX model.

Why
    One runtime then runs the whole voice pipeline, on every platform it has, and the language
    model takes a quarter of what its float32 graph takes on disk and in memory.

Options
    ``accuracy_level`` (0 to 4) is that of MatMulNBits: 0 computes in float32 and is 10 to 30
    times slower; 4 rounds activations to 8 bits, block by block. The weights are the same.

Inputs and outputs of the graph
    See ``toolchain/formats/llama_interface.py``: ``input_ids``, ``past.N.key/value``, optional
    ``logits_from``; ``logits``, ``present.N.key/value``.

Proof
    ``same-tokens``: the float32 graph of the same file chooses the same tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

from toolchain.errors import ConfigError
from toolchain.formats import gguf
from toolchain.formats.llama import llama
from toolchain.formats.llama_packed import packed_graph
from toolchain.formats.onnx_model import serialized
from toolchain.ir import ArtifactId, Kind
from toolchain.passes.base import ArtifactPass

_LEVELS = range(5)  # com.microsoft MatMulNBits, attribute accuracy_level


@dataclass(frozen=True)
class ImportGguf(ArtifactPass):
    """Write GGUF as ONNX; the result is another format, so it may be larger."""

    kinds = frozenset({Kind.GGUF})
    produces = Kind.ONNX
    pays_in_bytes = True
    proof = "same-tokens"
    accuracy_level: int = 4

    def __post_init__(self) -> None:
        """Refuse a level that MatMulNBits does not have."""
        if self.accuracy_level not in _LEVELS:
            raise ConfigError(
                f"accuracy_level is {self.accuracy_level}", hint="it must be 0, 1, 2, 3 or 4"
            )

    def rewrite(self, data: bytes) -> bytes:
        """Return ``data`` as an ONNX model."""
        model = packed_graph(llama(gguf.read(data)), accuracy_level=self.accuracy_level)
        return serialized(model)

    def rename(self, name: ArtifactId) -> ArtifactId:
        """Return the name with ``.onnx`` in place of ``.gguf``."""
        return ArtifactId(name.removesuffix(".gguf") + ".onnx")
