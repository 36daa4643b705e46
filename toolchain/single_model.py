"""A model alone as a project: what ``vtool optimize MODEL.onnx`` works on."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolchain.errors import ConfigError, FormatError
from toolchain.formats import onnx_wire
from toolchain.formats.external_data import mapped, stays_inside
from toolchain.ir import Kind
from toolchain.passes.base import GuardedPass, Step, pass_class
from toolchain.sources import directory, file
from toolchain.sources.manifest import Project
from toolchain.sources.project import Assembly
from toolchain.sources.tree import SourceFile, Tree, read

MODELS = frozenset({Kind.ONNX, Kind.ORT, Kind.GGUF})


@dataclass(frozen=True)
class Wish:
    """What the user says about a model that has no project: its task and what may be lost.

    Without a family and without limits nothing lossy is done.

    Errors:
        ConfigError: a limit on decisions, options or data, and no task; a limit without end.
    """

    family: str | None = None
    error: float | None = None
    agreement: float | None = None
    data: tuple[Path, ...] = ()  # files and folders that the task reads
    targets: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # of the task's family

    def __post_init__(self) -> None:
        if not self.limited and (self.agreement is not None or self.options):
            raise ConfigError(
                "--agreement and --task-option need a task", hint="say --task, or --error"
            )
        if self.data and self.family is None:
            raise ConfigError("--data is what a task listens to or reads", hint="say --task too")
        if self.error is not None and not math.isfinite(self.error):
            raise ConfigError(f"--error {self.error} is no limit", hint="say a number, as 0.01")

    @property
    def limited(self) -> bool:
        """Whether something may be lost."""
        return self.family is not None or self.error is not None

    @property
    def task(self) -> dict[str, Any]:
        """The options of ``make_task``."""
        asked = {"error": self.error, "agreement": self.agreement}
        limit = {name: value for name, value in asked.items() if value is not None}
        said = {"limit": limit} if limit else {}
        return {**self.options, "family": self.family or "unknown", **said}


def task_options(said: Sequence[str] | None) -> dict[str, Any]:
    """Return options of a task from ``NAME=VALUE``; a value is TOML, or else plain text.

    >>> task_options(["tokenizer=words.json", "threshold=0.4"])
    {'tokenizer': 'words.json', 'threshold': 0.4}

    Errors:
        ConfigError: no ``=``, or no name before it.
    """
    options = {}
    for one in said or ():
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise ConfigError(
                f"a task's option is NAME=VALUE, not {one!r}",
                hint="docs/models.md has the options of each family",
            )
        try:
            options[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            options[name] = value
    return options


def as_project(target: str, opened: Assembly, wish: Wish) -> tuple[Assembly, Project]:
    """Return ``opened`` as a project whose only root is the model, and that project.

    Errors:
        ConfigError: ``target`` is not one model, or a data file is not there.
    """
    names = list(opened.tree.files)
    suffixes = {f".{kind}" for kind in MODELS}
    if len(names) != 1 or Path(names[0]).suffix.lower() not in suffixes:
        raise ConfigError(
            f"{target} has no vtool.toml",
            hint="`vtool analyze` reads any target; `optimize` needs a project or a model file"
            f" ({', '.join(sorted(suffixes))})",
        )
    project = Project(
        folder=Path(target).parent,
        name=Path(target).name,
        pipeline="model",
        budgets="model",
        targets=wish.targets,
    )
    tree = _with_weights(Path(target), opened.tree)
    data = _data(wish.data)
    return replace(opened, tree=tree, roots=(names[0],), reference=data, project=project), project


def wished(steps: Sequence[Step], wish: Wish) -> tuple[Step, ...]:
    """Return ``steps`` with the wished task; lossless ones alone where nothing may be lost."""
    chosen = []
    for step in steps:
        if not issubclass(pass_class(step.run), GuardedPass):
            chosen.append(step)
        elif wish.limited:
            chosen.append(replace(step, options={**step.options, "task": wish.task}))
    return tuple(chosen)


def _with_weights(target: Path, opened: Tree) -> Tree:
    """Return ``opened`` with the files beside the model that hold its weights.

    What is not there, outside of the model's folder or damaged is left for others to complain of.
    """
    if target.suffix.lower() != f".{Kind.ONNX}":
        return opened
    try:
        locations = onnx_wire.inventory(mapped(target)).external
    except FormatError:
        return opened
    inside = [location for location in locations if stays_inside(location)]
    there = {name: target.parent / name for name in inside if (target.parent / name).is_file()}
    return Tree({**opened.files, **{name: read(path) for name, path in there.items()}})


def _data(paths: Sequence[Path]) -> Tree:
    """Return all files that the user gave, each under the name it has in its folder."""
    found: dict[str, SourceFile] = {}
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there is no file or folder {path}", hint="correct --data")
        tree = directory.open_tree(path) if path.is_dir() else file.open_tree(path)
        for name, one in tree.files.items():
            if found.setdefault(name, one).digest != one.digest:
                raise ConfigError(
                    f"two files of --data are called {name}", hint="give their common folder"
                )
    return Tree(found)
