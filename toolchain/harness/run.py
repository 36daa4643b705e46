"""Measures an application: cold and warm starts, turns, memory, quality; and compares two."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from toolchain.errors import ConfigError
from toolchain.harness import examining
from toolchain.harness.heard import MOST_SAMPLES, pooled
from toolchain.harness.machine import machine as this_machine
from toolchain.harness.memory import drop_from_page_cache
from toolchain.harness.quality import (
    frame_agreement,
    share_equal,
    token_agreement,
    word_error_rate,
)
from toolchain.harness.rounds import Result
from toolchain.harness.scenario import Scenario
from toolchain.harness.subject import Figure, Subject, measures, spoken_clips, subject
from toolchain.harness.turn import Clip, Turn
from toolchain.harness.weighing import footprint_figures
from toolchain.ir import Machine, Measure
from toolchain.progress import SILENT, Progress
from toolchain.tables import check
from toolchain.voice.pipeline import STAGES
from toolchain.voice.runnable import data_files
from toolchain.voice.stage import LISTENING_HZ


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured of one application."""

    measures: tuple[Measure, ...]
    turns: tuple[Turn, ...]
    clips: tuple[Clip, ...]  # what was said
    choices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """By clip: the tokens chosen at each place of the reference's answer."""
    notes: tuple[str, ...] = field(default=())


def measure(  # noqa: PLR0913 - keyword arguments, each a thing of its own
    files: Mapping[str, Path],
    voice: Mapping[str, Any],
    scenario: Scenario,
    *,
    cache: Path,
    machine: Machine | None = None,
    progress: Progress = SILENT,
    audio_out: Path | None = None,
    reference: Run | None = None,
    label: str = "",
    undecided: Callable[[Sequence[Measure]], Collection[str]] = lambda _: (),
) -> Run:
    """Start the application several times, play it ``clips``, and return every figure.

    ``files`` maps the project's ids to paths; ``voice`` is its ``[voice]`` table. ``cache`` is a
    folder for what is written once (a GGUF model as float32 ONNX, spoken questions). The clips
    are ``reference_clips``, or those of ``reference``: the run of another application, to be
    compared with this one. The answers of the first repeat are written to the folder
    ``audio_out``, which must exist. ``label`` says in progress reports which application it is.
    ``undecided`` names the measures whose verdicts are inconclusive: of those more is measured, as
    often as the scenario has looks.

    Measures, one sample a turn unless said otherwise:
        init.cold, init.warm (s, one a process): from before the process is created until all
            stages are ready: interpreter, libraries, models, dictionaries, system prompt. Cold:
            after the model files were dropped from the page cache; libraries and dictionaries stay
            in it. Where the system does not drop them, init.cold is not measured and a note says so
        turn.endpoint, turn.first_token, turn.first_audio (ms): see ``session``
        turn.cut_off (count): 1 where the answer began before the clip had ended
        vad.frame, stt.time, llm.first_token, llm.token, tts.first_chunk (ms): work alone; llm.token
            is the mean of the tokens after the first
        llm.rate (tokens/s): of the language model's work
        stt.rtf, tts.rtf (ratio): work over the length of the sound
        memory.start, memory.vad, memory.stt, memory.llm, memory.tts (byte, one a process):
            resident before the first model; added by opening each stage
        memory.peak, memory.before_gc, memory.after_gc (byte, the process with the turns): see
            ``memory``; the peak includes starting, the others are read after the last turn
        memory.unique, memory.proportional, memory.anonymous, memory.of_files (byte, as after_gc):
            see ``weighing``
        turn.gap, turn.wasted (ms): the longest silence inside an answer; work that was thrown away
        worker.vad, worker.stt, worker.llm, worker.tts (ms, one a call; where each stage has a
            process): what asking another process took, beyond the work that it did
        quality.wer (ratio, one a recorded clip), quality.wer_questions (one a spoken question): of
            the transcript; the worst repeat counts
        quality.wer in CONDITION (ratio, one a clip), quality.vad_f1 in CONDITION (ratio, one),
            quality.end_error in CONDITION (ms, one a clip): see ``conditions``
        quality.tts_wer (ratio, one a clip): what the STT hears in the spoken answer, against the
            answer's text

    Errors:
        ConfigError: the table or the scenario is wrong.
        InputError: a model or a clip cannot be read.
        ToolError: a stage failed, or the process died or hung.
    """
    played, notes = subject(files, voice, scenario, cache, (progress, label))
    if reference:
        clips = reference.clips
        first = _first_repeat(reference)
        answers = {clip: (turn.transcript, turn.tokens) for clip, turn in first.items()}
    else:
        clips, answers = spoken_clips(played, cache), {}
    models = [file for name in played.names() for file in data_files(played.files[name])]
    cold = []
    for _ in range(scenario.cold_starts):
        if drop_from_page_cache(models):
            cold.append(_result(played))
        else:
            notes.append("init.cold: this system kept models in its page cache; not all runs count")
    starts = [_result(played) for _ in range(scenario.warm_starts - 1)]
    turns = [_result(played, clips, audio_out, answers)]
    on = machine or this_machine()
    texts = {clip.name: clip.text for clip in clips}
    found = _figures(cold, starts, turns, texts)
    for _ in range(scenario.looks - 1):
        more = undecided(measures(found, on, scenario.looks))
        of_starts = [name for name in more if name.startswith("init.")]
        starts += [_result(played) for _ in range(scenario.warm_starts if of_starts else 0)]
        turns += [_result(played, clips)] if len(of_starts) < len(more) else []
        found = _figures(cold, starts, turns, texts) if more else found
    figures = measures(found, on, scenario.looks)
    heard = {one.clip for one in turns[0].heard}
    notes += [
        f"{clip.name} was heard in no noise: it is longer than {MOST_SAMPLES // LISTENING_HZ} s"
        for clip in clips
        if clip.name not in heard
    ]
    every = tuple(turn for one in turns for turn in one.turns)
    return Run(figures, every, clips, turns[0].choices, tuple(dict.fromkeys(notes)))


