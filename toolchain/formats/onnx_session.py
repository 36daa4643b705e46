"""Opens models in onnxruntime: one thread, quiet, errors in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from toolchain.errors import InputError, UnusableError

_SILENT = 4  # onnxruntime's severity "fatal"

RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NoModel,
    runtime.NoSuchFile,
    runtime.NotFound,
    runtime.NotImplemented,
    runtime.RuntimeException,
    RuntimeError,
    ValueError,  # from onnxruntime's Python side: an input is missing
)


def session(model: bytes | Path, *, optimize: bool = True) -> onnxruntime.InferenceSession:
    """Open an ONNX or ORT model on the CPU, with one thread.

    Without ``optimize`` it runs as it is written: nothing is fused, folded or rearranged.

    Errors:
        UnusableError: onnxruntime refuses it; the message names the operator or file it misses.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")
    source = model if isinstance(model, bytes) else str(model)
    try:
        opened = onnxruntime.InferenceSession(
            source,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print, and try the same provider again
        )
        _decoded(opened)
    except RUNTIME_ERRORS as error:
        raise UnusableError(
            f"onnxruntime cannot load the model: {reason(error)}",
            hint="the model needs an operator or a file that is not there, or it is damaged",
        ) from error
    return opened


def _decoded(opened: onnxruntime.InferenceSession) -> list[object]:
    """Return what callers ask a model; a ValueError where it is no text, before they ask."""
    values = (*opened.get_inputs(), *opened.get_outputs())
    return [*((v.name, v.shape) for v in values), opened.get_modelmeta().custom_metadata_map]


def run(
    opened: onnxruntime.InferenceSession, feeds: dict[str, NDArray[np.generic]]
) -> dict[str, NDArray[np.generic]]:
    """Return the outputs by name.

    Errors:
        InputError: onnxruntime stops: an input is missing, a shape or a value does not fit.
    """
    names = [output.name for output in opened.get_outputs()]
    try:
        return dict(zip(names, opened.run(names, feeds), strict=True))
    except RUNTIME_ERRORS as error:
        raise InputError(f"onnxruntime cannot run the model: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return what onnxruntime says, on one line, without its code."""
    text = " ".join(str(error).split())
    return text.rpartition("[ONNXRuntimeError] : ")[2]


def expect_tensors(opened: onnxruntime.InferenceSession) -> None:
    """Refuse a model whose answers cannot be compared number by number.

    Errors:
        InputError: an output is a sequence, a map or an optional value.
    """
    for output in opened.get_outputs():
        if not output.type.startswith("tensor("):
            raise InputError(f"the output {output.name!r} is a {output.type}, not numbers")
