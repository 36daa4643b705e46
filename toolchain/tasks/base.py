"""What a task guard is: what a family of models is asked, and how its answers are compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from toolchain import plugins
from toolchain.errors import ConfigError
from toolchain.formats.onnx_runner import Runner
from toolchain.tables import check, dump, table


class Split(StrEnum):
    """Three disjoint sets of questions: no clip, sentence or seed is in two of them."""

    CALIBRATION = "calibration"  # statistics of activations, for rounding
    SEARCH = "search"  # what the search optimizes
    CONFIRMATION = (
        "confirmation"  # what the result is asked: it decides how far steps shrink, no more
    )


@table
class Score:
    """How far a model is from the original on one split."""

    error: float  # continuous, in the task's unit; 0 is the same
    agreement: float  # share of decisions that are the same, 0 to 1; 1 where nothing is decided
    positions: int  # decisions (or numbers) compared
    details: Mapping[str, float] = field(default_factory=dict)  # further figures, by name


@table
class Limit:
    """What a score may be at most (error) and at least (agreement); None: not limited."""

    error: float | None = None
    agreement: float | None = None

    def problem(self, score: Score) -> str:
        """Return how ``score`` breaks the limit; nothing if it holds.

        An error that is no finite number breaks every limit.

        >>> Limit(error=0.1).problem(Score(0.2, 1.0, 10))
        'error 0.2 is above 0.1'
        """
        if not math.isfinite(score.error):
            return f"error {score.error} is above any limit"
        if self.error is not None and score.error > self.error:
            return f"error {score.error:.4g} is above {self.error:.4g}"
        if self.agreement is not None and not score.agreement >= self.agreement:
            return f"agreement {score.agreement:.4%} is below {self.agreement:.4%}"
        return ""


class Task(Protocol):
    """One family's questions and comparison. Deterministic: the same runner gives the same score.

    Teacher-forced: the original's own answers are what both models are led along, so that one
    early difference does not make all that follows incomparable.
    """

    @property
    def unit(self) -> str:
        """Unit of ``Score.error``: "probability", "nats", "dB", "1 - cosine", "relative"."""
        ...

    @property
    def limit(self) -> Limit:
        """What a lossy result has to keep: the family's default, or what the user asked for."""
        ...

    def instrumented(self, model: bytes) -> bytes:
        """Return ``model`` with what the comparison needs made visible; mostly ``model`` itself.

        A text-to-speech model gets its rounded durations as an input, for instance. Weights keep
        their names. Original and candidate are instrumented alike.

        Errors:
            InputError: the model is not one of this family.
        """
        ...

    def reference(self, runner: Runner, split: Split) -> object:
        """Ask the original everything in ``split`` and return its answers, for ``score``.

        Also how activations are collected: with a runner that looks at what passes through it.

        Errors:
            InputError: the model cannot be asked.
        """
        ...

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        """Ask ``runner`` the same and compare; ``reference`` is the original's on this split.

        Errors:
            InputError: the model cannot be asked.
        """
        ...


def require_limit(task: Task) -> None:
    """Refuse to lose anything where nobody said how much.

    Errors:
        ConfigError: the task limits neither error nor agreement.
    """
    if task.limit.error is None and task.limit.agreement is None:
        raise ConfigError("a lossy search needs a limit", hint="set limit in the task's options")


def make_task(options: Mapping[str, Any], files: Mapping[str, Path]) -> Task:
    """Return the task of the family ``options["family"]``, with the other options checked.

    ``files`` are the project's, by name: companion models, tokenizers, audio.

    Errors:
        ConfigError: no such family or option, or a file that is not there.
        InputError: a file that is not what the family expects.
    """
    module = _module(options)
    found: Task = module.task(_checked(module, options), files)
    return found


def needed_files(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return names and globs of the files that a task may read: every string in its options.

    Errors:
        ConfigError: no such family or option.
    """
    return tuple(sorted(set(_strings(dump(_checked(_module(options), options))))))


def _module(options: Mapping[str, Any]) -> ModuleType:
    family = options.get("family")
    if family not in plugins.names("tasks"):
        raise ConfigError(
            f"no task family is called {family!r}",
            hint=f"families: {', '.join(plugins.names('tasks'))}",
        )
    return plugins.find("tasks", str(family))


def _checked(module: ModuleType, options: Mapping[str, Any]) -> object:
    rest = {name: value for name, value in options.items() if name != "family"}
    return check(rest, module.Options, where=f"task {options['family']}")


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [s for v in value.values() for s in _strings(v)]
    return [s for v in value for s in _strings(v)] if isinstance(value, list | tuple) else []