def _figures(
    cold: Sequence[Result],
    starts: Sequence[Result],
    turns: Sequence[Result],
    texts: Mapping[str, str],
) -> list[Figure]:
    """Return all figures of the processes that only started, and of those that played turns."""
    played = [turn for one in turns for turn in one.turns]
    overhead: dict[str, list[float]] = {}
    for one in turns:
        for stage, calls in one.overhead.items():
            overhead.setdefault(stage, []).extend(calls)
    return [
        ("init.cold", "s", [r.init_s for r in cold]),
        ("init.warm", "s", [r.init_s for r in (*starts, *turns)]),
        *_turn_figures(played),
        *_memory_figures([*cold, *starts, *turns], turns),
        *_quality_figures(played),
        *_condition_figures(turns[0], texts),
        *((f"worker.{stage}", "ms", calls) for stage, calls in overhead.items()),
    ]


def _result(
    played: Subject,
    clips: Sequence[Clip] = (),
    audio_out: Path | None = None,
    answers: Mapping[str, tuple[str, tuple[int, ...]]] | None = None,
) -> Result:
    request = {
        "job": "run",
        "clips": [asdict(clip) for clip in clips],
        "audio_out": str(audio_out) if audio_out else None,
        "answers": answers or {},
        "conditions": bool(answers is not None and clips),
    }
    return check(played.ask(request), Result, where="the voice application")


COMPARED = ("_agreement", "_same_answer", *examining.COMPARED)
"""How the names of measures end that take two runs: see ``compare`` and ``examining``."""


