"""A model alone as a project: what ``vtool optimize MODEL.onnx`` works on."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolchain.errors import ConfigError
from toolchain.ir import Kind
from toolchain.passes.base import GuardedPass, Step, pass_class
from toolchain.sources import directory, file
from toolchain.sources.manifest import Project
from toolchain.sources.project import Assembly
from toolchain.sources.tree import SourceFile, Tree

MODELS = frozenset({Kind.ONNX, Kind.ORT, Kind.GGUF})


@dataclass(frozen=True)
class Wish:
    """What the user says about a model that has no project: its task and what may be lost.

    Without a family and without limits nothing lossy is done.
    """

    family: str | None = None
    error: float | None = None
    agreement: float | None = None
    data: tuple[Path, ...] = ()  # files and folders that the task reads
    targets: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)  # of the task's family

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
    data = _data(wish.data)
    return replace(opened, roots=(names[0],), reference=data, project=project), project


def wished(steps: Sequence[Step], wish: Wish, folder: Path) -> tuple[Step, ...]:
    """Return ``steps`` with the wished task; lossless ones alone where nothing may be lost.

    The result may run in any format of the wished targets, which ``folder`` may have of its own.

    Errors:
        ConfigError: there is no such target.
    """
    asked = {"task": wish.task, "formats": _formats(wish.targets, folder)}
    chosen = []
    for step in steps:
        if not issubclass(pass_class(step.run), GuardedPass):
            chosen.append(step)
        elif wish.limited:
            chosen.append(replace(step, options={**step.options, **asked}))
    return tuple(chosen)


def _formats(names: Sequence[str], folder: Path) -> tuple[str, ...]:
    """Return the formats of all targets ``names``, each once, in the order of the targets."""
    if not names:
        return ()
    from toolchain.quantization import targets  # noqa: PLC0415 - onnx: only where used

    every = (form.name for name in names for form in targets.load(name, folder).format)
    return tuple(dict.fromkeys(name for name in every if name != "folded"))


def _data(paths: Sequence[Path]) -> Tree:
    """Return all files that the user gave, each under the name it has in its folder."""
    found: dict[str, SourceFile] = {}
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there is no file or folder {path}", hint="correct --data")
        tree = directory.open_tree(path) if path.is_dir() else file.open_tree(path)
        found.update(tree.files)
    return Tree(found)
