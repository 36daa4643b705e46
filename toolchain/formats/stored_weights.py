"""The weights of a model file by what is in them, to find those that several files hold."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from onnx import TensorProto, numpy_helper

from toolchain.errors import InputError
from toolchain.formats import onnx_model, ort_model
from toolchain.formats.ort_to_onnx import to_onnx
from toolchain.formats.part_names import printable

_LEAST_BYTES = 1000  # ours: smaller ones are tables and scalars that many models have


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of ``size`` bytes; two of the same type, shape and numbers have one digest."""

    name: str
    size: int
    digest: bytes


def digests(data: bytes) -> Iterator[Weight]:
    """Yield the weights of an ONNX or ORT model of 1,000 bytes or more; none if it is neither."""
    try:
        model = to_onnx(data) if data[4:8] == ort_model.IDENTIFIER else onnx_model.load(data)
    except InputError:
        return
    for tensor in onnx_model.tensors(model):
        if tensor.ByteSize() < _LEAST_BYTES or tensor.data_type == TensorProto.STRING:
            continue
        try:
            numbers = tensor.raw_data or numpy_helper.to_array(tensor).tobytes()
        except ValueError:  # declared and stored sizes do not fit
            continue
        about = f"{tensor.data_type} {list(tensor.dims)} ".encode()
        yield Weight(printable(tensor.name), len(numbers), hashlib.sha256(about + numbers).digest())
