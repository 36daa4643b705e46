"""Opens a model in onnxruntime, and says in plain words why one cannot be opened or run."""

from __future__ import annotations

import ctypes
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as native

from toolchain.errors import ConfigError, InputError, ToolError, VtoolError
from toolchain.tables import table
from toolchain.voice import observing
from toolchain.voice.mapped import give_back_mapped
from toolchain.voice.running import Cancelled

ort.disable_telemetry_events()  # onnxruntime 1.32 can send events; nothing that we run shall

_THREADS = 1
"""Measured best on two busy cores: two threads wait for each other (shared/facts: wall time of two
threads was above that of one)."""

MOST_THREADS = 256  # ours: no machine that runs one model for one user has more cores
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

_NO_MEMORY = (
    "bad_alloc",
    "bad allocation",
    "llocate memory",
    "pthread_create failed",
    "start new thread",
    "failed to map segment",
    "memory ran out",
)
"""What is in the message where memory ran out, as seen under a limit on the address space:
onnxruntime 1.23 (opening, running, its threads), its arena ("Failed to allocate memory for
requested buffer"), Python's threads, the loader of a library; and our own words, from another
process."""


@table
class Session:
    """How one model is opened: an entry of ``[voice.STAGE.sessions]``. None is as usual.

    ``threads`` compute, and wait for the next run ``spinning`` or asleep; an ``arena`` keeps the
    memory of a run for the next; ``prepacking`` copies weights into the order that kernels like.
    """

    threads: int | None = None
    spinning: bool | None = None
    arena: bool | None = None
    prepacking: bool | None = None


_sessions: ContextVar[Mapping[str, Session]] = ContextVar("sessions", default={})  # noqa: B039 - never changed


@contextmanager
def opened_as(sessions: Mapping[str, Session]) -> Iterator[None]:
    """Let the models that this thread opens inside the block be opened so, by their names."""
    token = _sessions.set(sessions)
    try:
        yield
    finally:
        _sessions.reset(token)


def options(threads: int = _THREADS, asked: Session | None = None) -> ort.SessionOptions:
    """Return the session options of a model: ``asked``, or threads that sleep while they wait."""
    asked = asked or Session()
    chosen = ort.SessionOptions()
    chosen.intra_op_num_threads = asked.threads or threads
    chosen.inter_op_num_threads = _THREADS
    chosen.enable_cpu_mem_arena = bool(asked.arena)
    chosen.log_severity_level = _FATAL
    spinning = "1" if asked.spinning else "0"
    chosen.add_session_config_entry("session.intra_op.allow_spinning", spinning)
    return chosen


def open_model(
    files: Mapping[str, Path], name: str, *, threads: int = _THREADS
) -> ort.InferenceSession:
    """Open the project's file ``name`` as a model that computes in ``threads`` threads.

    Errors:
        ConfigError: the project has no such file.
        InputError: it is not a model that onnxruntime can run.
        ToolError: memory ran out.
    """
    path = located(files, name)
    asked = _sessions.get().get(name, Session())
    chosen = _as_installed(path, options(threads, asked), name, asked)
    observing.configured(chosen)

    def work() -> ort.InferenceSession:
        session = ort.InferenceSession(str(path), chosen, providers=["CPUExecutionProvider"])
        if (weights := path.with_name(f"{path.name}.data")).is_file():
            give_back_mapped(weights)
        return session

    try:
        return observing.opened(name, work)
    except (*RUNTIME_ERRORS, MemoryError, RuntimeError) as error:
        if out_of_memory(error):
            raise ToolError(
                f"{name} cannot be opened: {what_happened(error)}", hint=_MORE_MEMORY
            ) from error
        raise InputError(
            f"{name} cannot be opened as a model: {_plain(error, path, name)}",
            hint="give an ONNX or ORT file of a version that onnxruntime knows",
        ) from error


def _as_installed(
    path: Path, chosen: ort.SessionOptions, name: str, asked: Session
) -> ort.SessionOptions:
    """Return ``chosen`` with what lies beside a model that was installed for this target.

    The arena stays off unless ``asked`` for: it gives a run's memory back to nobody, and four
    models share a process.

    Errors:
        InputError: it is not what vtool writes there.
    """
    try:
        beside = installed_session(path)
        if level := beside.get("graph_optimization_level"):
            chosen.graph_optimization_level = _LEVELS[level]
        chosen.enable_mem_pattern = bool(beside.get("enable_mem_pattern", True))
        packed = beside.get("prepacking", True) if asked.prepacking is None else asked.prepacking
    except (OSError, ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"the session options beside {name} cannot be read: {what_happened(error)}",
            hint=f"delete {path.name}{SESSION}: it is written anew when the model is installed",
        ) from error
    if not packed:
        chosen.add_session_config_entry("session.disable_prepacking", "1")
    return chosen


def installed_session(path: Path) -> dict[str, Any]:
    """Return how a model that was installed is opened: what lies beside it; else nothing."""
    said = path.with_name(f"{path.name}{SESSION}")
    found: dict[str, Any] = json.loads(said.read_text("utf-8")) if said.is_file() else {}
    return found


SESSION = ".session.json"
"""Beside a model that was installed: how it is opened."""


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
    """Turn whatever a stage raises into an error that names the stage and the clip.

    A stage may be a foreign model behind an adapter that has not seen its like: anything it raises
    ends the turn, not the session.

    Errors:
        ToolError: the stage failed, or memory ran out.
    """
    try:
        yield
    except (VtoolError, Cancelled):
        raise
    except Exception as error:
        hint = f"run the model of [voice.{stage}] alone; was it damaged by a pass?"
        raise ToolError(
            f"stage {stage} failed on {where}: {what_happened(error)}",
            hint=_MORE_MEMORY if out_of_memory(error) else hint,
        ) from error


_MORE_MEMORY = "end other programs, raise the limit of the container, or take a smaller model"
_RUNTIMES_OWN = (*RUNTIME_ERRORS, MemoryError, ValueError, RuntimeError)  # they say what it was


def out_of_memory(error: BaseException) -> bool:
    """Return whether ``error`` means that memory ran out.

    >>> out_of_memory(MemoryError()), out_of_memory(RuntimeError("Status Message: std::bad_alloc"))
    (True, True)
    """
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in _NO_MEMORY)


def what_happened(error: BaseException) -> str:
    """Return what ``error`` says, on one line; and the words memory ran out where it did.

    >>> what_happened(KeyError("tokens")), what_happened(MemoryError())
    ("KeyError: 'tokens'", 'memory ran out')
    """
    said, kind = " ".join(str(error).split())[:300], type(error).__name__
    if out_of_memory(error):
        return said if "memory ran out" in said else f"memory ran out{f' ({said})' if said else ''}"
    return said if said and isinstance(error, _RUNTIMES_OWN) else f"{kind}: {said}".rstrip(": ")


def about(stage: str, where: str, error: VtoolError) -> VtoolError:
    """Return an error that a stage raised as one that names the stage and the clip."""
    if str(error).startswith(f"stage {stage}"):
        return error
    kinds = (ConfigError, InputError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), ToolError)
    return kind(f"stage {stage} failed on {where}: {error}", hint=error.hint)