def compare(before: Run, after: Run) -> tuple[Measure, ...]:
    """Return how far ``after`` decides as ``before`` did, one sample a clip.

    ``after`` must have been measured with ``reference=before``.

    quality.vad_agreement: the share of VAD frames on the same side of the threshold.
    quality.llm_agreement: the share of the reference's answer that the model would have chosen too,
        asked at each token with the question and the answer before it (top-1 agreement).
    quality.llm_same_answer: the share of the two spoken answers that is the same, in order; one
        near tie decided otherwise makes another answer, which need not be a worse one.

    Errors:
        ConfigError: they were not played the same clips, or ``before`` was not the reference.
    """
    old, new = _first_repeat(before), _first_repeat(after)
    if not after.choices or [(c.name, c.digest) for c in before.clips] != [
        (c.name, c.digest) for c in after.clips
    ]:
        raise ConfigError(
            "two runs with different clips cannot be compared",
            hint="measure the second with `reference=` the first",
        )
    pairs = [(old[clip], new[clip]) for clip in old]
    frames = [frame_agreement(a.probabilities, b.probabilities) for a, b in pairs]
    answers = [token_agreement(a.tokens, b.tokens) for a, b in pairs]
    tokens = [share_equal(turn.tokens, after.choices[clip]) for clip, turn in old.items()]
    machine = after.measures[0].machine if after.measures else None
    return measures(
        [
            ("quality.vad_agreement", "ratio", frames),
            ("quality.llm_agreement", "ratio", tokens),
            ("quality.llm_same_answer", "ratio", answers),
        ],
        machine,
    )


def _first_repeat(run: Run) -> dict[str, Turn]:
    return {turn.clip: turn for turn in run.turns if turn.repeat == 0}


def _turn_figures(turns: Sequence[Turn]) -> Iterator[Figure]:
    times = [turn.times for turn in turns]
    yield "turn.first_audio", "ms", [t.first_audio for t in times]
    yield "turn.first_token", "ms", [t.first_token for t in times]
    yield "turn.endpoint", "ms", [t.endpoint for t in times]
    yield "turn.cut_off", "count", [turn.cut_off for turn in turns]
    yield "turn.gap", "ms", [t.gap for t in times]
    yield "turn.wasted", "ms", [t.wasted for t in times]
    yield "vad.frame", "ms", [t.vad for t in times]
    yield "stt.time", "ms", [t.stt for t in times]
    yield "stt.rtf", "ratio", [t.stt / t.utterance for t in times]
    yield "llm.first_token", "ms", [t.llm_first for t in times]
    later = [(turn.times, len(turn.tokens) - 1) for turn in turns if len(turn.tokens) > 1]
    yield "llm.token", "ms", [(t.llm - t.llm_first) / count for t, count in later]
    yield "llm.rate", "tokens/s", [1000 * len(turn.tokens) / turn.times.llm for turn in turns]
    yield "tts.first_chunk", "ms", [t.tts_first for t in times]
    yield "tts.rtf", "ratio", [t.tts / t.spoken for t in times]


def _memory_figures(results: Sequence[Result], played: Sequence[Result]) -> Iterator[Figure]:
    yield "memory.start", "byte", [r.memory.start for r in results]
    for stage in (*STAGES, "all"):
        added = [r.memory.stages[stage] for r in results if stage in r.memory.stages]
        yield f"memory.{stage}", "byte", added
    peaks = [r.memory.peak for r in played]
    yield "memory.peak", "byte", [peak for peak in peaks if peak is not None]
    yield "memory.before_gc", "byte", [r.memory.before_gc for r in played]
    yield "memory.after_gc", "byte", [r.memory.after_gc.resident for r in played]
    yield from footprint_figures([r.memory.after_gc for r in played])


def _condition_figures(result: Result, texts: Mapping[str, str]) -> Iterator[Figure]:
    names = dict.fromkeys(one.condition for one in result.heard)
    for name in names:
        heard = [one for one in result.heard if one.condition == name]
        ends = [one.end_error_ms for one in heard if one.end_error_ms is not None]
        rates = [word_error_rate(texts[one.clip], one.transcript) for one in heard]
        yield f"quality.wer in {name}", "ratio", rates
        yield f"quality.vad_f1 in {name}", "ratio", [pooled(heard).f1]
        yield f"quality.end_error in {name}", "ms", ends


def _quality_figures(turns: Sequence[Turn]) -> Iterator[Figure]:
    for name, recorded in (("quality.wer", True), ("quality.wer_questions", False)):
        rates: dict[str, float] = {}
        for turn in turns:
            if turn.recorded is recorded:
                rate = word_error_rate(turn.expected, turn.transcript)
                rates[turn.clip] = max(rate, rates.get(turn.clip, 0.0))
        yield name, "ratio", list(rates.values())
    first = [turn for turn in turns if turn.repeat == 0]
    yield "quality.tts_wer", "ratio", [word_error_rate(t.answer, t.heard) for t in first]
