"""Chooses how a model runs on a target: its execution format, then how it is stored and opened."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from toolchain.errors import UnusableError
from toolchain.formats.execution_format import FOLDED, applied
from toolchain.ir import Execution
from toolchain.quantization.contest import Candidate, Contest, Tried
from toolchain.quantization.targets import Setting, Target
from toolchain.units import Bytes

_FLOOR_BYTES = 1_000_000
"""Ours: added to memory before figures are compared. WebAssembly's memory grows in steps of about
that size, and the smallest models fit into what the runtime has anyway."""
_SAID = 0.02  # ours: a ratio nearer to 1 is not worth a word


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs on the target; every candidate with its figures and why it won or lost."""

    format: str
    setting: Setting
    rows: tuple[Execution, ...]


def choose(
    model: bytes,
    contest: Contest,
    *,
    formats: Sequence[str] | None = None,
    accepts: Callable[[bytes], bool] = lambda _: True,
) -> Choice:
    """Return the format and setting in which ``model`` runs best on the contest's target.

    First the formats are compared, opened as usual; then the ways to store and open the best one.
    The score of a candidate is the product of its figures (latency, load time, memory, size), each
    as a multiple of the baseline's and to the power of its weight; the least wins. Nothing wins
    that is slower than ``most_latency`` times the baseline (the model as it is, opened as usual),
    and no format that scores more than ``least_gain``; nor a setting that changes the answers.
    Each figure is compared with one of the same contest: the machine may be slower in the second.

    ``formats`` are those that may be tried of the target's, None all of them. A format changes
    numbers, so ``accepts`` is asked about a changed model before it may win: in the order of the
    scores, and only until one is accepted. A candidate that does not load, crashes or hangs is a
    row that says so.

    Errors:
        UnusableError: the model itself does not run on the target.
        InputError: not an ONNX model.
        ToolError, UnavailableError: the target's runtime is not there.
    """
    target = contest.target
    asked = [f.name for f in target.format if formats is None or f.name in {FOLDED, *formats}]
    made = {name: applied(model, name) for name in asked}
    entered = [n for n, changed in made.items() if n == FOLDED or changed is not model]
    first = contest.tried([Candidate(n, made[n], target.setting[0]) for n in entered])
    judge = _Judge(target, first[0], len(contest.feeds))
    best = judge.best(first, accepts)
    later, second, winner = _opened(contest, judge, best)
    rows = [judge.row(one, best, winner) for one in first]
    rows += [later.row(one, best, winner) for one in second]
    rows += [judge.nothing(name) for name in asked if name not in entered]
    return Choice(winner.candidate.format, winner.candidate.setting, tuple(rows))


def _opened(contest: Contest, judge: _Judge, best: Tried) -> tuple[_Judge, list[Tried], Tried]:
    """Try the other ways to open ``best``; return who judged, what became of them, who won."""
    baseline = judge.baseline.candidate
    known = [baseline] if best is judge.baseline else [baseline, best.candidate]
    others = [replace(best.candidate, setting=s) for s in contest.target.setting[1:]]
    again = contest.tried([*known, *others])
    opened = again[len(known) :]
    if again[0].figures:
        later = replace(judge, baseline=again[0])
        return later, opened, later.best(again, lambda _: True)
    alone = f"nothing to compare it with, when tried again {again[0].problem}"
    return judge, [replace(one, problem=one.problem or alone) for one in opened], best


@dataclass(frozen=True, slots=True)
class _Judge:
    target: Target
    baseline: Tried
    calls: int  # that one latency is of

    def __post_init__(self) -> None:
        if self.baseline.figures is None:
            raise UnusableError(
                f"the model cannot run on {self.target.name}: {self.baseline.problem}",
                hint="the runtime lacks an operator, or it needs more time or memory",
            )

    def best(self, tried: Sequence[Tried], accepts: Callable[[bytes], bool]) -> Tried:
        """Return who wins; the baseline's own format needs no consent."""
        for one in sorted((o for o in tried if self.eligible(o)), key=self.score):
            if one.candidate.format == FOLDED or accepts(one.candidate.model):
                return one
        return self.baseline

    def eligible(self, one: Tried) -> bool:
        """Return whether it runs, no slower than the target allows, and is worth other numbers."""
        if one.figures is None or one.problem:
            return False
        numbers = self.target.numbers
        if _ratios(one, self.baseline)["latency"] > numbers.most_latency:
            return False
        return one.candidate.format == FOLDED or self.score(one) <= numbers.least_gain

    def score(self, one: Tried) -> float:
        """Return the weighted geometric mean of the figures as multiples of the baseline's."""
        numbers = self.target.numbers
        powers = {
            "latency": numbers.latency_weight,
            "load time": numbers.load_weight,
            "memory": numbers.memory_weight,
            "size": numbers.size_weight,
        }
        ratios = _ratios(one, self.baseline)
        return math.prod(math.pow(ratio, powers[name]) for name, ratio in ratios.items())

    def row(self, one: Tried, best: Tried, winner: Tried) -> Execution:
        """Return the row of a report: the figures, and why it won or lost."""
        chosen = one.candidate is winner.candidate
        figures = one.figures
        medians = _medians(one) if figures else {}
        return Execution(
            target=self.target.name,
            format=one.candidate.format,
            setting=one.candidate.setting.name,
            latency_ms=medians["latency"] / self.calls if figures else None,
            load_ms=medians.get("load time"),
            peak=Bytes(int(median(figures.peak_bytes))) if figures else None,
            size=figures.size if figures else None,
            chosen=chosen,
            why=self._why(one, best, winner),
        )

    def nothing(self, name: str) -> Execution:
        """Return the row of a format that does not change the model."""
        why = "nothing in the model can be written so"
        return Execution(self.target.name, name, chosen=False, why=why)

    def _why(self, one: Tried, best: Tried, winner: Tried) -> str:
        """Return why it won or lost: formats against the best one, settings against the winner."""
        if one.problem:
            return one.problem
        if one.candidate is winner.candidate:
            if one.candidate is self.baseline.candidate:
                return "nothing is better than the model as it is"
            return f"least score, {self.score(one):.2f}: {_compared(one, self.baseline)}"
        if one is best:
            better = f"the best format, better opened as {winner.candidate.setting.name!r}"
            held = winner.candidate.format == one.candidate.format
            return better if held else "the best format, but not when it was measured again"
        rival = best if one.candidate.setting is self.target.setting[0] else winner
        said = f"against {rival.candidate.name}: {_compared(one, rival)}"
        if self.eligible(one) and self.score(one) < self.score(rival):
            return f"it does not keep the quality that is asked for; {said}"
        return said


def _medians(one: Tried) -> dict[str, float]:
    """Return the figures that count, by the words used for them."""
    assert one.figures is not None  # noqa: S101 - for the type checker: only of what runs
    return {
        "latency": median(one.figures.latency_ms),
        "load time": median(one.figures.load_cpu_ms),
        "memory": median(one.figures.peak_bytes) + _FLOOR_BYTES,
        "size": float(one.figures.size),
    }


def _ratios(one: Tried, other: Tried) -> dict[str, float]:
    theirs = _medians(other)
    return {name: value / theirs[name] for name, value in _medians(one).items()}


def _compared(one: Tried, other: Tried) -> str:
    """Say the figures that differ: "0.52 times the latency, 1.3 times the memory"."""
    said = [
        f"{ratio:.2f} times the {name}"
        for name, ratio in _ratios(one, other).items()
        if abs(ratio - 1) > _SAID
    ]
    return ", ".join(said) or "no difference"
