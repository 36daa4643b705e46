"""Reads the weights of an ONNX model that lie in other files, and puts them into the model.

A model names a file beside it, an offset and a length for each such tensor. All three are the
model's word: none is used before it is compared with what is there, and of a file only the bytes
of tensors are read.

Source: onnx.proto, ``TensorProto.external_data``; docs/ExternalData.md of onnx.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no types
from onnx import ModelProto, TensorProto, load_model
from onnx.checker import ValidationError

from toolchain.errors import FormatError, InputError
from toolchain.formats.onnx_model import serialized, tensors
from toolchain.formats.tensor_types import BITS, TYPE_NAMES

_MOST_BYTES = 2**31 - 2**20  # protobuf's limit, less some room for tags and lengths
_DIGITS = 19  # of 64 bits


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tensor's bytes lie: [``offset``, ``offset + length``) of the file ``location``."""

    location: str  # relative to the model's folder, normalized
    offset: int
    length: int


def stays_inside(location: str) -> bool:
    r"""Return whether a location is a relative path that does not leave the model's folder.

    >>> stays_inside("weights/a.bin"), stays_inside("../a.bin"), stays_inside("C:\\a.bin")
    (True, False, False)
    """
    strange = any(c in location for c in ("\\", "\0", ":"))
    normal = posixpath.normpath(location)
    return not strange and not normal.startswith(("/", "../")) and normal not in {"..", "."}


def place_of(tensor: TensorProto) -> Place:
    """Return where the bytes of an external tensor are.

    Errors:
        InputError: the file is outside the model's folder, a number is none, or the length is not
            that of the tensor's type and shape.
    """
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if not stays_inside(location):
        raise InputError(
            f"the weights of {tensor.name!r} lie outside the model's folder, in {location!r}",
            hint="such a path may lead anywhere on the machine that opens the model",
        )
    dtype = TYPE_NAMES.get(tensor.data_type, f"type {tensor.data_type}")
    if dtype not in BITS or any(size < 0 for size in tensor.dims):
        raise InputError(f"tensor {tensor.name!r}, {dtype}, cannot lie in another file")
    needed = -(-math.prod(tensor.dims) * BITS[dtype] // 8)
    length = _number(tensor, entries, "length", needed)
    if length != needed:
        raise InputError(
            f"tensor {tensor.name!r}, {dtype}{list(tensor.dims)}, takes {needed} bytes and has "
            f"{length} in {location!r}"
        )
    offset = _number(tensor, entries, "offset", 0)
    return Place(posixpath.normpath(location), offset, length)


def _number(tensor: TensorProto, entries: Mapping[str, str], key: str, default: int) -> int:
    text = entries.get(key, "") or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise InputError(f"the {key} of the weights of {tensor.name!r} is {text!r}, not a number")
    return int(text)


def mapped(path: Path) -> memoryview:
    """Return the bytes of a file, of which only what is looked at is read."""
    return np.memmap(path, np.uint8, mode="r").data if path.stat().st_size else memoryview(b"")


def inlined(data: bytes, files: Mapping[str, memoryview]) -> bytes:
    """Return the model ``data`` with all weights inside; ``data`` itself where they are.

    ``files`` are those of the model's folder and below, by their paths relative to it.

    Errors:
        FormatError: ``data`` is no ONNX model.
        InputError: a file is missing or too short, a place cannot be, or all would be too large.
    """
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise FormatError("this is no ONNX model, or it is cut,", 0) from error
    outside = [t for t in tensors(model) if t.data_location == TensorProto.EXTERNAL]
    if not outside:
        return data
    places = [place_of(tensor) for tensor in outside]
    total = len(data) + sum(place.length for place in places)
    if total > _MOST_BYTES:
        raise InputError(
            f"with its weights inside the model would have {total} bytes, more than an ONNX file "
            f"can ({_MOST_BYTES})"
        )
    for tensor, place in zip(outside, places, strict=True):
        tensor.raw_data = _read(tensor.name, place, files)
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return serialized(model)


def _read(name: str, place: Place, files: Mapping[str, memoryview]) -> bytes:
    file = files.get(place.location)
    if file is None:
        raise InputError(
            f"the weights of {name!r} lie in {place.location!r}, which is not there",
            hint="fetch all files of the model",
        )
    end = place.offset + place.length
    if end > len(file):
        raise InputError(
            f"the weights of {name!r} end at byte {end} of {place.location!r}, which has "
            f"{len(file)}",
            hint="the file is cut, or belongs to another model",
        )
    return bytes(file[place.offset : end])


def reference(model: Path) -> bytes:
    """Return a model with its weights inside, as onnx's own loader reads it from a folder.

    Errors:
        InputError: the loader refuses it.
    """
    try:
        loaded = load_model(model)
        for tensor in tensors(loaded):
            tensor.ClearField("data_location")  # the loader says "inside", which is the default
        return serialized(loaded)
    except (DecodeError, ValidationError, OSError, ValueError, RuntimeError) as error:
        # its message names the folder, which is none of the reader's
        raise InputError("onnx's own loader refuses the model or a file that it needs") from error
