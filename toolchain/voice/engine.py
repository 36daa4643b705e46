"""Opens a model in onnxruntime, and says in plain words why one cannot be opened or run."""

from __future__ import annotations

import ctypes
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True)
class Inspection:
    """How models are opened for somebody who wants to know what each takes."""

    opening: Callable[[str], AbstractContextManager[object]] = nullcontext
    """Entered with the name of the model before it is opened, and left after."""

    arena: bool = False
    """Whether onnxruntime keeps memory for later runs: never in an application, see below."""


_USUAL = Inspection()
_inspection: ContextVar[Inspection] = ContextVar("inspection", default=_USUAL)


@contextmanager
def inspected(how: Inspection) -> Iterator[None]:
    """Open the models of this thread as ``how`` says while the block runs."""
    token = _inspection.set(how)
    try:
        yield
    finally:
        _inspection.reset(token)


def options(threads: int = _THREADS) -> ort.SessionOptions:
    """Return the session options of every model: threads that sleep while they wait."""
    chosen = ort.SessionOptions()
    chosen.intra_op_num_threads = threads
    chosen.inter_op_num_threads = _THREADS
    chosen.enable_cpu_mem_arena = _inspection.get().arena
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
    try:
        with _inspection.get().opening(name):
            return ort.InferenceSession(
                str(path), _as_installed(path, options(threads)), providers=["CPUExecutionProvider"]
            )
    except RUNTIME_ERRORS as error:
        raise InputError(
            f"{name} cannot be opened as a model: {_plain(error, path, name)}",
            hint="give an ONNX or ORT file of a version that onnxruntime knows",
        ) from error


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


@contextmanager
def arenas_told(extended: Callable[[int], None]) -> Iterator[bool]:
    """Tell by how many bytes onnxruntime's arenas grow while the block runs; False: it cannot.

    onnxruntime 1.32 has no call in Python that reads an arena (C has ``OrtAllocator::GetStats``).
    But each region that an arena takes from the system is logged, and since 1.32 Python may listen
    to the log. Weights are not in it: they are reserved apart. Regions that a thread of
    onnxruntime's own takes are not told; arenas grow where a model is run.
    """
    listen = getattr(native, "set_default_logger_callback", None)
    if listen is None:
        yield False
        return

    def note(_severity: int, _category: str, _log: str, _place: str, message: str) -> None:
        if found := _EXTENDED.match(message):
            extended(int(found[1]))

    listen(note, _INFO)
    try:
        yield True
    finally:
        listen(None)
        ort.set_default_logger_severity(_WARNING)


_EXTENDED = re.compile(r"Extended allocation by (\d+) bytes")  # bfc_arena.cc, BFCArena::Extend
_INFO, _WARNING = 1, 2  # onnxruntime's log levels; warnings are what it tells by default


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
