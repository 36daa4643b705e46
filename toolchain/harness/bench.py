"""Plays two applications the same clips side by side, and judges whether one takes more CPU time.

A round
    starts a fresh process for each side, lets each do the first piece of work once without counting
    it, and then does every piece ``repeats`` times on each side: the pieces in random order, and
    each time the side that goes first is drawn too. One side works, the other waits. The least of a
    piece's repeats counts: what others do to a machine only adds.

Why fresh processes
    Where code and data lie in memory is luck that lasts as long as the process. Measured between
    two processes that do the same: up to 6 % of CPU time, all rounds alike, so that no number of
    rounds would have shown it. Now it is drawn anew in each round and is in the bounds.

Source: J. Chen and J. Revels, Robust benchmarking in noisy environments (2016), for the least;
T. Mytkowicz and others, Producing wrong data without doing anything obviously wrong (2009), and
T. Kalibera and R. Jones, Rigorous benchmarking in reasonable time (2013), for fresh processes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from toolchain.errors import ConfigError
from toolchain.harness import paired
from toolchain.harness.machine import machine as this_machine
from toolchain.harness.paired import LEAST_ROUNDS, Ratio
from toolchain.harness.process import Child, started
from toolchain.ir import Machine, Measure, State
from toolchain.progress import SILENT, Progress


@dataclass(frozen=True)
class Plan:
    """How much is played, and what is judged.

    Errors:
        ConfigError: a number that makes no sense.
    """

    rounds: int = 10  # until the first look
    most: int = 40  # rounds; where it is inconclusive then, it stays so
    repeats: int = 3  # of each piece of work in a round, on each side; the least counts
    tolerance: float = 0.05  # more CPU time than this is a regression
    seed: int = 0  # of the order and of the bounds

    def __post_init__(self) -> None:
        if self.rounds < LEAST_ROUNDS:
            raise ConfigError(
                f"{self.rounds} rounds are asked for", hint=f"at least {LEAST_ROUNDS} are needed"
            )
        if self.rounds > self.most:
            raise ConfigError(
                f"{self.rounds} rounds are asked for, but {self.most} at most",
                hint="--most is the cap on all rounds: raise it, or lower --rounds",
            )
        if not 0 < self.tolerance < _LARGEST_TOLERANCE:
            raise ConfigError(
                f"the tolerance is {self.tolerance:g}",
                hint="give the share of CPU time that may be added, above 0 and below 1, as 0.05",
            )


CLOCKS = ("cpu", "wall")
_LARGEST_TOLERANCE = 1.0  # ours: who allows twice the time, means percent


@dataclass(frozen=True)
class Side:
    """What one side does: the process to start, and the request for each piece of work."""

    label: str
    command: Sequence[str]
    opening: Mapping[str, Any]
    requests: Mapping[str, Mapping[str, Any]]
    timeout_s: float  # of opening, and of each piece of work


@dataclass(frozen=True)
class Comparison:
    """What was measured of a baseline and a candidate; samples by piece of work, one a round."""

    plan: Plan
    labels: tuple[str, str]
    state: State  # of the CPU time
    cpu: Ratio
    wall: Ratio  # by the same rounds, shown beside: never judged
    baseline: tuple[Measure, ...]  # "turn.cpu of CLIP" and "turn.wall of CLIP", ms
    candidate: tuple[Measure, ...]
    clips: Mapping[str, Ratio]  # of the CPU time of each piece of work alone
    facts: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
    """By piece of work: what each side said of it the last time."""
    notes: tuple[str, ...] = field(default=())


def compare(
    baseline: Side, candidate: Side, plan: Plan, *, progress: Progress = SILENT
) -> Comparison:
    """Play rounds until the CPU time is judged, at most ``plan.most``.

    Errors:
        ConfigError: the sides do other work.
        ToolError: a process failed, died or hung; names the side.
    """
    seen = _Seen(plan, (baseline, candidate), this_machine())
    planned = paired.looks(plan.rounds, plan.most)
    sure = paired.confidence(len(planned))
    for until in planned:
        for number in range(seen.rounds, until):
            progress.update("rounds", number, until)
            with _opened((baseline, candidate)) as players:
                seen.play(players)
        progress.update("rounds", until, until)
        cpu = paired.ratio(paired.by_round(seen.logs("cpu")), sure, plan.seed)
        if cpu.judge(plan.tolerance) is not State.INCONCLUSIVE:
            break
    return seen.judged(cpu, sure)


@dataclass(frozen=True)
class _Player:
    """A process that is open, and what it is asked."""

    side: Side
    child: Child

    def play(self, name: str) -> Mapping[str, Any]:
        """Do one piece of work; return ``cpu_ms``, ``wall_ms`` and ``facts``."""
        self.child.tell(self.side.requests[name])
        doing = f"playing {name} ({self.side.label})"
        cost: Mapping[str, Any] = self.child.answer(
            doing, timeout_s=self.side.timeout_s, progress=SILENT
        )
        return cost


@contextmanager
def _opened(sides: tuple[Side, Side]) -> Iterator[tuple[_Player, _Player]]:
    """Open both applications at once, each warm; they are gone when the block ends."""
    with ExitStack() as stack:
        players = [
            _Player(side, stack.enter_context(started(side.command, side.opening)))
            for side in sides
        ]
        for player in players:
            doing = f"opening {player.side.label}"
            player.child.answer(doing, timeout_s=player.side.timeout_s, progress=SILENT)
        for player in players:
            player.play(next(iter(player.side.requests)))
        yield players[0], players[1]


class _Seen:
    """The samples until now: by side, clock and piece of work, one a round."""

    def __init__(self, plan: Plan, sides: tuple[Side, Side], machine: Machine) -> None:
        self.plan, self.sides, self.machine = plan, sides, machine
        self.rounds = 0
        self.samples: list[dict[str, dict[str, list[float]]]] = [
            {clock: {name: [] for name in side.requests} for clock in CLOCKS} for side in sides
        ]
        self.facts: list[dict[str, Mapping[str, Any]]] = [{}, {}]
        self._rng = random.Random(plan.seed)  # noqa: S311 - an order, not a secret

    def play(self, players: tuple[_Player, _Player]) -> None:
        """Play one round."""
        names = list(self.sides[0].requests)
        costs: dict[tuple[int, str, str], list[float]] = {}
        for _ in range(self.plan.repeats):
            for name in self._rng.sample(names, len(names)):
                for which in self._rng.sample((0, 1), 2):
                    cost = players[which].play(name)
                    self.facts[which][name] = cost["facts"]
                    for clock in CLOCKS:
                        costs.setdefault((which, clock, name), []).append(cost[f"{clock}_ms"])
        for (which, clock, name), found in costs.items():
            self.samples[which][clock][name].append(min(found))
        self.rounds += 1

    def measures(self, which: int, clock: str) -> dict[str, Measure]:
        """Return the samples of one side by one clock, by piece of work."""
        return {
            name: Measure(f"turn.{clock} of {name}", "ms", tuple(samples), self.machine)
            for name, samples in self.samples[which][clock].items()
        }

    def logs(self, clock: str) -> dict[str, paired.Logs]:
        """Return the log ratios by one clock, by piece of work."""
        return paired.log_ratios(self.measures(0, clock), self.measures(1, clock))

    def judged(self, cpu: Ratio, sure: float) -> Comparison:
        """Return what is known after the last look."""
        wall = paired.ratio(paired.by_round(self.logs("wall")), sure, self.plan.seed)
        alone = {
            name: paired.ratio(logs, sure, self.plan.seed)
            for name, logs in self.logs("cpu").items()
        }
        both = [
            tuple(one for clock in CLOCKS for one in self.measures(n, clock).values())
            for n in (0, 1)
        ]
        return Comparison(
            plan=self.plan,
            labels=(self.sides[0].label, self.sides[1].label),
            state=cpu.judge(self.plan.tolerance),
            cpu=cpu,
            wall=wall,
            baseline=both[0],
            candidate=both[1],
            clips=alone,
            facts={n: (self.facts[0][n], self.facts[1][n]) for n in self.facts[0]},
        )
