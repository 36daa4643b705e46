"""What an ablation found, as tables: each technique left out, and where the stages are placed."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from toolchain.ir import Machine
from toolchain.ir.order_statistics import interval

WHOLE = "the whole pipeline"
ONE_THREAD, PROCESSES = "all stages in one thread", "a process a stage"
PLACEMENTS = {"one thread": ONE_THREAD, "a thread a stage": WHOLE, "a process a stage": PROCESSES}
STAGES = ("vad", "stt", "llm", "tts")
BUSY = 0.5
"""Load of the last minute above which other work is told: half a core of two. Ours."""
_SURE = 0.975  # of each bound, so that both together are wrong in 5 %


@dataclass(frozen=True)
class Played:
    """One turn of one variant."""

    variant: str
    number: int  # of the round
    clip: str
    first_audio_ms: float  # from the end of speech
    wall_ms: float  # that the turn really took: the clock leaves out waiting for frames
    cpu_ms: float  # of all processes
    wasted_ms: float  # work on answers that were thrown away
    gap_ms: float  # the longest silence in the answer
    cut_off: bool  # the end of speech was decided before it came
    work_ms: Mapping[str, float]  # by stage
    overhead_ms: Mapping[str, tuple[float, ...]]  # by stage in a process: one a call


@dataclass(frozen=True)
class Ablation:
    """Everything of one run; the load of the machine is that before the first round."""

    machine: Machine
    rounds: int
    variants: tuple[str, ...]
    turns: tuple[Played, ...]


@dataclass(frozen=True)
class Row:
    """A variant beside the whole pipeline: medians, and the median of the pairs' ratios."""

    variant: str
    p50_ms: float
    p95_ms: float
    ratio: float
    low: float | None  # 95 % bounds of the ratio
    high: float | None
    cpu_ms: float
    wall_ms: float
    wasted_ms: float
    gap_ms: float  # the longest of all
    cut_off: int
    turns: int


@dataclass(frozen=True)
class Placed:
    """A stage in one placement: work a turn, and what it is more than in one thread."""

    stage: str
    placement: str
    work_ms: float
    more_ms: float
    calls: float  # of the process, a turn; 0 without one
    call_ms: float  # overhead of one: pipe, shared memory, waking up
    turn_ms: float  # overhead of all of a turn


def rows(found: Ablation) -> list[Row]:
    """Return a row for each variant, in their order."""
    whole = {(t.number, t.clip): t for t in found.turns if t.variant == WHOLE}
    by_name = {name: [t for t in found.turns if t.variant == name] for name in found.variants}
    return [_row(turns, whole) for turns in by_name.values()]


