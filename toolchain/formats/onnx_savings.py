"""Applies a lossless rewrite to a copy of a model and tells what it saves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from onnx import ModelProto

from toolchain.errors import InputError
from toolchain.formats import onnx_model, ort_model
from toolchain.formats.onnx_choices import choices
from toolchain.formats.onnx_cleanup import without_unused
from toolchain.formats.onnx_half import with_half_weights
from toolchain.formats.onnx_specialize import with_input_bound
from toolchain.formats.onnx_transposed import shared_weights
from toolchain.formats.ort_to_onnx import to_onnx
from toolchain.formats.part_names import printable
from toolchain.units import show_bytes

_LEAST_BYTES = 1000  # what the passes share-tensors and store-fp16-exact do by default
_LEAST_SHARE = 0.01  # of the file, and
_LEAST_BOUND = 1000  # bytes, for an input to be worth binding; ours
# What Python says to a graph that breaks the rules of ONNX: a node without inputs, for example.
_CONFUSED = (IndexError, KeyError, StopIteration, TypeError, ValueError)


@dataclass(frozen=True)
class Saved:
    """What a rewrite saves."""

    size: int  # bytes of the file
    weights: tuple[tuple[str, int], ...] = ()  # those that are gone: names, bytes; largest first
    evidence: tuple[str, ...] = ()


def by_sharing(data: bytes) -> Saved | None:
    """Return what keeping equal and transposed weights once saves; None if nothing.

    Errors:
        InputError: ``data`` is no valid ONNX or ORT model, or its weights are in another file.
    """
    return _saved(data, lambda model: shared_weights(model, least_bytes=_LEAST_BYTES))


def by_halving(data: bytes) -> Saved | None:
    """Return what storing exact float32 weights in two bytes saves; errors as ``by_sharing``."""
    return _saved(
        data, lambda model: with_half_weights(model, least_bytes=_LEAST_BYTES, bfloat16=True)
    )


def by_dropping(data: bytes) -> Saved | None:
    """Return what dropping all that no output needs saves; errors as ``by_sharing``."""
    return _saved(data, lambda model: without_unused(model, outputs=(), inputs=False))


def by_binding(data: bytes) -> Saved | None:
    """Return what binding one input saves, whatever its value; errors as ``by_sharing``.

    Of several inputs, the one that saves most. Its evidence names the values that were tried.
    """
    model = _model(data)
    whole = len(onnx_model.serialized(model))
    best: Saved | None = None
    for name, values in choices(model).items():
        sizes = [whole - _size_bound(data, name, value) for value in values]
        worth = max(_LEAST_BOUND, _LEAST_SHARE * whole, best.size + 1 if best else 0)
        if min(sizes) >= worth:
            lines = [
                f"{printable(name)} = {value}: {show_bytes(size)} less"
                for value, size in zip(values, sizes, strict=True)
            ]
            best = Saved(min(sizes), (), tuple(lines))
    return best


def _size_bound(data: bytes, name: str, value: float) -> int:
    model = _model(data)
    after = _guarded(model, lambda m: with_input_bound(m, name, value, {}))
    return len(onnx_model.serialized(after or model))


def _saved(data: bytes, change: Callable[[ModelProto], ModelProto | None]) -> Saved | None:
    model = _model(data)
    whole = len(onnx_model.serialized(model))
    before = _weights(model)
    after = _guarded(model, change)
    size = whole - len(onnx_model.serialized(after)) if after is not None else 0
    if size <= 0 or after is None:
        return None
    gone = before - _weights(after)
    largest = sorted(gone.items(), key=lambda item: (-item[1], item[0]))
    return Saved(size, tuple((printable(name), count) for name, count in largest))


def _guarded(
    model: ModelProto, change: Callable[[ModelProto], ModelProto | None]
) -> ModelProto | None:
    """Return what ``change`` returns; what confuses it is a model that breaks ONNX's rules."""
    try:
        return change(model)
    except _CONFUSED as error:
        raise InputError(f"this is no valid ONNX model: {error}") from error


def _weights(model: ModelProto) -> Counter[str]:
    """Return the bytes of each weight by name; of those of one name, the sum."""
    sizes: Counter[str] = Counter()
    for graph in onnx_model.graphs(model.graph):
        for tensor in graph.initializer:
            sizes[tensor.name] += tensor.ByteSize()
    return sizes


def _model(data: bytes) -> ModelProto:
    return to_onnx(data) if data[4:8] == ort_model.IDENTIFIER else onnx_model.load(data)
