"""Writes small GGUF models for tests, with the writer and quantizer of the gguf package."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import quantize
from numpy.typing import NDArray

Value = str | bool | int | float | list[str] | list[int]


# Of K-quants, which the gguf package only reads: where a super-block keeps its float16 scale, and
# the scale with which random codes have a deviation of 1 / 16, as a matrix of 256 columns has.
_K_SCALES = {"Q2_K": (80, 0.0044), "Q3_K": (108, 0.0014), "Q4_K": (0, 0.00023)}
_K_SCALES |= {"Q5_K": (0, 0.000115), "Q6_K": (208, 0.000044)}
# Where the float16 of the minima is, and how many scales make the mean 0.
_K_MINIMA = {"Q2_K": (82, 1.5), "Q4_K": (2, 7.5), "Q5_K": (2, 15.5)}


@dataclass(frozen=True)
class Tensor:
    """Numbers in row-major order and the format to store them in.

    K-quants hold other numbers, which follow from the name.
    """

    name: str
    kind: str
    numbers: NDArray[np.float32]


def tensor(name: str, kind: str, *sizes: int) -> Tensor:
    """Return numbers that follow from the name; ``sizes`` in ggml's order, norms near one."""
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    numbers = generator.standard_normal(sizes[::-1]).astype(np.float32)
    norm = len(sizes) == 1
    return Tensor(name, kind, 1 + numbers / 8 if norm else numbers * np.float32(sizes[0] ** -0.5))


def llama(  # noqa: PLR0913 - sizes of a model, all named
    *,
    layers: int = 2,
    hidden: int = 64,
    heads: int = 4,
    kv_heads: int = 2,
    inner: int = 96,
    vocabulary: int = 64,
    tied: bool = True,
    head_size: int = 0,
    kinds: Mapping[str, str] | None = None,
) -> tuple[dict[str, Value], list[Tensor]]:
    """Return metadata and tensors of a llama model; ``kinds`` overrides formats by name part.

    ``kinds["*"]`` is for all matrices that no other entry names.
    """
    size = head_size or hidden // heads
    kv = size * kv_heads
    metadata: dict[str, Value] = {
        "general.architecture": "llama",
        "llama.block_count": layers,
        "llama.context_length": 128,
        "llama.embedding_length": hidden,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": kv_heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10_000.0,
        "tokenizer.ggml.tokens": [f"\u0120{i}" for i in range(vocabulary)],
        "tokenizer.ggml.eos_token_id": 2,
    }
    if head_size:
        metadata["llama.attention.key_length"] = metadata["llama.attention.value_length"] = size
        metadata["llama.rope.dimension_count"] = size
    shapes = {
        "attn_norm": (hidden,),
        "attn_q": (hidden, heads * size),
        "attn_k": (hidden, kv),
        "attn_v": (hidden, kv),
        "attn_output": (heads * size, hidden),
        "ffn_norm": (hidden,),
        "ffn_gate": (hidden, inner),
        "ffn_up": (hidden, inner),
        "ffn_down": (inner, hidden),
    }
    kinds = kinds or {}
    end = kinds.get("*", "Q8_0")
    made = [tensor("token_embd.weight", kinds.get("token_embd", end), hidden, vocabulary)]
    for layer in range(layers):
        for part, sizes in shapes.items():
            kind = kinds.get(part, "F32" if len(sizes) == 1 else kinds.get("*", "Q4_1"))
            made.append(tensor(f"blk.{layer}.{part}.weight", kind, *sizes))
    made.append(tensor("output_norm.weight", "F32", hidden))
    if not tied:
        made.append(tensor("output.weight", kinds.get("output", end), hidden, vocabulary))
    return metadata, made


def written(metadata: Mapping[str, Value], tensors: Sequence[Tensor]) -> bytes:
    """Return a GGUF file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        architecture = metadata.get("general.architecture")
        writer = GGUFWriter(path, str(architecture))
        for key, value in metadata.items():
            if key != "general.architecture":
                _add(writer, key, value)
        for one in tensors:
            kind = GGMLQuantizationType[one.kind]
            stored = _stored(one, kind)
            writer.add_tensor(one.name, stored, raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def _stored(one: Tensor, kind: GGMLQuantizationType) -> NDArray[np.generic]:
    if one.kind not in _K_SCALES:
        found: NDArray[np.generic] = quantize(np.ascontiguousarray(one.numbers), kind)
        return found
    elements, size = GGML_QUANT_SIZES[kind]
    rows, columns = one.numbers.shape
    generator = np.random.default_rng(zlib.crc32(one.name.encode()))
    stored = generator.integers(0, 256, (rows, columns // elements, size), dtype=np.uint8)
    at, scale = _K_SCALES[one.kind]
    scales = generator.normal(scale, scale / 4, stored.shape[:2]).astype("<f2")
    stored[..., at : at + 2] = scales[..., None].view(np.uint8)
    if one.kind in _K_MINIMA:
        at, codes = _K_MINIMA[one.kind]
        minima = (scales * codes).astype("<f2")
        stored[..., at : at + 2] = minima[..., None].view(np.uint8)
    return stored.reshape(rows, -1)


def _add(writer: GGUFWriter, key: str, value: Value) -> None:
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, value)
