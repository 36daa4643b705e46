"""Rule packs: pipelines and budgets as TOML in ``rules/``, or in a project's own ``rules/`` folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from toolchain import plugins, resources
from toolchain.errors import ConfigError
from toolchain.ir import Budget
from toolchain.passes.base import Pass
from toolchain.tables import check, load, table


@table
class Step:
    """One step of a pipeline: a pass, its options, and which files it is for."""

    run: str  # name of the pass
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    match: tuple[str, ...] = ("*",)  # globs of artifact ids
    budgets: tuple[str, ...] = ()  # measures that judge a lossy pass


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
    steps = load(_find("pipelines", name, project), PipelinePack).step
    for step in steps:
        make_pass(step)
    return steps


def budgets(name: str, project: Path | None = None) -> tuple[Budget, ...]:
    """Return the budgets of the pack ``name``."""
    return load(_find("budgets", name, project), BudgetPack).budget


def require_quality(steps: tuple[Step, ...], pack: tuple[Budget, ...]) -> None:
    """Refuse a lossy pass that no budget judges.

    Errors:
        ConfigError: a lossy step names no budget, or one that the pack does not have.
    """
    known = {b.measure for b in pack}
    for step in steps:
        if not make_pass(step).lossy:
            continue
        missing = sorted(set(step.budgets) - known)
        if missing or not step.budgets:
            raise ConfigError(
                f"the lossy pass {step.run!r} has no quality budget"
                + (f": nothing limits {missing[0]!r}" if missing else ""),
                hint="name measures of the budget pack in the step's `budgets`",
            )


def make_pass(step: Step) -> Pass:
    """Return the pass of ``step`` with its options.

    Errors:
        ConfigError: no such pass, no such option, or a value of the wrong type.
    """
    return build_pass(step.run, step.options)


def build_pass(name: str, options: Mapping[str, Any]) -> Pass:
    """Return the pass ``name`` with ``options``, each checked against the pass's fields."""
    kind = pass_class(name)
    known = {f.name for f in fields(kind)}
    for option in options:
        if option not in known:
            raise ConfigError(
                f"the pass {name!r} has no option {option!r}",
                hint=f"its options: {', '.join(sorted(known)) or 'none'}",
            )
    return check(dict(options), kind, where=f"pass {name}")


def pass_class(name: str) -> type[Pass]:
    """Return the class of the pass ``name``: the one subclass of ``Pass`` its module defines."""
    module: ModuleType = plugins.find("passes", name)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Pass) and value.__module__ == module.__name__:
            return value
    raise ConfigError(f"the module {module.__name__} defines no pass", hint="see docs/extending.md")


def _find(shelf: str, name: str, project: Path | None) -> Path:
    folders = [project / "rules" / shelf] if project else []
    folders.append(resources.folder("rules") / shelf)
    for folder in folders:
        path = folder / f"{name}.toml"
        if path.is_file():
            return path
    known = sorted({p.stem for f in folders for p in f.glob("*.toml")})
    raise ConfigError(f"rules/{shelf} has no pack {name!r}", hint=f"packs: {', '.join(known)}")
