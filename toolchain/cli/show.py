"""How commands talk: progress on standard error, results on standard output, ``--json``."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from toolchain.ir import Tuning
from toolchain.progress import Progress
from toolchain.units import show_bytes

_Target = TypeVar("_Target", str | None, Path | None)


def writable(path: _Target) -> _Target:
    """Check, before any work, that a file can be written at ``path``.

    Errors:
        ConfigError: it is a folder, or lies in something that is none, is not there or must not be
            written to.
    """
    from toolchain.emit import check_file

    if path is not None and str(path) != "-":
        check_file(Path(path))
    return path


JsonOption = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="PATH",
        callback=writable,
        help="Write the result as JSON, in a folder that is there; - is standard output, then "
        "nothing else is printed there.",
    ),
]
TuneOption = Annotated[
    Tuning,
    typer.Option(
        help="Search how each model is best opened on this machine: once (then it is known), "
        "again, or not at all."
    ),
]
MOST_REPEATS = 10_000  # ours: of a clip of 3 s; that is a night on the reference machine
RepeatsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_REPEATS,
        help="Repeats of every turn, starts in proportion; default: the scenario's.",
    ),
]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=0, help="Worker processes; 0 is one for each core.")
]

_PLAIN_SECONDS = 5.0  # a log wants a sign of life, not a film


class _Plain:
    """Progress as lines, for logs: the first, the last, and one every few seconds between."""

    def __init__(self) -> None:
        self._last: dict[str, float] = {}

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Print a line if it is time for one."""
        now = time.monotonic()
        last = self._last.get(what, -_PLAIN_SECONDS)
        if now - last < _PLAIN_SECONDS and done < total:
            return
        amount = _amount(done, total, unit)
        if last < math.inf:
            print(what + (f": {amount}" if amount else ""), file=sys.stderr, flush=True)  # noqa: T201 - the terminal
        self._last[what] = math.inf if done >= total else now


class _Bars:
    """Progress as bars, for a terminal."""

    def __init__(self, bars: Any) -> None:  # noqa: ANN401 - rich.progress.Progress, imported late
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Move the bar of ``what``."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total, amount="")
        amount = _amount(done, total, unit)
        self._bars.update(self._tasks[what], completed=done, total=total or None, amount=amount)


def _amount(done: int, total: int, unit: str) -> str:
    """Write how far a job is; nothing where its length is not known."""
    if not total:
        return ""
    return f"{show_bytes(done)} of {show_bytes(total)}" if unit else f"{done} of {total}"


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield a progress that suits standard error: bars on a terminal, else plain lines."""
    if not sys.stderr.isatty():
        yield _Plain()
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _Bars(bars)


def write_json(text: str, target: str | None) -> bool:
    """Write ``text`` to ``target``; return whether standard output is taken by it."""
    if target is None:
        return False
    if target == "-":
        typer.echo(text, nl=not text.endswith("\n"))
        return True
    from toolchain.emit import write_atomically

    write_atomically(Path(target), text if text.endswith("\n") else text + "\n")
    return False
