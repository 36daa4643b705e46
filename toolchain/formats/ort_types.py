"""Reads the types of values in an ORT model: tensors with sizes, sequences, maps.

Source: onnxruntime/core/flatbuffers/schema/ort.fbs; slot numbers are quoted beside their names.
"""

from __future__ import annotations

from onnx import TensorShapeProto, TypeProto

from toolchain.errors import FormatError
from toolchain.formats.flatbuffer import Table

_MOST_DEEP = 4  # ours: a sequence of maps of tensors, the deepest that operators have, is three
_TENSOR, _SEQUENCE, _MAP = 1, 2, 3  # TypeInfoValue
_KNOWN_SIZE, _NAMED_SIZE = 1, 2  # DimensionValueType


def read_type(info: Table, depth: int = 0) -> TypeProto:
    """Return a TypeInfo as ONNX writes it; one of an unknown kind is empty.

    Errors:
        FormatError: types in types in types.
    """
    if depth > _MOST_DEEP:
        raise FormatError(f"more than {_MOST_DEEP} types in one another", info.at)
    kind = TypeProto(denotation=info.text(0))
    form, stored = info.number(1, "B"), info.table(2)  # value_type, value
    if stored and form == _TENSOR:
        kind.tensor_type.elem_type = stored.number(0, "i")
        if shape := stored.table(1):
            kind.tensor_type.shape.SetInParent()  # no sizes is a scalar, no shape is unknown
            kind.tensor_type.shape.dim.extend(_size(dimension) for dimension in shape.tables(0))
    elif stored and form == _SEQUENCE:
        if element := stored.table(0):
            kind.sequence_type.elem_type.CopyFrom(read_type(element, depth + 1))
    elif stored and form == _MAP:
        kind.map_type.key_type = stored.number(0, "i")
        if value := stored.table(1):
            kind.map_type.value_type.CopyFrom(read_type(value, depth + 1))
    return kind


def _size(stored: Table) -> TensorShapeProto.Dimension:
    dimension = TensorShapeProto.Dimension(denotation=stored.text(1))
    value = stored.table(0)
    form = value.number(0, "b") if value else 0
    if value and form == _KNOWN_SIZE:
        dimension.dim_value = value.number(1, "q")
    elif value and form == _NAMED_SIZE:
        dimension.dim_param = value.text(2)
    return dimension
