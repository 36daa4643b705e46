"""Moves the weights of an ONNX model into files beside it, where a runtime can map them.

Source: docs/ExternalData.md of onnx: offsets that are multiples of 4096, the page size, can be
mapped. A tensor that is small against a page starts at a multiple of 64, a cache line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from onnx import ModelProto, TensorProto, numpy_helper

from toolchain.formats import onnx_model
from toolchain.formats.onnx_model import graphs

_PAGE = 4096
_LINE = 64
_PAGED_BYTES = 16 * _PAGE  # ours: then the gap before a tensor is at most a sixteenth of it

_INTEGERS = frozenset({TensorProto.INT32, TensorProto.INT64})
_NO_NUMBERS = frozenset({TensorProto.STRING, TensorProto.UNDEFINED})


@dataclass
class _File:
    """A file that is being filled."""

    name: str
    data: bytearray = field(default_factory=bytearray)

    def append(self, numbers: bytes) -> int:
        """Add ``numbers`` at the next place that suits them; return the offset."""
        step = _PAGE if len(numbers) >= _PAGED_BYTES else _LINE
        self.data += bytes(-len(self.data) % step)
        offset = len(self.data)
        self.data += numbers
        return offset


def externalized(
    data: bytes, name: str, *, least_bytes: int, shard_bytes: int
) -> tuple[bytes, dict[str, bytes]]:
    """Return a model without its weights of ``least_bytes`` or more, and the files with them.

    The first file is called ``name``, the others ``name.1``, ``name.2``: with ``shard_bytes``, a
    new one begins where a file would become larger, but a tensor is never cut. Weights in
    branches and loop bodies move too; those in attributes stay. No files: nothing is that large.

    Errors:
        FormatError: not an ONNX model.
        InputError: weights lie in another file already, or are not what they are declared as.
    """
    model = onnx_model.load(data)
    files: list[_File] = []
    for tensor in _movable(model, least_bytes):
        numbers = _numbers(tensor)
        if not files or (shard_bytes and len(files[-1].data) + len(numbers) > shard_bytes):
            files.append(_File(f"{name}.{len(files)}" if files else name))
        offset = files[-1].append(numbers)
        _refer(tensor, files[-1].name, offset, len(numbers))
    if not files:
        return data, {}
    return onnx_model.serialized(model), {file.name: bytes(file.data) for file in files}


def with_raw_weights(data: bytes) -> bytes:
    """Return the model with the numbers of all initializers as bytes: one way to write each.

    So that two models can be compared, of which one keeps numbers in typed fields.
    """
    model = onnx_model.load(data)
    for tensor in _movable(model, 0):
        numbers = _numbers(tensor)
        _clear(tensor)
        tensor.raw_data = numbers
    return onnx_model.serialized(model)


def _movable(model: ModelProto, least_bytes: int) -> Iterator[TensorProto]:
    """Yield initializers of numbers; not lists of integers, which may be shapes or axes.

    onnxruntime needs those to load a model, and does not look for them in other files.
    """
    for graph in graphs(model.graph):
        for tensor in graph.initializer:
            may_be_shape = tensor.data_type in _INTEGERS and len(tensor.dims) <= 1
            if (
                tensor.data_type not in _NO_NUMBERS
                and not may_be_shape
                and tensor.ByteSize() >= least_bytes
            ):
                yield tensor


def _numbers(tensor: TensorProto) -> bytes:
    """Return a tensor's numbers as they lie in a file: little-endian, row by row."""
    if tensor.HasField("raw_data"):
        return bytes(tensor.raw_data)
    written: bytes = numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
    return written


def _refer(tensor: TensorProto, location: str, offset: int, length: int) -> None:
    _clear(tensor)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))


def _clear(tensor: TensorProto) -> None:
    for name in ("float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        tensor.ClearField(name)
    tensor.ClearField("raw_data")
