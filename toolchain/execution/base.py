"""What an executor is: it runs the same function on many items, somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from toolchain.errors import VtoolError

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """The result of one item, or the error it ended with; never both."""

    index: int  # position of the item
    value: Result | None = None
    error: VtoolError | None = None

    def get(self) -> Result:
        """Return the value or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None is a value where Result allows it


class Executor(Protocol):
    """Runs tasks; results arrive in any order, each exactly once."""

    def run(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[Outcome[Result]]:
        """Yield one outcome for every item. ``function`` is importable, items can be pickled.

        A ``VtoolError`` of the function, a worker that dies and one that exceeds its time all
        fail their own item and nothing else.
        """
        ...
