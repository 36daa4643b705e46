"""Rule packs: pipelines and budgets as TOML in ``rules/`` of vtool or of a project."""

from __future__ import annotations

import math
from difflib import get_close_matches
from pathlib import Path

from toolchain import resources
from toolchain.errors import ConfigError
from toolchain.ir import Budget
from toolchain.ir.measure import USUAL_SCENARIO
from toolchain.passes.base import Step, make_pass, pass_class
from toolchain.tables import load, table

_MEASURES = {
    "core": ("raw", "brotli", "requests"),
    "code": ("raw", "lazy", "unrunnable"),
    "compression": ("code",),
    "models": ("download",),
    "update": ("download",),
}
_FAMILIES = frozenset(
    {"task", "init", "turn", "memory", "quality", "conversation", "sessions", "worker"}
) | {"vad", "stt", "llm", "tts"}


@table
class PipelinePack:
    """A file in ``rules/pipelines``."""

    step: tuple[Step, ...]


@table
class BudgetPack:
    """A file in ``rules/budgets``."""

    budget: tuple[Budget, ...]


def pipeline(name: str, project: Path | None = None) -> tuple[Step, ...]:
    """Return the steps of the pipeline ``name``; the project's own packs come first."""
    path = _find("pipelines", name, project)
    steps = load(path, PipelinePack).step
    for number, step in enumerate(steps, 1):
        try:
            make_pass(step.run, step.options)
        except ConfigError as error:
            raise ConfigError(f"{path}: step {number}: {error}", hint=error.hint) from error
    return steps


def budgets(
    name: str, project: Path | None = None, scenario: str = USUAL_SCENARIO
) -> tuple[Budget, ...]:
    """Return the budgets of the pack ``name`` for what a scenario measures.

    Errors:
        ConfigError: no such pack, a number in it that nothing can be judged by, or a measure that
            nothing takes.
    """
    path = _find("budgets", name, project)
    pack = load(path, BudgetPack).budget
    for one in pack:
        if not math.isfinite(one.limit):
            raise ConfigError(
                f"{path}: the limit of {one.measure} is {one.limit}", hint="write a finite number"
            )
        _refuse_unknown(path, one.measure)
    return tuple(one for one in pack if one.scenario == scenario)


def _refuse_unknown(path: Path, measure: str) -> None:
    """Refuse a budget of a measure that nothing takes.

    Of code all names are known; what a harness measures depends on the scenario and the models.
    """
    family, _, name = measure.partition(".")
    known = [f"{one}.{last}" for one, names in _MEASURES.items() for last in names]
    if measure in known or (family in _FAMILIES and name):
        return
    near = get_close_matches(measure, known, n=3, cutoff=0.4)
    raise ConfigError(
        f"{path}: nothing measures {measure!r}",
        hint=f"did you mean {' or '.join(near)}?"
        if near
        else f"measures of code are {', '.join(known)}; `vtool run` prints those of the harness",
    )


def require_quality(steps: tuple[Step, ...], pack: tuple[Budget, ...]) -> None:
    """Refuse a lossy pass that no budget judges; some passes' proofs have limits.

    Errors:
        ConfigError: a lossy step names no budget, or one that the pack does not have.
    """
    known = {b.measure for b in pack}
    for step in steps:
        kind = pass_class(step.run)
        if not kind.lossy or (kind.guarded and not step.budgets):
            continue
        missing = sorted(set(step.budgets) - known)
        if missing or not step.budgets:
            raise ConfigError(
                f"the lossy pass {step.run!r} has no quality budget"
                + (f": nothing limits {missing[0]!r}" if missing else ""),
                hint="name measures of the budget pack in the step's `budgets`",
            )


def _find(shelf: str, name: str, project: Path | None) -> Path:
    folders = [project / "rules" / shelf] if project else []
    folders.append(resources.folder("rules") / shelf)
    for folder in folders if resources.is_name(name) else ():
        path = folder / f"{name}.toml"
        if path.is_file():
            return path
    known = sorted({p.stem for f in folders for p in f.glob("*.toml")})
    raise ConfigError(f"rules/{shelf} has no pack {name!r}", hint=f"packs: {', '.join(known)}")
