"""The process in which onnxruntime tries one model: it may crash, hang or take all memory.

Reads one request as JSON from standard input, writes the answer as the last line of standard
output; ``onnxruntime_web.mjs`` does the same in node, for the runtime of web pages.

Request
    ``job``: "measure", or "optimize": write what onnxruntime makes of the model when it opens it
    ``model``: path; ``session``: the options of ``open_session``
    ``feeds``: one row a run, each a list of ``{name, type, shape, offset, bytes}``; types are
        numpy's names, the numbers lie in the file ``numbers``. What the model does not ask for is
        left out, and so is an input that has a value already: onnxruntime-web cannot replace it
    ``warm_up``, ``least``, ``most``, ``seconds``: passes over all feeds: not counted, at least, at
        most, and until when they go on
    ``answers``: where the outputs of the first pass go; null: nowhere
    ``out``: of "optimize", the path of the new model; its weights go to ``<name>.data`` beside it

Answer
    ``load_cpu_ms``: to open the model, in node the second time; ``latency_ms``: CPU time of each
        pass; ``peak_bytes``: most memory (resident; in node WebAssembly's) above that of the
        process with a tiny model; ``answers``: rows as ``feeds`` has them
    ``error`` instead: what onnxruntime says
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from toolchain.formats.onnx_session import RUNTIME_ERRORS, reason

Array = np.ndarray[Any, np.dtype[np.generic]]
Feeds = Mapping[str, Array]

_SILENT = 4
_ERRORS: tuple[type[Exception], ...] = (*RUNTIME_ERRORS, MemoryError)
_LEAST_EXTERNAL_BYTES = 1024  # ours: smaller tensors stay in the model; a page is 4096
_LEVELS = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def main() -> int:
    """Serve one request; the exit code is 0 also for an error that was told."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not get between our lines
    request = json.loads(sys.stdin.read())
    job = {"measure": measure, "optimize": optimize}[request["job"]]
    try:
        answer = job(request)
    except _ERRORS as error:
        answer = {"error": reason(error)[:500]}
    line.write(json.dumps(answer) + "\n")
    line.flush()
    return 0


def measure(request: Mapping[str, Any]) -> dict[str, Any]:
    """Open the model, run it, and say what that took."""
    feeds = _read_feeds(request["feeds"], Path(request["numbers"]))
    open_session(Path(request["tiny"]), request["session"]).run(None, {"x": np.zeros(1, "f4")})
    start_bytes = _memory("VmRSS")
    _forget_peak()
    before = time.process_time()
    session = open_session(Path(request["model"]), request["session"])
    load_cpu_ms = (time.process_time() - before) * 1e3
    wanted = {value.name for value in session.get_inputs()}
    rows = [{name: feed for name, feed in row.items() if name in wanted} for row in feeds]
    first = [session.run(None, row) for row in rows]
    latency_ms: list[float] = []
    passes = -request["warm_up"]
    until = time.monotonic() + request["seconds"]
    while passes < request["least"] or (passes < request["most"] and time.monotonic() < until):
        before = time.process_time()
        for row in rows:
            session.run(None, row)
        if passes >= 0:
            latency_ms.append((time.process_time() - before) * 1e3)
        passes += 1
    answer = {"load_cpu_ms": load_cpu_ms, "latency_ms": latency_ms}
    answer["peak_bytes"] = max(0, _memory("VmHWM") - start_bytes)
    names = [value.name for value in session.get_outputs()]
    if request["answers"]:
        answer["answers"] = _written(names, first, Path(request["answers"]))
    return answer


def optimize(request: Mapping[str, Any]) -> dict[str, Any]:
    """Write the optimized model; where ``external``, its weights into a file beside it.

    In onnxruntime's own format where ``out`` ends in ``.ort``.
    """
    options = _options(request["session"])
    options.optimized_model_filepath = request["out"]
    if request["out"].endswith(".ort"):
        options.add_session_config_entry("session.save_model_format", "ORT")
    if request["external"]:
        key = "session.optimized_model_external_initializers"
        options.add_session_config_entry(f"{key}_file_name", Path(request["out"]).name + ".data")
        least = str(_LEAST_EXTERNAL_BYTES)
        options.add_session_config_entry(f"{key}_min_size_in_bytes", least)
    onnxruntime.InferenceSession(request["model"], options, providers=["CPUExecutionProvider"])
    return {}


def open_session(model: Path, session: Mapping[str, Any]) -> onnxruntime.InferenceSession:
    """Open a model with one thread, and as ``session`` says.

    ``optimization`` is "none", "basic", "extended" or "all"; true or false are ``arena``,
    ``memory_pattern`` and ``prepacking``.
    """
    return onnxruntime.InferenceSession(
        str(model), _options(session), providers=["CPUExecutionProvider"]
    )


def _options(session: Mapping[str, Any]) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    options.graph_optimization_level = _LEVELS[session["optimization"]]
    options.enable_cpu_mem_arena = session["arena"]
    options.enable_mem_pattern = session["memory_pattern"]
    prepacking = "0" if session["prepacking"] else "1"
    options.add_session_config_entry("session.disable_prepacking", prepacking)
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _read_feeds(rows: Sequence[Sequence[Mapping[str, Any]]], numbers: Path) -> list[Feeds]:
    data = numbers.read_bytes()
    return [{part["name"]: _array(part, data) for part in row} for row in rows]


def _array(part: Mapping[str, Any], data: bytes) -> Array:
    stored = data[part["offset"] : part["offset"] + part["bytes"]]
    return np.frombuffer(stored, part["type"]).reshape(part["shape"])


def _written(
    names: Sequence[str], runs: Sequence[Sequence[Array]], path: Path
) -> list[list[dict[str, Any]]]:
    """Write outputs to ``path``; return where each lies. Sequences and texts are left out."""
    rows = []
    with path.open("wb") as out:
        for outputs in runs:
            row = []
            for name, output in zip(names, outputs, strict=True):
                if getattr(output, "dtype", np.dtype(object)).hasobject:
                    continue
                row.append(
                    {"name": name, "type": output.dtype.name, "shape": output.shape}
                    | {"offset": out.tell(), "bytes": output.nbytes}
                )
                out.write(np.ascontiguousarray(output).tobytes())
            rows.append(row)
    return rows


def _memory(key: str) -> int:
    """Return bytes of this process: VmRSS now, VmHWM at most; where nobody knows, of psutil."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text("ascii").splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    import psutil  # noqa: PLC0415 - only where there is no /proc

    info = psutil.Process().memory_info()
    return int(info.rss if key == "VmRSS" else getattr(info, "peak_wset", info.rss))


def _forget_peak() -> None:
    """Make what this process takes now its peak, where the system can (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", "ascii")


if __name__ == "__main__":
    sys.exit(main())
