"""What a pass is: a frozen dataclass whose fields are its options; and a step that runs one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from toolchain import plugins
from toolchain.errors import ConfigError
from toolchain.ir import ArtifactId, Fate, Graph, Kind, ModelSearch, Play, Store
from toolchain.tables import check, table
from toolchain.units import Bytes, Seconds


@dataclass(frozen=True)
class Pass(ABC):
    """A rewrite. ``proof`` names the module in ``toolchain/verify`` that checks every result.

    A lossy pass is refused unless its pipeline step names quality budgets, or its proof has limits
    of its own (``guarded``).
    """

    lossy: ClassVar[bool] = False
    guarded: ClassVar[bool] = False  # True: the proof itself judges what was lost
    proof: ClassVar[str]

    def installed(self) -> tuple[str, ...]:
        """Return the versions of the programs of this machine that the pass needs; mostly none.

        Errors:
            UnavailableError: one is missing; the hint says how to get it. The pass is not run, and
            the ledger says so.
        """
        return ()


@dataclass(frozen=True)
class Rewritten:
    """A rewritten file, and what the report shows of how it was found."""

    data: bytes
    search: ModelSearch | None = None
    note: str = ""  # why it stays as it is, where it does


@dataclass(frozen=True)
class ArtifactPass(Pass):
    """Rewrites one file at a time; depends on nothing but its bytes and options.

    So its results are cached by content and computed in parallel in other processes.
    """

    kinds: ClassVar[frozenset[Kind]]
    produces: ClassVar[Kind | None] = None  # None: the kind stays
    pays_in_bytes: ClassVar[bool] = False  # True: kept even where the result is larger

    @abstractmethod
    def rewrite(self, data: bytes) -> bytes:
        """Return the rewritten file; ``data`` itself where there is nothing to do.

        Errors:
            InputError: ``data`` is not what its kind says; the pass leaves it alone and says so.
        """

    def rewritten(self, data: bytes) -> Rewritten:
        """Return the rewritten file with what is to be said of it; errors as ``rewrite``."""
        made = self.rewrite(data)
        return Rewritten(made, self.shown(made))

    def rename(self, name: ArtifactId) -> ArtifactId:
        """Return the file's new name; the same unless the pass changes the format."""
        return name

    def shown(self, after: bytes) -> ModelSearch | None:
        """Return what a report shows of a model that became the package ``after``; mostly None."""
        del after
        return None


@dataclass(frozen=True)
class GuardedPass(ArtifactPass):
    """A lossy rewrite of a model that keeps to the limit of the model's own task.

    ``task`` is what ``tasks.make_task`` takes: the family, and names of other files of the project
    (a companion model, a tokenizer, recordings), which are then part of what its result depends on.
    """

    lossy: ClassVar[bool] = True
    guarded: ClassVar[bool] = True

    task: Mapping[str, Any]

    @property
    def needs(self) -> tuple[str, ...]:
        """Ids and globs of the files that the task may read."""
        from toolchain.tasks.base import needed_files  # noqa: PLC0415 - numpy and onnxruntime: 0.2 s

        return needed_files(self.task)

    @abstractmethod
    def rewrite_for(self, data: bytes, files: Mapping[str, Path]) -> Rewritten:
        """Return the rewritten file; ``data`` itself where nothing holds the limit.

        Errors:
            InputError: ``data`` is not what its kind says, or not a model of the family.
            ConfigError: the task is wrong, or has no limit.
        """

    def rewrite(self, data: bytes) -> bytes:
        """Return the rewritten file for a task that reads no other file."""
        return self.rewrite_for(data, {}).data


@dataclass(frozen=True)
class GraphPass(Pass):
    """Rewrites the graph as a whole."""

    @abstractmethod
    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return the new graph; ``graph`` itself where there is nothing to do."""


@dataclass(frozen=True)
class ProfiledPass(GraphPass):
    """Rewrites the graph by what runs in programs of the project that do not ship.

    Where a program or a tool fails, the graph stays as it is and the ledger says why.
    """

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Ids and globs of the files that do not ship and that it reads."""

    @abstractmethod
    def apply_with(self, graph: Graph, store: Store, files: Mapping[str, Path]) -> Graph:
        """Return the new graph; ``graph`` itself where there is nothing to do.

        Errors:
            InputError: a file is not what it should be, or a program fails.
            ToolError: a tool fails.
        """

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return the new graph for a pass that needs no program."""
        return self.apply_with(graph, store, {})


@dataclass(frozen=True)
class PlayedPass(GraphPass):
    """Rewrites the graph by what is seen while the project's scenario is played."""

    @abstractmethod
    def apply_played(self, graph: Graph, store: Store, play: Play | None) -> Graph:
        """Return the new graph; ``play`` is None where the project names no scenario."""

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return the new graph of a project without a scenario."""
        return self.apply_played(graph, store, None)


_NONE = Bytes(0)


@dataclass(frozen=True)
class Again:
    """A candidate that was made once more: what is not the same, or nothing.

    ``graph`` is the same with what only the kept candidate needs: source maps; None if that is
    nothing. ``detail`` is what the ledger is to say of it.
    """

    different: str = ""
    graph: Graph | None = None
    detail: str = ""


@dataclass(frozen=True)
class Attempt:
    """One candidate of a ``PortfolioPass``: what it made, or why it made nothing."""

    name: str
    seconds: Seconds
    graph: Graph | None = None
    size: Bytes = _NONE  # in brotli, of what is new in ``graph``
    cost: Bytes = _NONE  # what is judged, where that is more than ``size``: requests, too
    fate: Fate = Fate.LARGER  # where there is no graph: what became of it
    detail: str = ""  # why there is no graph; of one that is kept, what it makes load
    again: Callable[[], Again] = Again  # makes it once more

    @property
    def rank(self) -> tuple[int, int, str]:
        """What is compared: the least cost wins, of equal ones the smallest."""
        return self.cost or self.size, self.size, self.name


@dataclass(frozen=True)
class PortfolioPass(GraphPass):
    """Rewrites the graph in several ways, of which the smallest that is proved is kept."""

    @abstractmethod
    def attempts(self, graph: Graph, store: Store) -> Iterator[Attempt]:
        """Yield the candidates as they are done; the same in every order.

        None at all means that there is nothing to do.

        Errors:
            as ``apply``
        """


@table
class Step:
    """One step of a pipeline: a pass, its options, and which files it is for."""

    run: str  # name of the pass
    why: str
    options: Mapping[str, Any] = field(default_factory=dict)
    match: tuple[str, ...] = ("*",)  # globs of artifact ids
    budgets: tuple[str, ...] = ()  # measures that judge a lossy pass


def make_pass(name: str, options: Mapping[str, Any]) -> Pass:
    """Return the pass ``name`` with ``options``, each checked against the pass's fields.

    Errors:
        ConfigError: no such pass, no such option, or a value of the wrong type.
    """
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
    module = plugins.find("passes", name)
    for value in vars(module).values():
        if (
            isinstance(value, type)
            and issubclass(value, Pass)
            and value.__module__ == module.__name__
        ):
            return value
    raise ConfigError(f"the module {module.__name__} defines no pass", hint="see docs/extending.md")
