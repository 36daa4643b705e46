"""What is known of one model after one tool: files, errors, times; None until measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from toolchain.formats.execution_format import FOLDED
from toolchain.ir import Digest
from toolchain.tables import table

ORIGINAL, VTOOL = "original", "vtool"
STRICT = "vtool, at the best peer's error"
USUAL = "as usual"  # the first setting of every target

_SAME = 0.002  # ours: what changed by less is the same to whoever downloads it


@table
class Made:
    """The tool's run. ``failed``: what it said instead of writing a model."""

    cpu_s: float = 0.0
    peak_bytes: int = 0  # of the tool's whole process
    file: Digest | None = None  # the model that runs
    bytes: int = 0
    download_bytes: int = 0
    failed: str = ""
    note: str = ""


@table
class Placed:
    """What runs: a file, the execution format it is in, and how it is opened."""

    file: Digest
    format: str = FOLDED
    setting: str = USUAL


@table
class Scored:
    """The task's answer on the confirmation data; without ``unit`` nothing could be asked."""

    error: float = 0.0
    agreement: float = 0.0
    positions: int = 0
    unit: str = ""
    problem: str = ""  # how the limit is broken
    stage: str = ""  # "does not load", "does not run", "cannot be asked"
    words: str = ""
    details: Mapping[str, float] = field(default_factory=dict)


@table
class Taken:
    """What the model takes to run; ratios are medians over rounds to the original's, run beside."""

    latency_ms: float = 0.0  # CPU time a call
    latency_ratio: float = 0.0
    load_ms: float = 0.0  # CPU time
    load_ratio: float = 0.0
    peak_bytes: int = 0
    peak_ratio: float = 0.0
    how: str = ""  # the setting it is opened with
    failed: str = ""


@table
class Row:
    """One model after one tool."""

    model: str
    tool: str
    made: Made
    scored: Scored | None = None
    taken: Taken | None = None

    @property
    def usable(self) -> bool:
        """Whether the result runs and keeps the task's limit."""
        return bool(self.scored and self.scored.unit and not self.scored.problem)

    def outcome(self, before: Made) -> str:
        """Return in few words what became of a download, and of the file where that is the same.

        >>> row = Row("m", "t", Made(bytes=99, download_bytes=50), Scored(unit="dB"))
        >>> row.outcome(Made(bytes=100, download_bytes=51))
        'smaller'
        """
        if self.made.failed:
            return "tool fails"
        if self.scored is None:
            return "not asked"
        if self.scored.stage:
            return self.scored.stage
        if self.scored.problem:
            return "breaks the limit"
        if self.made.download_bytes < (1 - _SAME) * before.download_bytes:
            return "smaller"
        larger = self.made.bytes > (1 + _SAME) * before.bytes
        return "larger" if larger else "no change"


def smallest(rows: Sequence[Row]) -> Row | None:
    """Return the row with the smallest download of those that keep the limit."""
    usable = [row for row in rows if row.usable]
    return min(usable, key=lambda row: row.made.download_bytes, default=None)


@table
class Probe:
    """One measurement for the table of traps: what was tried, and the figures."""

    trap: str
    what: str
    figures: Mapping[str, float] = field(default_factory=dict)
    words: str = ""


@table
class Result:
    """Everything of one run of the command."""

    machine: str
    versions: Mapping[str, str]
    inputs: Mapping[str, str]  # model: what it is, where from, licence
    limits: Mapping[str, str]
    rows: tuple[Row, ...]
    probes: tuple[Probe, ...] = ()
