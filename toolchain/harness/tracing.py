"""Records one turn: every piece of work with its place in time, also what was thrown away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnxruntime as ort
import psutil

from toolchain.formats.audio import Audio, Samples
from toolchain.harness.scenario import Listening
from toolchain.harness.session import end_of_speech_ms, play
from toolchain.harness.turn import Clip
from toolchain.ir.timeline import (
    CLAUSE,
    DECIDED,
    END_OF_SPEECH,
    FIRST_AUDIO,
    Lane,
    Moment,
    Resident,
    Span,
    Timeline,
)
from toolchain.voice.assistant import Exchange, Hearing
from toolchain.voice.observing import Observer
from toolchain.voice.stage import Token
from toolchain.voice.watching import Clause, Event, Transcript


@dataclass
class Recorder:
    """Sees every piece of work when it ends, from the thread that did it."""

    events: list[Event] = field(default_factory=list)
    memory: list[Resident] = field(default_factory=list)
    _process: psutil.Process = field(default_factory=psutil.Process)

    def __call__(self, event: Event) -> None:
        """Note the event, and the memory at its end."""
        self.events.append(event)
        self.memory.append(Resident(event.end_ms, self._process.memory_info().rss))


def traced(stages: Hearing, clip: Clip, samples: Samples, scenario: Listening) -> Timeline:
    """Play ``clip``, (n,) at 16 kHz, and return what happened.

    Reading the memory takes 20 us a piece of work, which is part of the times.

    Errors:
        ToolError: see ``session.play``.
    """
    recorder = Recorder()
    played = play(stages, samples, scenario, clip.name, seen=recorder)
    return timeline(played, recorder, clip, samples)


def typical(
    stages: Hearing,
    said: tuple[Clip, Samples],
    scenario: Listening,
    turns: int,
    say: Callable[[Mapping[str, Any]], None],
) -> Timeline:
    """Return the turn whose first audio is the median of ``turns``, after one that warms up."""
    clip, samples = said
    found = []
    for number in range(turns + 1):
        say({"doing": f"recording {clip.name}", "done": number, "total": turns + 1})
        found.append(traced(stages, clip, samples, scenario))
    return sorted(found[1:], key=lambda t: t.first_audio_ms)[turns // 2]


@dataclass(frozen=True, slots=True)
class Written:
    """Where onnxruntime wrote the times of a model's operators."""

    model: str
    path: str
    since_us: float  # since the file's beginning: what comes before is opening and warming up
    threads: int


def played(
    stages: Hearing,
    said: Sequence[tuple[Clip, Samples]],
    scenario: Listening,
    say: Callable[[Mapping[str, Any]], None],
) -> int:
    """Play the first clip to warm up, then every clip once; return when that began, in ns."""
    since_ns = 0
    for number, (clip, samples) in enumerate([*said[:1], *said]):
        say({"doing": f"watching operators: {clip.name}", "done": number, "total": len(said) + 1})
        if number == 1:
            since_ns = time.time_ns()
        play(stages, samples, scenario, clip.name)
    return since_ns


@dataclass
class OperatorTimes(Observer):
    """Lets models write into ``folder`` what each of their operators takes; it slows them down."""

    folder: Path
    opened: list[tuple[str, ort.InferenceSession]] = field(default_factory=list)

    def configured(self, chosen: ort.SessionOptions) -> None:
        """Let the next model write into a file of its own."""
        chosen.enable_profiling = True
        chosen.profile_file_prefix = str(self.folder / str(len(self.opened)))

    def opening(self, name: str, work: Callable[[], ort.InferenceSession]) -> ort.InferenceSession:
        """Note which model writes where."""
        session = work()
        self.opened.append((name, session))
        return session


def written(models: OperatorTimes, since_ns: int) -> Iterator[Written]:
    """End the profiles of ``models``, and yield where they lie.

    onnxruntime counts from its own high resolution clock: with libstdc++ that is the time of day,
    with others it need not be; the turns are then told apart by the clock that is nearer.
    """
    apart_ns = time.time_ns() - time.monotonic_ns()
    for name, session in models.opened:
        began_ns = session.get_profiling_start_time_ns()
        here_ns = min((since_ns, since_ns - apart_ns), key=lambda t: abs(t - began_ns))
        threads = session.get_session_options().intra_op_num_threads
        yield Written(name, session.end_profiling(), (here_ns - began_ns) / 1000, threads)


def timeline(played: Exchange, recorder: Recorder, clip: Clip, samples: Samples) -> Timeline:
    """Return what ``recorder`` saw of an exchange; what is not in the exchange was thrown away."""
    assert played.decided_ms is not None  # noqa: S101 - it was answered
    kept = {id(event) for event in played.events}
    ended_ms = end_of_speech_ms(samples, played.decided_ms)
    spans = [
        Span(Lane.SAID, 0.0, ended_ms, "speech", clip.text),
        *(_span(e, kept=e.stage == Lane.VAD or id(e) in kept) for e in recorder.events),
        *_heard(played),
    ]
    moments = [Moment(END_OF_SPEECH, ended_ms), Moment(DECIDED, played.decided_ms)]
    moments += [Moment(FIRST_AUDIO, s.start_ms) for s in spans if s.lane is Lane.HEARD][:1]
    for event in played.events:
        if isinstance(event.made, Clause):
            moments.append(Moment(CLAUSE, event.end_ms, event.made.text))
    return Timeline(
        clip.name,
        clip.text,
        tuple(sorted(spans, key=lambda s: (list(Lane).index(s.lane), s.start_ms, s.end_ms))),
        tuple(sorted(moments, key=lambda m: m.at_ms)),
        tuple(sorted(recorder.memory, key=lambda r: r.at_ms)),
    )


def _span(event: Event, *, kept: bool) -> Span:
    what, text, probability = "nothing more", "", None
    if isinstance(event.made, Transcript):
        what, text = "transcript", event.made.text
    elif isinstance(event.made, Token):
        what, text = "token", event.made.text
    elif isinstance(event.made, Audio):
        what, text = "sound", f"{event.made.seconds:.2f} s"
    elif isinstance(event.made, int | float):
        what, probability = "frame", round(float(event.made), 4)
    elif not kept:
        what = "stopped"
    return Span(Lane(event.stage), event.start_ms, event.end_ms, what, text, probability, kept)


def _heard(played: Exchange) -> Iterator[Span]:
    """Yield when the sounds of the answer are heard: after the decision, one after another."""
    until_ms, text = played.decided_ms or 0.0, ""
    for event in played.events:
        if isinstance(event.made, Clause):
            text = event.made.text
        elif isinstance(event.made, Audio):
            start_ms = max(event.end_ms, until_ms)
            until_ms = start_ms + 1000 * event.made.seconds
            yield Span(Lane.HEARD, start_ms, until_ms, "sound", text)