def _row(turns: Sequence[Played], whole: Mapping[tuple[int, str], Played]) -> Row:
    first = sorted(t.first_audio_ms for t in turns)
    ratios = [t.first_audio_ms / whole[t.number, t.clip].first_audio_ms for t in turns]
    bounds = interval(ratios, 50, _SURE)
    return Row(
        variant=turns[0].variant,
        p50_ms=statistics.median(first),
        p95_ms=first[-(-len(first) * 95 // 100) - 1],
        ratio=statistics.median(ratios),
        low=bounds.low,
        high=bounds.high,
        cpu_ms=statistics.median(t.cpu_ms for t in turns),
        wall_ms=statistics.median(t.wall_ms for t in turns),
        wasted_ms=statistics.mean(t.wasted_ms for t in turns),
        gap_ms=max(t.gap_ms for t in turns),
        cut_off=sum(t.cut_off for t in turns),
        turns=len(turns),
    )


def placed(found: Ablation) -> list[Placed]:
    """Return each stage in each placement that was played."""
    by_name = {
        name: {(t.number, t.clip): t for t in found.turns if t.variant == variant}
        for name, variant in PLACEMENTS.items()
    }
    alone = by_name["one thread"]
    return [
        _placed(stage, name, turns, alone)
        for stage in STAGES
        for name, turns in by_name.items()
        if turns and alone
    ]


def _placed(
    stage: str,
    placement: str,
    turns: Mapping[tuple[int, str], Played],
    alone: Mapping[tuple[int, str], Played],
) -> Placed:
    calls = [t.overhead_ms.get(stage, ()) for t in turns.values()]
    every = [ms for some in calls for ms in some]
    return Placed(
        stage=stage,
        placement=placement,
        work_ms=statistics.median(t.work_ms[stage] for t in turns.values()),
        more_ms=statistics.median(
            t.work_ms[stage] - alone[key].work_ms[stage] for key, t in turns.items()
        ),
        calls=statistics.mean(len(some) for some in calls),
        call_ms=statistics.median(every) if every else 0.0,
        turn_ms=statistics.median(sum(some) for some in calls),
    )


_ROW_HEAD = ("left out", "p50", "p95", "x", "cpu", "wall", "waste", "gap", "cut")
_PLACED_HEAD = ("stage", "placement", "work", "more", "calls", "a call", "a turn")


def text(found: Ablation) -> str:
    """Return both tables for a terminal of 80 columns; all times in ms."""
    lines = [_where(found), ""]
    table = [_ROW_HEAD, *(_cells(row) for row in rows(found))]
    lines += _aligned(table, 1)
    lines += ["", "worker overhead, ms of a turn", *_aligned([_PLACED_HEAD, *_stages(found)], 2)]
    return "\n".join(lines)


def _where(found: Ablation) -> str:
    load = found.machine.load
    beside = "load unknown" if load is None else f"load before {load:.2f}"
    if load is not None and load > BUSY:
        beside += ", other work ran on it: figures are rough"
    return f"{found.machine.cpu}, {found.machine.cores} cores; {beside}"


def _cells(row: Row) -> list[str]:
    times = (row.p50_ms, row.p95_ms)
    after = (row.cpu_ms, row.wall_ms, row.wasted_ms, row.gap_ms)
    ratio = f"{row.ratio:.2f}"
    texts = [f"{ms:.0f}" for ms in times], [ratio], [f"{ms:.0f}" for ms in after]
    return [row.variant, *texts[0], *texts[1], *texts[2], str(row.cut_off)]


def _stages(found: Ablation) -> list[list[str]]:
    return [
        [
            one.stage,
            one.placement,
            f"{one.work_ms:.1f}",
            f"{one.more_ms:+.1f}",
            *(
                [f"{one.calls:.0f}", f"{one.call_ms:.2f}", f"{one.turn_ms:.1f}"]
                if one.calls
                else []
            ),
        ]
        for one in placed(found)
    ]


def _aligned(table: Sequence[Sequence[str]], words: int) -> list[str]:
    """Return the lines of a table whose first ``words`` columns are words, the rest numbers.

    >>> _aligned([["a", "ms"], ["long", "1"]], 1)
    ['a     ms', 'long   1']
    """
    count = max(len(line) for line in table)
    full = [[*line, *[""] * (count - len(line))] for line in table]
    widths = [max(len(line[i]) for line in full) for i in range(count)]
    return [
        "  ".join(
            cell.ljust(w) if at < words else cell.rjust(w)
            for at, (cell, w) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in full
    ]


_PAGE = """# What each technique is worth

Written by `nox -s ablation -- --docs`, after `make demo`; every figure is measured by it.

{where}. {rounds} rounds of all clips; every clip is played with all variants, in random order,
before the next one. *First audio* counts from the end of speech until the first sound can be heard;
the ratio is the median of the pairs (variant over the whole pipeline, same clip and round), with
95 % bounds where the pairs are enough. *CPU* and *wall* are what a turn took, all processes and
without the waiting for frames; *wasted* is work on answers that were begun in a silence and thrown
away; *gap* is the longest silence in an answer; *cut off* are turns whose end of speech was decided
before it came.

{left_out}

## Worker overhead: where the stages are placed

Milliseconds of work of a turn by stage (for the VAD, all its frames), and what it is *more* than
with all stages in one thread: the median of pairs. It contains waiting for a core that another
stage uses. For stages in processes also the calls a turn, and what a call takes beyond the work in
the other process: pipe, shared memory, waking up.

{placed}
"""


def markdown(found: Ablation) -> str:
    """Return the page docs/ablation.md."""
    head = ("left out", "first audio p50 ms", "p95 ms", "ratio", "CPU ms", "wall ms", "wasted ms")
    table = [[*head, "gap ms", "cut off"]]
    for row in rows(found):
        cells = _cells(row)
        if row.low is not None and row.high is not None:
            cells[3] += f" ({row.low:.2f} to {row.high:.2f})"
        table.append(cells)
    second = ("stage", "placement", "work ms", "more ms", "calls", "overhead of a call ms")
    return _PAGE.format(
        where=_where(found),
        rounds=found.rounds,
        left_out=_ruled(table),
        placed=_ruled([[*second, "of a turn ms"], *_stages(found)]),
    )


def _ruled(table: Sequence[Sequence[str]]) -> str:
    count = len(table[0])
    full = [[*line, *[""] * (count - len(line))] for line in table]
    lines = ["| " + " | ".join(line) + " |" for line in full]
    return "\n".join([lines[0], "|" + " --- |" * count, *lines[1:]])
