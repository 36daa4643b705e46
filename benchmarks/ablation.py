"""What each technique of the voice pipeline is worth: one at a time is left out, interleaved.

    nox -s ablation                        on build/vtool/voice-app, what `make demo` makes
    nox -s ablation -- --rounds 20 --json ablation.json
    nox -s ablation -- --docs              writes docs/ablation.md, too

Every clip of the reference application is played with all variants before the next clip, in random
order, so that a busy minute meets them all. Figures are ms from the end of speech to the first
sound; the ratio is the median of the pairs (variant over the whole pipeline, same clip and round).
The second table is the worker overhead: each stage's work in one thread, a thread, a process.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from ablation_page import ONE_THREAD, PROCESSES, STAGES, WHOLE, Ablation, Played, markdown, text
from rich.console import Console
from rich.progress import track

from toolchain import trial
from toolchain.errors import VtoolError
from toolchain.formats.audio import Samples, read_wav
from toolchain.harness.machine import machine
from toolchain.harness.scenario import APART, IN_TURN, Scenario
from toolchain.harness.session import play
from toolchain.harness.subject import spoken_clips, subject
from toolchain.harness.turn import Clip, turn
from toolchain.progress import SILENT
from toolchain.tables import dump
from toolchain.voice import answering, pipeline, remote
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.remote import Remote
from toolchain.voice.stage import LISTENING_HZ
from toolchain.voice.text import MOST_CHARS
from toolchain.workspace import Workspace

_PROJECT = Path(__file__).parents[1] / "fixtures" / "voice-app"
_RESULT = Path(__file__).parents[1] / "build" / "vtool" / "voice-app"
_DOCS = Path(__file__).parents[1] / "docs" / "ablation.md"


@dataclass(frozen=True)
class Variant:
    """A way to play: the numbers of the scenario, and which stages play it."""

    scenario: Scenario
    stages: str = "here"
    yielding: bool = True  # the language model lets the first clause be spoken before it goes on


def variants(base: Scenario) -> dict[str, Variant]:
    """Return the pipeline as it is, and with one technique left out at a time."""
    late = replace(base, answer_after_ms=base.silence_ms, sure_silence_ms=base.silence_ms)
    alike = replace(base, sure_silence_ms=base.silence_ms)
    return {
        WHOLE: Variant(base),
        "nothing is prepared in the silence": Variant(late),
        "only the VAD says when to prepare": Variant(replace(base, quiet_db=0)),
        "whole sentences end as all others": Variant(alike),
        "the first clause as long as others": Variant(replace(base, first_chars=MOST_CHARS)),
        "answers are spoken as a whole": Variant(replace(base, whole_answers=1)),
        "the language model waits for nobody": Variant(base, yielding=False),
        ONE_THREAD: Variant(replace(base, placement=IN_TURN)),
        PROCESSES: Variant(replace(base, placement=APART), "apart"),
        "the system message is computed each time": Variant(base, "no prefix"),
        "the language model has one thread": Variant(base, "one thread"),
    }


@contextmanager
def opened(files: Mapping[str, Path], voice: Mapping[str, Any]) -> Iterator[dict[str, Pipeline]]:
    """Open the stages in all the ways that variants need."""
    here = pipeline.load(voice, files)
    prefix = {**voice, "llm": {**voice["llm"], "prefix": False}}
    one = {**voice, "llm": {**voice["llm"], "threads": 1}}
    apart = remote.load(voice, files)
    try:
        yield {
            "here": here,
            "apart": apart,
            "no prefix": replace(here, llm=pipeline.load_stage(prefix, "llm", files)),
            "one thread": replace(here, llm=pipeline.load_stage(one, "llm", files)),
        }
    finally:
        remote.close([apart.vad, apart.stt, apart.llm, apart.tts])


def played(rounds: int, result: Path) -> Ablation:
    """Return the turns of each variant, clip by clip and round by round."""
    workspace, here = Workspace.open(), machine()
    _, files, voice = trial.application(str(_PROJECT), result, workspace)
    base = trial.scenario_of("single-turn", None, str(_PROJECT))
    one, _ = subject(files, voice, base, workspace.root, (SILENT, ""))
    clips = spoken_clips(one, workspace.root)
    ways, rng = variants(base), random.Random(0)  # noqa: S311 - an order, not a secret
    found: list[Played] = []
    with opened(one.files, voice) as stages:
        shown = Console(stderr=True)
        for number in track(range(-1, rounds), "rounds", console=shown):  # the first one warms up
            for clip in clips:
                samples = read_wav(Path(clip.path).read_bytes()).at(LISTENING_HZ).samples
                for name in rng.sample(sorted(ways), len(ways)):
                    way = ways[name]
                    done = _played((name, way), stages[way.stages], (clip, samples), number)
                    found += [done] if number >= 0 else []
    return Ablation(here, rounds, tuple(ways), tuple(found))


def _played(
    variant: tuple[str, Variant], stages: Pipeline, clip: tuple[Clip, Samples], number: int
) -> Played:
    """Return one turn, with what it took of all processes."""
    name, way = variant
    remotes = [s for n in STAGES if isinstance(s := getattr(stages, n), Remote)]
    before = {one.stage: len(one.overhead.calls_ms) for one in remotes}
    cpu, start = _cpu_s(remotes), time.perf_counter()
    with nullcontext() if way.yielding else _unyielding():
        done = play(stages, clip[1], way.scenario, clip[0].name)
    wall, used = time.perf_counter() - start, _cpu_s(remotes) - cpu
    times = turn(done, *clip, number)[0]
    return Played(
        variant=name,
        number=number,
        clip=clip[0].name,
        first_audio_ms=times.times.first_audio,
        wall_ms=1000 * wall,
        cpu_ms=1000 * used,
        wasted_ms=times.times.wasted,
        gap_ms=times.times.gap,
        cut_off=times.cut_off,
        work_ms={
            "vad": times.times.vad * len(times.probabilities),
            **{stage: getattr(times.times, stage) for stage in STAGES[1:]},
        },
        overhead_ms={s.stage: tuple(s.overhead.calls_ms[before[s.stage] :]) for s in remotes},
    )


def _cpu_s(remotes: list[Remote]) -> float:
    """Return the CPU time of this process and of the stages' own; theirs in steps of 10 ms."""
    theirs = [psutil.Process(one.pid).cpu_times() for one in remotes]
    return time.process_time() + sum(one.user + one.system for one in theirs)


@contextmanager
def _unyielding() -> Iterator[None]:
    """Leave out what has no option, since nobody would want it so."""
    kept = answering.yielding
    answering.yielding = lambda events, _gate: iter(events)
    try:
        yield
    finally:
        answering.yielding = kept


def main() -> None:
    """Measure and print."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--rounds", type=int, default=10, help="of all clips, after a warm-up")
    parser.add_argument("--result", type=Path, default=_RESULT, help="of vtool optimize")
    parser.add_argument("--json", type=Path, help="write all turns and the machine to this file")
    parser.add_argument("--docs", action="store_true", help="write docs/ablation.md")
    asked = parser.parse_args()
    try:
        found = played(asked.rounds, asked.result)
    except VtoolError as error:
        hint = f"\n hint: {error.hint}" if error.hint else ""
        print(f"error: {error}{hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    print(text(found))
    if asked.json:
        asked.json.write_text(json.dumps(dump(found), indent=1) + "\n", "utf-8")
    if asked.docs:
        _DOCS.write_text(markdown(found), "utf-8")


if __name__ == "__main__":
    main()
