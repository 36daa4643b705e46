"""What a pass is: a frozen dataclass whose fields are its options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from toolchain.ir import ArtifactId, Graph, Kind, Store


@dataclass(frozen=True)
class Pass(ABC):
    """A rewrite. ``proof`` names the module in ``toolchain/verify`` that checks every result.

    A lossy pass is refused unless its pipeline step names quality budgets.
    """

    lossy: ClassVar[bool] = False
    proof: ClassVar[str]


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

    def rename(self, name: ArtifactId) -> ArtifactId:
        """Return the file's new name; the same unless the pass changes the format."""
        return name


@dataclass(frozen=True)
class GraphPass(Pass):
    """Rewrites the graph as a whole."""

    @abstractmethod
    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return the new graph; ``graph`` itself where there is nothing to do."""
