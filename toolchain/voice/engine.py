"""Opens a model in onnxruntime, and says in plain words why one cannot be opened or run."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from toolchain.errors import ConfigError, InputError, ToolError

_THREADS = 1
"""Measured best on two busy cores: two threads wait for each other (shared/facts: wall time of two
threads was above that of one)."""

_FATAL = 4  # onnxruntime's log level; its errors come as exceptions, once

RUNTIME_ERRORS = (
    native.EPFail,
    native.EngineError,
    native.Fail,
    native.InvalidArgument,
    native.InvalidGraph,
    native.InvalidProtobuf,
    native.ModelLoaded,
    native.NoModel,
    native.NoSuchFile,
    native.NotImplemented,
    native.RuntimeException,
)
"""All that onnxruntime raises; its exceptions have no base of their own."""


def options(threads: int = _THREADS) -> ort.SessionOptions:
    """Return the session options of every model: threads that sleep while they wait."""
    chosen = ort.SessionOptions()
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = _THREADS
    chosen.enable_cpu_mem_arena = False
    chosen.log_severity_level = _FATAL
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return chosen


def open_model(
    files: Mapping[str, Path], name: str, *, threads: int = _THREADS
) -> ort.InferenceSession:
    """Open the project's file ``name`` as a model that computes in ``threads`` threads.

    Errors:
        ConfigError: the project has no such file.
        InputError: it is not a model that onnxruntime can run.
    """
    path = located(files, name)
    chosen, watched = _as_installed(path, options(threads)), _watched.get()
    if watched is not None:
        chosen.enable_profiling = True
        chosen.profile_file_prefix = str(watched.folder / str(len(watched.opened)))
    try:
        session = ort.InferenceSession(str(path), chosen, providers=["CPUExecutionProvider"])
    except RUNTIME_ERRORS as error:
        raise InputError(
            f"{name} cannot be opened as a model: {_plain(error, path, name)}",
            hint="give an ONNX or ORT file of a version that onnxruntime knows",
        ) from error
    if watched is not None:
        watched.opened.append((name, session))
    return session


class Watched(NamedTuple):
    """Models that write down what each of their operators takes."""

    folder: Path
    opened: list[tuple[str, ort.InferenceSession]]


_watched: ContextVar[Watched | None] = ContextVar("watched", default=None)


@contextmanager
def watched(folder: Path) -> Iterator[Watched]:
    """Let the models that this thread opens inside the block write their times into ``folder``.

    ``end_profiling`` of a session ends its file and returns its path. It slows the models down.
    """
    models = Watched(folder, [])
    token = _watched.set(models)
    try:
        yield models
    finally:
        _watched.reset(token)


def _as_installed(path: Path, chosen: ort.SessionOptions) -> ort.SessionOptions:
    """Return ``chosen`` with what lies beside a model that was installed for this target.

    The arena stays off: it gives a run's memory back to nobody, and four models share a process.
    """
    said = path.with_name(f"{path.name}.session.json")
    if not said.is_file():
        return chosen
    asked = json.loads(said.read_text("utf-8"))
    if level := asked.get("graph_optimization_level"):
        chosen.graph_optimization_level = _LEVELS[level]
    chosen.enable_mem_pattern = asked.get("enable_mem_pattern", True)
    if not asked.get("prepacking", True):
        chosen.add_session_config_entry("session.disable_prepacking", "1")
    return chosen


_LEVELS = {
    "disabled": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def one_heap() -> None:
    """Let all threads take memory from one heap, where the C library (glibc) can; once, at start.

    By default each thread gets an arena of its own that is never given back. Measured on a
    conversation of 60 turns (scenario soak): 162 MB of growth with the default, none with one heap.
    """
    limit = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if limit is not None:
        limit(_ARENA_MAX, 1)


_ARENA_MAX = -8  # M_ARENA_MAX in glibc's malloc.h


def give_back() -> None:
    """Return to the system what opening a model has freed, where the C library (glibc) can.

    Measured: 30 MB after the dictionaries, 35 MB after Moonshine; takes 3 ms.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if os.name == "posix" else None
    if trim is not None:
        trim(0)


def located(files: Mapping[str, Path], name: str) -> Path:
    """Return where the project's file ``name`` lies.

    Errors:
        ConfigError: the project has no such file.
    """
    if name not in files:
        near = sorted(f for f in files if f.rsplit("/", 1)[0] == name.rsplit("/", 1)[0])
        raise ConfigError(
            f"the configuration names {name}, which is not there",
            hint=f"its neighbours: {', '.join(near[:8]) or 'none'}",
        )
    return files[name]


def _plain(error: Exception, path: Path, name: str) -> str:
    """Return onnxruntime's message on one line, without the machine's path."""
    return " ".join(str(error).replace(str(path), name).split())[:300]


@contextmanager
def naming(stage: str, where: str) -> Iterator[None]:
    """Turn what a model's runtime raises into an error that names the stage and the clip.

    Errors:
        ToolError: the runtime failed, or memory ran out.
    """
    try:
        yield
    except (*RUNTIME_ERRORS, MemoryError, ValueError, IndexError, RuntimeError) as error:
        what = " ".join(str(error).split())[:300] or type(error).__name__
        raise ToolError(
            f"stage {stage} failed on {where}: {what}",
            hint=f"run the model of [voice.{stage}] alone; was it damaged by a pass?",
        ) from error
