"""Prints a profile in a terminal of 80 columns: time, memory and bytes, and at last what to do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from toolchain.ir import Measure
from toolchain.ir.profile import BundleAnalysis, ModelTimes, Profile, RuntimeProfile
from toolchain.ir.recommendation import Effect, Recommendation, Tried
from toolchain.ir.timeline import DECIDED, END_OF_SPEECH, FIRST_AUDIO, Lane, Timeline
from toolchain.render.terminal import grid, paragraph, plain, title, wrapped
from toolchain.units import show_bytes, show_quantity, show_share

_ROWS = 8  # of packages and modules: what fits on a screen with the rest; the document has all
_OPERATORS = 4
_CELLS = 62  # of a lane; with its name 72
_LEAD_MS, _TAIL_MS = 150.0, 200.0  # shown before the end of speech and after the last work. Ours
_WORKING = (Lane.VAD, Lane.STT, Lane.LLM, Lane.TTS)


def print_profile(profile: Profile, console: Console | None = None) -> None:
    """Print all of it."""
    console = console or Console(highlight=False)
    if profile.runtime_profile is not None:
        _runtime(profile, profile.runtime_profile, console)
    if profile.bundle_analysis is not None:
        _bundle(profile.bundle_analysis, console)
    for note in profile.notes:
        wrapped(console, Text(f"note: {plain(note)}"))
    _recommendations(profile, console)


def _runtime(profile: Profile, found: RuntimeProfile, console: Console) -> None:
    title(console, f"Run time of {plain(profile.target)}")
    load = profile.machine.load
    busy = "" if load is None else f", load {load:.1f} before"
    paragraph(console, f"{plain(profile.machine.cpu)}, {profile.machine.cores} cores{busy}")
    grid(console, ("", "p50", "p95", "samples"), list(_figures(found)), numbers=range(1, 4))
    if found.timelines:
        _timeline(max(found.timelines, key=lambda t: t.first_audio_ms), console)
    _operators(found.models, console)


def _figures(found: RuntimeProfile) -> Iterator[tuple[str, ...]]:
    latency, memory = found.pipeline_latency, found.memory_usage
    yield _row("initialization", found.initialization_time)
    yield _row("VAD, a frame", latency.vad)
    yield _row("STT, an utterance", latency.stt)
    yield _row("LLM, first token", latency.llm)
    yield _row("TTS, first sound", latency.tts)
    yield _row("end of speech to first audio", latency.total)
    yield _row("memory before the first model", memory.initial)
    for stage, added in memory.stages.items():
        yield _row(f"memory added by {stage}", added)
    if memory.peak is None:
        yield "memory, peak", "unknown", "", ""
    else:
        yield _row("memory, peak", memory.peak)
    yield _row("memory after collection", memory.after_gc)
    for stage, calls in found.worker_overhead.items():
        yield _row(f"worker overhead of {stage}, a call", calls)


def _row(name: str, measure: Measure) -> tuple[str, ...]:
    low, high = (show_quantity(measure.percentile(p), measure.unit) for p in (50, 95))
    return name, low, high, f"{len(measure.samples):,}"


def _timeline(turn: Timeline, console: Console) -> None:
    """Print the slowest turn as lanes of cells, from before the end of speech to the last work."""
    ended_ms = turn.at_ms(END_OF_SPEECH) or 0.0
    first_ms = ended_ms - _LEAD_MS
    last_ms = max(ended_ms, *(s.end_ms for s in turn.spans if s.lane in _WORKING)) + _TAIL_MS
    step_ms = (last_ms - first_ms) / _CELLS
    waited_ms = turn.first_audio_ms
    heard = f"{waited_ms:.0f} ms to first audio" if math.isfinite(waited_ms) else "nothing heard"
    title(console, f"Turn {plain(turn.clip)}: {heard}")
    plainly = console.options.ascii_only
    full, some, thrown = ("#", "_", "-") if plainly else ("█", "▁", "░")
    for lane in Lane:
        cells = [" "] * _CELLS
        for cell in range(_CELLS):
            low_ms = first_ms + cell * step_ms
            kept, wasted = (_busy_ms(turn, lane, (low_ms, low_ms + step_ms), k) for k in _KEPT)
            if kept or wasted:
                most = full if kept >= wasted else thrown
                cells[cell] = most if max(kept, wasted) >= step_ms / 2 else some
        wrapped(console, Text(f"{lane.value:>6} |{''.join(cells).rstrip()}"))
    marks = [" "] * _CELLS
    for what, mark in ((END_OF_SPEECH, "e"), (DECIDED, "d"), (FIRST_AUDIO, "a")):
        at_ms = turn.at_ms(what)
        if at_ms is not None:
            marks[min(_CELLS - 1, int((at_ms - first_ms) / step_ms))] = mark
    wrapped(console, Text(f"       |{''.join(marks).rstrip()}"))
    paragraph(
        console,
        f"e: end of speech, d: end decided, a: first audio; a cell is {step_ms:.1f} ms; "
        f"{some}: worked for less than half of it, {thrown}: prepared and thrown away",
    )


_KEPT = (True, False)


def _busy_ms(turn: Timeline, lane: Lane, between: tuple[float, float], kept: bool) -> float:  # noqa: FBT001 - one of the two
    low_ms, high_ms = between
    return sum(
        max(0.0, min(s.end_ms, high_ms) - max(s.start_ms, low_ms))
        for s in turn.spans
        if s.lane is lane and s.kept is kept
    )


def _operators(models: Sequence[ModelTimes], console: Console) -> None:
    if not models:
        return
    title(console, "Operators: share of time, in how many nodes; watched, so slower than unwatched")
    for model in models:
        load = "" if model.load_ms is None else f"read {model.load_ms:.0f} ms, "
        wrapped(
            console,
            Text(
                f"{model.stage}  {plain(model.model)}: {load}"
                f"initialized {model.initialize_ms:.0f} ms; "
                f"{model.runs:,} runs {model.runs_ms:.0f} ms, "
                f"{show_share(model.operators_ms, model.runs_ms)} in operators"
            ),
        )
        top = [
            f"{plain(one.operator)} {100 * one.share:.1f} % in {one.nodes}"
            for one in model.operators[:_OPERATORS]
        ]
        paragraph(console, ", ".join(top) or "no operator ran")


def _bundle(found: BundleAnalysis, console: Console) -> None:
    title(console, "Bundle")
    size, gzip = show_bytes(found.total_size), show_bytes(found.total_gzip_size)
    wrapped(console, Text(f"all files {size}, gzip {gzip}"))
    if found.imported is not None and found.kept is not None and found.installed is not None:
        wrapped(
            console,
            Text(
                f"code that entries import: {show_bytes(found.installed)} installed, "
                f"{show_bytes(found.imported)} minified, {show_bytes(found.kept)} with tree "
                f"shaking ({_share(found.treeshake_efficiency)} left out)"
            ),
        )
    shown = found.packages[:_ROWS]
    title(console, f"Packages, {len(shown)} of {len(found.packages):,}")
    rows = [
        (show_bytes(p.size), show_bytes(p.gzip_size), _kept(p.imported, p.kept),
         _share(p.treeshake_efficiency), plain(p.name))
        for p in shown
    ]  # fmt: skip
    head = ("size", "gzip", "bundled", "left out", "package")
    grid(console, head, rows, numbers=range(4))
    unused = found.unused_code[:_ROWS]
    if unused:
        title(console, f"Unused code, {len(unused)} of {len(found.unused_code):,} modules")
        whole, part = (
            show_bytes(sum(u.unused_bytes for u in found.unused_code if u.imported is imported))
            for imported in (False, True)
        )
        paragraph(
            console, f"in all {whole} of files that no entry reaches, {part} minified of others"
        )
    for one in unused:
        line = f"{show_bytes(one.unused_bytes)} of {show_bytes(one.size)}  {plain(one.module)}"
        wrapped(console, Text(line))
        paragraph(console, "; ".join(map(plain, one.suggestions)))
    for note in found.notes:
        wrapped(console, Text(f"note: {plain(note)}"))


def _kept(imported: int | None, kept: int | None) -> str:
    return "-" if imported is None or kept is None else show_bytes(kept)


def _share(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"


def _recommendations(profile: Profile, console: Console) -> None:
    title(console, "Recommendations")
    if not profile.recommendations:
        if profile.tried:
            wrapped(console, Text("none: nothing that was tried was measured to help"))
        else:
            wrapped(console, Text("none: nothing was tried"))
    for number, one in enumerate(profile.recommendations, 1):
        _recommendation(number, one, console)
    failed = [one for one in profile.tried if one.why_not]
    if failed:
        title(console, "Tried, and not recommended")
    for other in failed:
        _tried(other, console)


def _recommendation(number: int, one: Recommendation, console: Console) -> None:
    wrapped(console, Text(f"{number}. {plain(one.what)}", style="bold"))
    for effect in one.gains:
        paragraph(console, _effect(effect))
    for effect in one.costs:
        paragraph(console, f"at the cost of {_effect(effect)}")
    for line in one.how.splitlines():
        wrapped(console, Text(plain(line)), indent=4)


def _tried(one: Tried, console: Console) -> None:
    wrapped(console, Text(f"{plain(one.what)}: {plain(one.why_not)}"))
    for effect in one.effects:
        paragraph(console, _effect(effect))


def _effect(effect: Effect) -> str:
    """Say what a change did: the medians, the change and its bounds.

    >>> _effect(Effect.exact("code", "byte", 3000.0, 1000.0))
    'code 3.00 kB: -2.00 kB (-66.7 %)'
    """
    before, change = effect.from_value, effect.change
    share = f" ({100 * change / before:+.1f} %)" if before else ""
    shown = _signed(change, effect)
    said = f"{plain(effect.measure)} {show_quantity(before, effect.unit)}: {shown}{share}"
    pairs = f"{len(effect.before)} pair{'' if len(effect.before) == 1 else 's'}"
    if effect.low is None or effect.high is None:
        return f"{said}, {pairs}: too few to be sure"
    if len(effect.before) == 1:  # counted, not sampled
        return said
    low, high = _signed(effect.low, effect), _signed(effect.high, effect)
    return f"{said}, surely {low} .. {high}, {pairs}"


def _signed(value: float, effect: Effect) -> str:
    sign = "+" if value > 0 else "-" if value < 0 else ""
    return f"{sign}{show_quantity(abs(value), effect.unit)}"
