"""Measures a model on a target: a fresh process each time, opened as a setting says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.formats.onnx_model import serialized
from toolchain.progress import SILENT, Progress
from toolchain.quantization.targets import Level, Runtime, Setting, Target
from toolchain.quantization.trial import NATIVE, WEB, Limits, ask
from toolchain.sources import address, registries, tools
from toolchain.sources.base import Integrity, Pinned
from toolchain.units import Bytes

Array = NDArray[np.generic]
Feeds = Mapping[str, Array]
Answers = Mapping[str, Array]

_MODEL = "model.onnx"


@dataclass(frozen=True, slots=True)
class Figures:
    """What a model takes on a target; one sample a process, but for ``latency_ms``."""

    latency_ms: tuple[float, ...]  # CPU time of one pass over all feeds
    load_cpu_ms: tuple[float, ...]  # CPU time to open it; starting the runtime is not in it
    peak_bytes: tuple[int, ...]  # most memory, above that of the process with a tiny model
    size: Bytes  # of its files

    def with_more(self, other: Figures) -> Figures:
        """Return the samples of both; the files are the same."""
        return Figures(
            self.latency_ms + other.latency_ms,
            self.load_cpu_ms + other.load_cpu_ms,
            self.peak_bytes + other.peak_bytes,
            self.size,
        )


@dataclass(frozen=True, slots=True)
class Bench:
    """A folder with what every trial on a target needs: the runtime, the feeds, a tiny model."""

    target: Target
    folder: Path
    command: tuple[str, ...]
    request: Mapping[str, Any]

    def prepared(self, model: bytes, setting: Setting, name: str) -> Path:
        """Write ``model`` as ``setting`` stores it, to a folder called ``name``; return its path.

        Errors:
            UnusableError: onnxruntime cannot optimize it.
        """
        folder = self.folder / name
        folder.mkdir()
        path = folder / _MODEL
        path.write_bytes(model)
        if setting.ahead is Level.NONE:
            return path
        out = folder / "ahead" / _MODEL
        out.parent.mkdir()
        optimize_ahead(path, setting, out, self.limits)
        path.unlink()
        return out

    def figures(self, model: Path, setting: Setting) -> Figures:
        """Measure the model at ``model`` in one fresh process.

        Errors:
            UnusableError: it does not run on this target, or not within its limits.
        """
        found = self._asked(model, setting)
        return Figures(
            tuple(found["latency_ms"]),
            (found["load_cpu_ms"],),
            (int(found["peak_bytes"]),),
            Bytes(sum(file.stat().st_size for file in model.parent.iterdir() if file.is_file())),
        )

    def answers(self, model: Path, setting: Setting) -> list[Answers]:
        """Return the outputs of one run for each feed, without sequences and texts.

        Errors:
            UnusableError: as ``figures``.
        """
        path = self.folder / "answers"
        untimed = {"warm_up": 0, "least": 0, "most": 0}
        rows = self._asked(model, setting, answers=str(path), **untimed)["answers"]
        data = path.read_bytes()
        return [{part["name"]: _array(part, data) for part in row} for row in rows]

    @property
    def limits(self) -> Limits:
        """What one process may take."""
        numbers = self.target.numbers
        return Limits(numbers.seconds, int(numbers.memory_bytes))

    def _asked(self, model: Path, setting: Setting, **changed: object) -> dict[str, Any]:
        opened = {"model": str(model), "session": session_options(setting), "answers": None}
        return ask(self.command, {**self.request, **opened, **changed}, self.limits)


def bench(
    target: Target, feeds: Sequence[Feeds], folder: Path, progress: Progress = SILENT
) -> Bench:
    """Return a bench in ``folder`` (empty, and yours) on which models answer ``feeds``.

    Errors:
        ToolError, UnavailableError: node or onnxruntime-web is not there, see ``sources/tools``.
    """
    numbers = target.numbers
    tiny = folder / "tiny.onnx"
    tiny.write_bytes(_tiny_model())
    request: dict[str, Any] = {
        "job": "measure",
        "tiny": str(tiny),
        "numbers": str(folder / "numbers"),
        "feeds": _written(feeds, folder / "numbers"),
        "warm_up": int(numbers.warm_up),
        "least": int(numbers.least_passes),
        "most": int(numbers.most_passes),
        "seconds": numbers.pass_seconds,
    }
    if target.runtime is Runtime.NATIVE:
        return Bench(target, folder, NATIVE, request)
    request["runtime"] = str(web_runtime(target, progress))
    return Bench(target, folder, (str(tools.node(progress)), *WEB), request)


def optimize_ahead(model: Path, setting: Setting, out: Path, limits: Limits) -> None:
    """Write to ``out`` what onnxruntime makes of ``model`` at the level ``setting.ahead``.

    Its weights go to ``<out>.data`` where the setting says so. "extended" holds for one provider
    (the processor) and one version of onnxruntime, "all" for one kind of processor only.

    Errors:
        UnusableError: onnxruntime refuses the model, crashes, or exceeds a limit.
    """
    session = {**session_options(setting), "optimization": setting.ahead.value}
    request = {"job": "optimize", "model": str(model), "out": str(out), "session": session}
    ask(NATIVE, {**request, "external": setting.external}, limits)


def session_options(setting: Setting) -> dict[str, Any]:
    """Return how a model that was stored so is opened, by names of ``onnxruntime_trial``."""
    known = asdict(setting)
    names = ("optimization", "arena", "memory_pattern", "prepacking")
    return {name: known[name] for name in names}


def web_runtime(target: Target, progress: Progress = SILENT) -> Path:
    """Return the module of the target's pinned package, fetched once.

    Errors:
        UnavailableError: not in the cache, and the registry does not answer.
    """
    package = target.package
    assert package is not None  # noqa: S101 - for the type checker; ``targets.load`` refused it
    pinned = Pinned(address.exact(package.address), Integrity.parse(package.integrity))
    return registries.unpacked(pinned, progress).files[package.module].path


def _written(feeds: Sequence[Feeds], path: Path) -> list[list[dict[str, Any]]]:
    rows = []
    with path.open("wb") as out:
        for feed in feeds:
            row = []
            for name, array in sorted(feed.items()):
                stored = np.ascontiguousarray(array)
                row.append(
                    {"name": name, "type": array.dtype.name, "shape": array.shape}
                    | {"offset": out.tell(), "bytes": stored.nbytes}
                )
                out.write(stored.tobytes())
            rows.append(row)
    decoded: list[list[dict[str, Any]]] = json.loads(json.dumps(rows))
    return decoded


def _array(part: Mapping[str, Any], data: bytes) -> Array:
    stored = data[part["offset"] : part["offset"] + part["bytes"]]
    return np.frombuffer(stored, part["type"]).reshape(part["shape"])


def _tiny_model() -> bytes:
    graph = GraphBuilder()
    graph.add("Identity", "x", outputs=["y"])
    ports = [value(name, np.float32, (1,)) for name in "xy"]
    return serialized(graph.model(ports[:1], ports[1:], {}))
