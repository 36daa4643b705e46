"""Turn a llama GGUF model into an ONNX graph on the same blocks of few bits.

What it does
    Writes the graph of the model (RMS norm, rotary embedding, grouped attention with a key/value
    cache, SwiGLU, tied or separate output) as ONNX. The blocks of Q4_0, Q4_1, Q5_0, Q5_1, Q8_0
    and the K-quants Q2_K to Q6_K go unchanged into MatMulNBits, of 4 bits or 8; the minimum of a
    block is added exactly, not rounded to a zero point. F32, F16 and BF16 matrices, and those of
    other formats dequantized, are stored in the smallest float type that holds every number.
    Formats may be mixed. The tokenizer and all other metadata travel along as metadata of the
    ONNX model.

Why
    One runtime then runs the whole voice pipeline, on every platform it has, and the language
    model takes a quarter of what its float32 graph takes on disk and in memory.

Options
    ``accuracy_level`` (0 to 4) is that of MatMulNBits; the weights are the same. 0 computes all in
    float32 and is 10 to 30 times slower, because of the 8-bit products. 1 computes those with
    4-bit blocks in float32 and rounds activations to 8 bits for the others; 4 rounds all.
    SmolLM2-135M against its float32 graph: 99.6 % of tokens and 20 ms each at 1, 97.2 % and
    15 ms at 4.

Inputs and outputs of the graph
    ``input_ids`` (1, n) int64, ``past.L.key`` and ``past.L.value`` for each layer L, the optional
    ``logits_from``; ``logits``, ``present.L.key`` and ``present.L.value``. Shapes and meaning:
    ``toolchain/formats/llama_interface.py``.

Keeps
    Every code, scale and minimum of the file, and every metadata key. A model of another
    architecture, with a tensor that would be ignored, or with weights that are no numbers is left
    alone.

Proof
    ``same-tokens``: the float32 graph of the same file chooses the same tokens.

Source
    ggml, ``docs/gguf.md`` and ``ggml-common.h``; onnxruntime, ``ContribOperators.md``
    (MatMulNBits, GroupQueryAttention); Touvron et al., LLaMA, 2023, section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

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

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.GGUF})
    produces: ClassVar[Kind | None] = Kind.ONNX
    pays_in_bytes: ClassVar[bool] = True
    lossy: ClassVar[bool] = True  # all levels but 0 round activations
    guarded: ClassVar[bool] = True  # same-tokens has limits
    proof: ClassVar[str] = "same-tokens"

    accuracy_level: int = 1

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
