"""Tests the clock on this machine: nothing changed must not alarm, ten percent more must be found.

A window is a whole comparison, with processes, rounds and looks of its own. In half of the windows
both sides do ten units of the same work (A/A), in the others the candidate really does eleven. Busy
neighbour processes run all the time.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from toolchain.errors import ConfigError
from toolchain.harness.bench import Comparison, Plan, Side, compare
from toolchain.harness.machine import machine
from toolchain.harness.neighbours import busy
from toolchain.ir import Machine, State
from toolchain.progress import SILENT, Progress

NEEDED_WINDOWS = 100
"""Of the bar: no false alarm in so many A/A windows bounds the rate at 3 % (rule of three)."""

NEEDED_DETECTION = 0.95  # of the bar: of +10 % CPU time

_UNITS = (10, 11)
_TIMEOUT_S = 120  # of one piece of work: it takes 0.1 s, and a machine may be very busy


@dataclass(frozen=True, slots=True)
class Window:
    """One comparison: how much more the candidate really did, and what was found."""

    more: float  # share of the work that was added: 0 or 0.1
    comparison: Comparison
    seconds: float

    def state(self, clock: str) -> State:
        """Return the verdict by one clock, ``cpu`` or ``wall``, on the same rounds."""
        found = self.comparison.cpu if clock == "cpu" else self.comparison.wall
        return found.judge(self.comparison.plan.tolerance)


@dataclass(frozen=True, slots=True)
class Rates:
    """The verdicts of windows of one kind by one clock."""

    windows: int
    broken: int
    met: int
    inconclusive: int
    rounds: int
    seconds: float


@dataclass(frozen=True)
class SelfTest:
    """What was found on this machine."""

    windows: tuple[Window, ...]
    neighbours: int
    workload: str
    machine: Machine
    seconds: float

    def rates(self, clock: str, more: float) -> Rates:
        """Return the verdicts by ``clock`` of the windows with so much ``more`` work."""
        mine = [window for window in self.windows if window.more == more]
        states = Counter(window.state(clock) for window in mine)
        return Rates(
            windows=len(mine),
            broken=states[State.BROKEN],
            met=states[State.MET],
            inconclusive=states[State.INCONCLUSIVE],
            rounds=sum(window.comparison.cpu.rounds for window in mine),
            seconds=sum(window.seconds for window in mine),
        )

    @property
    def state(self) -> State:
        """Whether the bar is met; with fewer windows than it asks for it can only be broken."""
        same, more = self.rates("cpu", 0.0), self.rates("cpu", MORE)
        if same.broken or more.broken < NEEDED_DETECTION * more.windows:
            return State.BROKEN
        return State.MET if same.windows >= NEEDED_WINDOWS else State.INCONCLUSIVE


MORE = _UNITS[1] / _UNITS[0] - 1


def known_side(units: int) -> Side:
    """Return a side that does ``units`` units of known work; it needs no models."""
    command = (sys.executable, "-P", "-m", "toolchain.harness.known_work")
    return Side(f"{units} units", command, {}, {"units": {"units": units}}, _TIMEOUT_S)


@dataclass(frozen=True)
class Workload:
    """What is done in the windows: ``side`` returns who does so many units of it."""

    name: str
    side: Callable[[int], Side]


KNOWN_WORK = Workload("known work, no models", known_side)


def self_test(
    windows: int,
    neighbours: int,
    plan: Plan,
    *,
    workload: Workload = KNOWN_WORK,
    progress: Progress = SILENT,
) -> SelfTest:
    """Judge ``windows`` windows of each kind, in turn.

    Errors:
        ConfigError: no windows, fewer than no neighbours, or a tolerance that finds nothing.
        ToolError: a process died or hung, or a neighbour ended too early.
    """
    if windows < 1 or neighbours < 0:
        raise ConfigError(
            f"{windows} windows with {neighbours} neighbours are asked for",
            hint="give --windows 1 or more, and --neighbours 0 or more",
        )
    if (1 + plan.tolerance) * _UNITS[0] >= _UNITS[1]:
        raise ConfigError(
            f"a tolerance of {plan.tolerance:g} allows the {MORE:.0%} that are to be found",
            hint="the self-test is of a tolerance below 0.1, as 0.05",
        )
    begun, on = time.monotonic(), machine()
    done: list[Window] = []
    with busy(neighbours):
        for number in range(windows):
            progress.update("windows of each kind", number, windows)
            for units in _UNITS:
                own = replace(plan, seed=plan.seed + len(done))
                done.append(_window(workload.side(_UNITS[0]), workload.side(units), own))
    progress.update("windows of each kind", windows, windows)
    return SelfTest(tuple(done), neighbours, workload.name, on, time.monotonic() - begun)


def _window(baseline: Side, candidate: Side, plan: Plan) -> Window:
    begun = time.monotonic()
    found = compare(baseline, candidate, plan)
    more = candidate.requests != baseline.requests
    return Window(MORE if more else 0.0, found, time.monotonic() - begun)
