"""What a llama-family GGUF model is: its sizes, its tensors, and what travels along as metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.gguf import GgufModel, GgufTensor, Value
from toolchain.formats.gguf_blocks import as_float32

_OPTIONAL = frozenset({"output.weight", "rope_freqs.weight"})


@dataclass(frozen=True, slots=True)
class Llama:
    """The sizes of a llama model and its tensors by name.

    ``hidden`` numbers a token, ``heads`` query heads of ``head_size``, ``kv_heads`` of the cache.
    """

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    epsilon: float
    rope_base: float
    tensors: Mapping[str, GgufTensor]
    model: GgufModel

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return self.tensors["token_embd.weight"].shape[1]

    def tensor(self, layer: int, name: str) -> GgufTensor:
        """Return a layer's weight, such as ``attn_q``."""
        return self.tensors[f"blk.{layer}.{name}.weight"]

    def rope_frequencies(self) -> NDArray[np.float32]:
        """Return the angle a token that each pair of a head turns by, (1, head_size / 2).

        Models made for long texts divide each angle by a factor of its own.

        Source: Su et al., RoFormer, 2021, section 3.2.2; ggml's ``rope_freqs``.
        """
        exponents = np.arange(0, self.head_size, 2) / self.head_size
        frequencies = (self.rope_base**-exponents).astype(np.float32)[None]
        factors = self.tensors.get("rope_freqs.weight")
        if factors is None:
            return frequencies
        slower: NDArray[np.float32] = frequencies / as_float32(self.model, factors)
        return slower


def llama(model: GgufModel) -> Llama:
    """Return the sizes and tensors of ``model``, all of them understood.

    Errors:
        InputError: another architecture; a size or tensor is missing, is wrong, or would be
            ignored.
    """
    architecture = model.text("general.architecture")
    if architecture != "llama":
        raise InputError(
            f"the architecture {architecture!r} cannot be imported",
            hint="only models of the llama architecture are supported",
        )
    heads = _size(model, "llama.attention.head_count")
    hidden = _size(model, "llama.embedding_length")
    head_size = _size(model, "llama.attention.key_length", hidden // heads)
    sizes = Llama(
        layers=_size(model, "llama.block_count"),
        hidden=hidden,
        heads=heads,
        kv_heads=_size(model, "llama.attention.head_count_kv", heads),
        head_size=head_size,
        epsilon=_number(model, "llama.attention.layer_norm_rms_epsilon", 1e-5),
        # 10000: the base of Su et al., RoFormer, 2021, and ggml's default
        rope_base=_number(model, "llama.rope.freq_base", 10_000.0),
        tensors={t.name: t for t in model.tensors},
        model=model,
    )
    if _size(model, "llama.rope.dimension_count", head_size) != head_size:
        raise InputError("rotary embedding of a part of each head is not supported")
    if _size(model, "llama.attention.value_length", head_size) != head_size:
        raise InputError("keys and values of different sizes are not supported")
    if model.metadata.get("llama.rope.scaling.type", "none") != "none":
        raise InputError("scaled rotary embedding is not supported")
    _check_tensors(sizes)
    return sizes


def metadata(model: GgufModel) -> dict[str, str]:
    """Return every metadata value as JSON text: what a tokenizer needs travels along.

    Errors:
        InputError: a key is no text.
    """
    for key in model.metadata:
        if not key.isprintable():  # bytes that are not UTF-8 are lone surrogates, which are not
            raise InputError(f"the metadata key {key!r} is no text", hint="fetch the file again")
    return {key: _json(value) for key, value in sorted(model.metadata.items())}


def _json(value: Value) -> str:
    plain = value.tolist() if isinstance(value, np.ndarray) else value
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # bytes that are not UTF-8: keep them, escaped
        return json.dumps(plain, separators=(",", ":"))
    return text


def _size(model: GgufModel, key: str, default: int | None = None) -> int:
    value = model.metadata.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(
            f"the metadata key {key!r} is {value!r}, not a positive number",
            hint="the file is incomplete; fetch it again",
        )
    return value


def _number(model: GgufModel, key: str, default: float) -> float:
    value = model.metadata.get(key, default)
    if not isinstance(value, float) or not value > 0:
        raise InputError(f"the metadata key {key!r} is {value!r}, not a positive number")
    return value


def _check_tensors(sizes: Llama) -> None:
    """Every tensor is there, has its shape, and none is left over."""
    wanted = _shapes(sizes)
    unknown = sorted(sizes.tensors.keys() - wanted.keys())
    if unknown:
        raise InputError(
            f"tensor {unknown[0]!r} is not part of a plain llama model",
            hint="biases, experts and adapters are not supported",
        )
    for name, shape in wanted.items():
        if name not in sizes.tensors:
            raise InputError(f"tensor {name!r} is missing", hint="fetch the model again")
        if sizes.tensors[name].shape != shape:
            raise InputError(f"tensor {name!r} is {sizes.tensors[name].shape}, not {shape}")


def _shapes(sizes: Llama) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes that a model of these sizes must have, in ggml's order."""
    embedding = sizes.tensors.get("token_embd.weight")
    vocabulary = embedding.shape[-1] if embedding and embedding.shape else 0
    first_gate = sizes.tensors.get("blk.0.ffn_gate.weight")
    inner = first_gate.shape[-1] if first_gate and first_gate.shape else 0
    hidden, kv = sizes.hidden, sizes.kv_heads * sizes.head_size
    q = sizes.heads * sizes.head_size
    divided = q == hidden or "llama.attention.key_length" in sizes.model.metadata
    if not divided or sizes.heads % sizes.kv_heads or sizes.head_size % 2:
        raise InputError(
            f"{sizes.heads} heads and {sizes.kv_heads} key/value heads do not divide {hidden}"
        )
    by_layer = {
        "attn_norm": (hidden,),
        "attn_q": (hidden, q),
        "attn_k": (hidden, kv),
        "attn_v": (hidden, kv),
        "attn_output": (q, hidden),
        "ffn_norm": (hidden,),
        "ffn_gate": (hidden, inner),
        "ffn_up": (hidden, inner),
        "ffn_down": (inner, hidden),
    }
    shapes: dict[str, tuple[int, ...]] = {
        f"blk.{layer}.{name}.weight": shape
        for layer in range(min(sizes.layers, len(sizes.tensors)))  # an absurd count is not believed
        for name, shape in by_layer.items()
    }
    ends: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (hidden, vocabulary),
        "output_norm.weight": (hidden,),
        "output.weight": (hidden, vocabulary),
        "rope_freqs.weight": (sizes.head_size // 2,),
    }
    missing = _OPTIONAL - sizes.tensors.keys()
    return shapes | {name: shape for name, shape in ends.items() if name not in missing}
