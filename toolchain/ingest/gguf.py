"""What a GGUF model holds: header, metadata and tensors as parts, facts for people."""

from __future__ import annotations

from collections import Counter

from toolchain.formats import gguf
from toolchain.formats.gguf import GgufModel, GgufTensor
from toolchain.formats.model_inventory import shape_text
from toolchain.formats.part_names import printable, unique_names
from toolchain.ingest.base import Contents, Part, refers_to_nothing
from toolchain.ir import Kind
from toolchain.units import Bytes, show_bytes

KINDS = frozenset({Kind.GGUF})

resolve = refers_to_nothing


def read(data: memoryview) -> Contents:
    """Return header, metadata entries, tensor descriptions and tensors; padding is left over.

    Errors:
        FormatError: ``data`` is not a GGUF model, or it is cut.
    """
    model = gguf.read(data)
    entries = [
        Part(Kind.ENTRY, name, entry.offset, Bytes(entry.size))
        for name, entry in zip(
            unique_names(e.key for e in model.entries), model.entries, strict=True
        )
    ]
    start, end = model.tensor_infos
    stored = [t for t in model.tensors if t.size]
    tensors = [
        Part(Kind.TENSOR, name, tensor.offset, Bytes(tensor.size), _tensor_facts(tensor))
        for name, tensor in zip(unique_names(t.name for t in stored), stored, strict=True)
    ]
    header = Part(Kind.HEADER, "header", 0, Bytes(gguf.HEADER_BYTES))
    infos = [Part(Kind.SECTION, "tensor infos", start, Bytes(end - start))] if end > start else []
    problems = tuple(
        f"tensor {printable(t.name)} is of the unknown {t.type_name}; its size is not known"
        for t in model.tensors
        if t.type_name.startswith("type ")
    )
    return Contents((header, *entries, *infos, *tensors), (), _facts(model), problems)


def _tensor_facts(tensor: GgufTensor) -> tuple[tuple[str, str], ...]:
    rows_first = shape_text(reversed(tensor.shape))  # as all other formats write shapes
    return (("dtype", tensor.type_name), ("shape", rows_first))


def _facts(model: GgufModel) -> tuple[tuple[str, str], ...]:
    counts = Counter(tensor.type_name for tensor in model.tensors)
    tensors = ", ".join(f"{n} {name}" for name, n in sorted(counts.items(), key=_most_first))
    sizes: Counter[str] = Counter()
    for tensor in model.tensors:
        sizes[tensor.type_name] += tensor.size
    weights = ", ".join(f"{k} {show_bytes(n)}" for k, n in sorted(sizes.items(), key=_most_first))
    tokens = model.metadata.get("tokenizer.ggml.tokens", ())
    kind = " ".join(filter(None, (model.text(f"tokenizer.ggml.{k}") for k in ("model", "pre"))))
    found = {
        "version": str(model.version),
        "architecture": printable(model.text("general.architecture")),
        "name": printable(model.text("general.name")),
        "license": printable(model.text("general.license")),
        "parameters": f"{sum(t.elements for t in model.tensors if t.size):,}",
        "tensors": tensors,
        "weights": weights,
        "tokenizer": f"{printable(kind)}, {len(tokens)} tokens"
        if isinstance(tokens, tuple)
        else "",
        "context": str(
            model.metadata.get(f"{model.text('general.architecture')}.context_length", "")
        ),
    }
    return tuple((name, text) for name, text in found.items() if text)


def _most_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
