"""Proves that two ONNX models compute the same numbers.

What it does
    Runs both in onnxruntime, one thread, on seeded inputs: at up to three sizes that the original
    accepts, 24 frames each (10 where nothing is carried over), from silence to full scale. Inputs
    that decide between branches (flags, and numbers that are compared with constants) take each
    of their values, so that every branch answers. Outputs that continue an input (``state`` and
    ``stateN``, caches that grow) are fed back, each model's own, so that an error would grow. The
    input that the pass bound to a value gets that value in the original. Random operators get
    the same seeds in both.

When it holds
    The outputs have the same names (but for those that the pass was asked to drop), types and
    shapes, and all bits are the same. Where onnxruntime fuses the smaller graph in another way,
    float32 sums in another order differ by some 1e-7 (2 ** -23): then all bits are the same when
    both run as they are written, and no number differs by more than 1e-6 when both are optimized.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.onnx_comparison import Question, same_numbers
from toolchain.formats.onnx_probes import input_type
from toolchain.formats.onnx_session import session
from toolchain.ir import Proof

Array = NDArray[np.generic]


def prove(before: bytes, after: bytes, options: Mapping[str, object]) -> Proof:
    """Compare the outputs of both models; ``options`` are those of the pass."""
    try:
        holds, detail = same_numbers(before, after, _question(before, options))
    except InputError as error:
        return Proof("same-numbers", holds=False, detail=str(error))
    return Proof("same-numbers", holds=holds, detail=detail)


def _question(before: bytes, options: Mapping[str, object]) -> Question:
    shapes = options.get("shapes")
    dropped = options.get("outputs")
    return Question(
        bound=_bound(before, options),
        shapes=shapes if isinstance(shapes, Mapping) else {},
        dropped=dropped if isinstance(dropped, tuple | list) else (),
    )


def _bound(before: bytes, options: Mapping[str, object]) -> dict[str, Array]:
    """Return the value that the pass made constant, as the original takes it."""
    name = str(options.get("input", ""))
    if not name:
        return {}
    old = session(before)
    dtype = input_type(old, name)
    if dtype is None:
        return {}
    shape = next(value.shape for value in old.get_inputs() if value.name == name)
    sizes = [size if isinstance(size, int) else 1 for size in shape]
    return {name: np.full(sizes, np.array(options.get("value", 0)), dtype)}
