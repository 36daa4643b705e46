"""Targets: where models run, in which formats they may, and what counts there. Data, in rules."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from toolchain import resources, tables
from toolchain.errors import ConfigError
from toolchain.formats.execution_format import FOLDED, FORMATS
from toolchain.tables import table


class Runtime(StrEnum):
    """Who runs the model."""

    NATIVE = "onnxruntime"  # the Python package; any native binding runs the same code
    WEB = "onnxruntime-web"  # WebAssembly, here in node


class Level(StrEnum):
    """How much onnxruntime rewrites a graph; "basic" is the same for every processor."""

    NONE = "none"
    BASIC = "basic"
    EXTENDED = "extended"
    ALL = "all"


@table
class Number:
    """One number of a target and its reason."""

    name: str
    value: float
    why: str


@table
class Format:
    """An execution format that is worth a trial on this target."""

    name: str  # of ``formats/execution_format.py``
    why: str


@table
class Setting:
    """One way to store and open a model; the first of a target is how any application opens it.

    ``ahead``: the graph is rewritten to this level when it is installed, not at every start; its
    weights lie in a file of their own where ``external``, which the runtime maps into memory.
    """

    name: str
    why: str
    ahead: Level = Level.NONE
    external: bool = False
    optimization: Level = Level.ALL  # when it is opened
    arena: bool = True  # memory of a run is kept for the next one
    memory_pattern: bool = True  # and planned as one block, by the first run
    prepacking: bool = True  # weights are copied into the order that the kernels like best


@table
class Package:
    """The pinned package of a runtime that is not part of vtool."""

    address: str
    integrity: str
    module: str  # the file in it that is loaded


@table
class Target:
    """``rules/targets/NAME.toml``."""

    what: str
    runtime: Runtime
    number: tuple[Number, ...]
    format: tuple[Format, ...]
    setting: tuple[Setting, ...]
    lacks: tuple[str, ...] = ()  # operators: ``domain:Name`` outside of ONNX, ``-VERSION`` of one
    package: Package | None = None
    name: str = ""  # of the file, without its ending

    @cached_property
    def numbers(self) -> Numbers:
        """The numbers, by name.

        Errors:
            ConfigError: one is missing or unknown.
        """
        given = {number.name: number.value for number in self.number}
        return tables.check(given, Numbers, where=f"target {self.what}")


@table
class Numbers:
    """What a target's numbers are."""

    latency_weight: float  # powers of the ratios in the score: see ``choosing``
    load_weight: float
    memory_weight: float
    size_weight: float
    most_latency: float  # of the baseline's latency; above, a candidate is not taken
    least_gain: float  # a format with a higher score than this is not taken
    rounds: float  # processes a candidate, interleaved with those of the others
    hopeless: float  # a candidate this many times slower than the best gets one round only
    warm_up: float  # passes over the feeds that do not count
    least_passes: float  # that count, in one process
    most_passes: float
    pass_seconds: float  # passes go on so long
    seconds: float  # limit of one process
    memory_bytes: float  # limit of one process


def load(name: str, project: Path | None = None) -> Target:
    """Return the target ``name``; the project's own ``rules/targets`` comes first.

    Errors:
        ConfigError: no such target, or it names no such format, or lacks a number.
    """
    folders = [root / "rules" for root in [project] if root] + [resources.folder("rules")]
    for folder in folders:
        path = folder / "targets" / f"{name}.toml"
        if path.is_file():
            return _checked(replace(tables.load(path, Target), name=name), path)
    raise ConfigError(
        f"there is no target {name!r}", hint=f"targets: {', '.join(names(project)) or 'none'}"
    )


def names(project: Path | None = None) -> tuple[str, ...]:
    """Return the names of all targets: the project's and those of vtool."""
    folders = [root / "rules" for root in [project] if root] + [resources.folder("rules")]
    return tuple(sorted({p.stem for f in folders for p in (f / "targets").glob("*.toml")}))


def _checked(target: Target, path: Path) -> Target:
    unknown = [one.name for one in target.format if one.name not in FORMATS]
    if unknown:
        raise ConfigError(
            f"{path}: there is no format {unknown[0]!r}", hint=f"formats: {', '.join(FORMATS)}"
        )
    if not target.format or target.format[0].name != FOLDED or not target.setting:
        raise ConfigError(
            f"{path}: the first format is not {FOLDED!r}, or there is no setting",
            hint="others are compared with them",
        )
    if (target.package is None) != (target.runtime is Runtime.NATIVE):
        raise ConfigError(
            f"{path}: {target.runtime} and its package do not fit",
            hint="onnxruntime is part of vtool, onnxruntime-web needs a [package]",
        )
    _ = target.numbers  # refused here, not when something is measured
    return target
