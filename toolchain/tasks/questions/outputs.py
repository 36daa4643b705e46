"""What a model gave, where a task can only compare arrays."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from toolchain.errors import InputError
from toolchain.formats.onnx_runner import Array


def array(outputs: Mapping[str, Array], name: str) -> Array:
    """Return the output ``name``.

    Errors:
        InputError: it is a sequence, a map or an optional value.
    """
    found: object = outputs[name]
    if isinstance(found, np.ndarray):
        return found
    what = "a sequence" if isinstance(found, list) else "a map or nothing"
    raise InputError(
        f"the output {name!r} is {what}, which cannot be compared with another",
        hint="export the model with tensors as outputs (of a classifier: without ZipMap)",
    )


def arrays(outputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return all outputs.

    Errors:
        InputError: one is no array.
    """
    return {name: array(outputs, name) for name in outputs}
