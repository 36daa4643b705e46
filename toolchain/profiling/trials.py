"""Tries changes beside the application as it is, and recommends what was measured to help."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from typing import NamedTuple

from toolchain.harness.rounds import Result
from toolchain.harness.scenario import Scenario
from toolchain.harness.subject import Subject, subject
from toolchain.harness.turn import Clip
from toolchain.harness.ways import Attempt
from toolchain.ir.measure import Unit
from toolchain.ir.order_statistics import RISK
from toolchain.ir.recommendation import Effect, Recommendation, Tried
from toolchain.profiling.changes import Change
from toolchain.tables import check
from toolchain.workspace import Workspace

AS_IT_IS = "as it is"
CPU = "turn.cpu"
_TURN_MEASURES = 2  # turn.first_audio and turn.cpu
_START_MEASURES = 2  # init.warm and memory.peak
_STARTING_SHARE = 0.4  # of the time, where a change may matter for starting. Ours
_MOST_STARTS = 12  # pairs a change: then the bounds of a median are known even beside 20 others


class Terms(NamedTuple):
    """How changes are tried: with which clips, for how long, how sure a bound must be."""

    clips: Sequence[Clip]
    seconds: float
    sure: float


def sure_beside(others: Sequence[Change]) -> float:
    """Return how sure each bound must be if all of ``others`` are tried (Bonferroni)."""
    starting = sum(change.starts for change in others)
    return 1 - RISK / max(1, _TURN_MEASURES * len(others) + _START_MEASURES * starting)


def tried(base: Change, others: Sequence[Change], terms: Terms, on: Workspace) -> tuple[Tried, ...]:
    """Return what came of each of ``others`` beside ``base``, in about so many seconds of trials.

    Turns of all changes are played in one process, clip by clip in random order; starts in fresh
    processes, one with and one without the change in turn. The differences of pairs decide, by the
    bounds of their median.

    Errors:
        ToolError: a stage failed.
    """
    starting = [c for c in others if c.starts]
    turns_s = terms.seconds * (1 - _STARTING_SHARE if starting else 1)
    effects = _played(base, others, terms._replace(seconds=turns_s), on)
    deadline_s = time.monotonic() + terms.seconds - turns_s
    for number, change in enumerate(starting):
        left_s = (deadline_s - time.monotonic()) / (len(starting) - number)
        effects[change.what] += _started(base, change, terms._replace(seconds=left_s), on)
    return tuple(judged(Tried(c.what, c.how, tuple(effects[c.what]))) for c in others)


def judged(one: Tried) -> Tried:
    """Return ``one`` with the reason why nothing follows from it, where that is so.

    A change is worth recommending if something became better for certain, and nothing became worse
    but the CPU time, which is told.
    """
    if one.why_not:
        return one
    worse = [e.measure for e in one.costs if e.measure != CPU]
    if worse:
        return replace(one, why_not=f"worse: {', '.join(worse)}")
    if one.gains:
        return one
    if all(e.low is None for e in one.effects):
        return replace(one, why_not="too few pairs in the time: raise --trials-seconds")
    return replace(one, why_not="nothing became better for certain")


def recommended(found: Iterable[Tried]) -> tuple[Recommendation, ...]:
    """Return what is worth recommending, the largest relative gain first."""
    made = [Recommendation(t.what, t.how, t.gains, t.costs) for t in found if not t.why_not]
    return tuple(sorted(made, key=_largest_share))


def _largest_share(one: Recommendation) -> float:
    """Return its best change relative to what there was; below zero is better."""
    return min(gain.change / abs(gain.from_value or 1) for gain in one.gains)


def _played(
    base: Change, others: Sequence[Change], terms: Terms, on: Workspace
) -> dict[str, list[Effect]]:
    """Return the effects of each change on turns."""
    clips, seconds, sure = terms
    ways = []
    first = _subject(base, on)
    for name, change in ((AS_IT_IS, base), *((c.what, c) for c in others)):
        one = first if change is base else _subject(change, on)
        files = {n: str(one.files[n]) for n in one.names()}
        ways.append(
            {"name": name, "scenario": asdict(change.scenario), "voice": one.voice, "files": files}
        )
    timed = replace(base.scenario, timeout_s=base.scenario.timeout_s + int(2 * seconds))
    said = [asdict(clip) for clip in clips]
    request = {"job": "attempt", "ways": ways, "clips": said, "seconds": seconds}
    answer = replace(first, scenario=timed).ask(request)
    attempts = check(answer, tuple[Attempt, ...], where="the voice application")
    return defaultdict(list, turn_effects(attempts, sure))


def turn_effects(attempts: Iterable[Attempt], sure: float) -> dict[str, list[Effect]]:
    """Return what each way did to turns beside ``AS_IT_IS``, pair by pair."""
    by_way: dict[str, dict[tuple[int, str], Attempt]] = defaultdict(dict)
    for one in attempts:
        by_way[one.way][one.round, one.clip] = one
    base = by_way.pop(AS_IT_IS, {})
    found: dict[str, list[Effect]] = {}
    for way, own in by_way.items():
        pairs = [(base[key], own[key]) for key in base if key in own]
        if not pairs:
            continue
        audio = [(a.first_audio_ms, b.first_audio_ms) for a, b in pairs]
        cpu = [(a.cpu_ms, b.cpu_ms) for a, b in pairs if a.cpu_ms and b.cpu_ms]
        found[way] = [Effect.measured("turn.first_audio", "ms", audio, sure)]
        if cpu:
            found[way].append(Effect.measured(CPU, "ms", cpu, sure))
        cut = (sum(a.cut_off for a, _ in pairs), sum(b.cut_off for _, b in pairs))
        if cut[0] != cut[1]:
            found[way].append(Effect.exact("turn.cut_off", "count", *cut))
    return found


def _started(base: Change, change: Change, terms: Terms, on: Workspace) -> list[Effect]:
    """Return the effects on starting and memory: fresh processes that play one clip, in turn."""
    clips, seconds, sure = terms
    one, other = _subject(base, on), _subject(change, on)
    began_s, pairs = time.monotonic(), list[tuple[Result, Result]]()
    while len(pairs) < _MOST_STARTS and time.monotonic() - began_s < seconds:
        on.progress.update(f"starting: {change.what}", len(pairs), _MOST_STARTS)
        pairs.append((_start(one, clips[0]), _start(other, clips[0])))
    if not pairs:
        return []
    found = [_of([(a.init_s, b.init_s) for a, b in pairs], "init.warm", "s", sure)]
    peaks = [(a.memory.peak, b.memory.peak) for a, b in pairs]
    known = [(float(a), float(b)) for a, b in peaks if a is not None and b is not None]
    return [*found, *([_of(known, "memory.peak", "byte", sure)] if known else [])]


def _of(pairs: Sequence[tuple[float, float]], name: str, unit: Unit, sure: float) -> Effect:
    return Effect.measured(name, unit, pairs, sure)


def _start(one: Subject, clip: Clip) -> Result:
    assert isinstance(one.scenario, Scenario)  # noqa: S101 - for the type checker
    once = replace(one, scenario=replace(one.scenario, warm_up=0, repeats=1))
    nothing: dict[str, str] = {}
    request = {"job": "run", "clips": [asdict(clip)], "audio_out": None, "answers": nothing}
    return check(once.ask(request), Result, where="the voice application")


def _subject(change: Change, on: Workspace) -> Subject:
    files, voice = change.application.files, change.application.voice
    return subject(files, voice, change.scenario, on.root, (on.progress, ""))[0]
