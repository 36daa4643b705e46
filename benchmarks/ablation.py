"""What each technique of the voice pipeline is worth: one at a time is left out, interleaved.

    nox -s ablation                        on build/vtool/voice-app, what `make demo` makes
    nox -s ablation -- --rounds 20 --json ablation.json

Every clip of the reference application is played with all variants before the next clip, in random
order, so that a busy minute meets them all. Figures are ms from the end of speech to the first
sound; the ratio is the median of the pairs (variant over the whole pipeline, same clip and round).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from toolchain import trial
from toolchain.formats.audio import read_wav
from toolchain.harness.scenario import APART, IN_TURN, Scenario
from toolchain.harness.session import play
from toolchain.harness.subject import spoken_clips, subject
from toolchain.harness.turn import Turn, turn
from toolchain.progress import SILENT
from toolchain.voice import pipeline, remote
from toolchain.voice.pipeline import Pipeline
from toolchain.voice.stage import LISTENING_HZ
from toolchain.voice.text import MOST_CHARS
from toolchain.workspace import Workspace

_PROJECT = Path(__file__).parents[1] / "fixtures" / "voice-app"
_RESULT = Path(__file__).parents[1] / "build" / "vtool" / "voice-app"
_WHOLE = "the whole pipeline"


@dataclass(frozen=True)
class Variant:
    """A way to play: the numbers of the scenario, and which stages play it."""

    scenario: Scenario
    stages: str = "here"


def variants(base: Scenario) -> dict[str, Variant]:
    """Return the pipeline as it is, and with one technique left out at a time."""
    late = replace(base, answer_after_ms=base.silence_ms, sure_silence_ms=base.silence_ms)
    alike = replace(base, sure_silence_ms=base.silence_ms)
    return {
        _WHOLE: Variant(base),
        "nothing is prepared in the silence": Variant(late),
        "only the VAD says when to prepare": Variant(replace(base, quiet_db=0)),
        "whole sentences end as all others": Variant(alike),
        "the first clause as long as others": Variant(replace(base, first_chars=MOST_CHARS)),
        "answers are spoken as a whole": Variant(replace(base, whole_answers=1)),
        "all stages in one thread": Variant(replace(base, placement=IN_TURN)),
        "a process a stage": Variant(replace(base, placement=APART), "apart"),
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


def played(rounds: int, result: Path) -> dict[str, list[Turn]]:
    """Return the turns of each variant, clip by clip and round by round in the same order."""
    workspace = Workspace.open()
    _, files, voice = trial.application(str(_PROJECT), result, workspace)
    base = trial.scenario_of("single-turn", None, str(_PROJECT))
    one, _ = subject(files, voice, base, workspace.root, (SILENT, ""))
    clips = spoken_clips(one, workspace.root)
    ways, rng = variants(base), random.Random(0)  # noqa: S311 - an order, not a secret
    found: dict[str, list[Turn]] = {name: [] for name in ways}
    with opened(one.files, voice) as stages:
        for number in track(range(-1, rounds), "rounds"):  # the first one warms up
            for clip in clips:
                samples = read_wav(Path(clip.path).read_bytes()).at(LISTENING_HZ).samples
                for name in rng.sample(sorted(ways), len(ways)):
                    way = ways[name]
                    done = play(stages[way.stages], samples, way.scenario, clip.name)
                    if number >= 0:
                        found[name].append(turn(done, clip, samples, number)[0])
    return found


def row(name: str, turns: list[Turn], whole: list[Turn]) -> dict[str, Any]:
    """Return the figures of a variant beside those of the whole pipeline."""
    first = sorted(t.times.first_audio for t in turns)
    pairs = [t.times.first_audio / w.times.first_audio for t, w in zip(turns, whole, strict=True)]
    return {
        "left out": name,
        "p50": statistics.median(first),
        "p95": first[-(-len(first) * 95 // 100) - 1],
        "ratio": statistics.median(pairs),
        "cut off": sum(t.cut_off for t in turns),
        "wasted": statistics.mean(t.times.wasted for t in turns),
        "gap": max(t.times.gap for t in turns),
        "turns": len(turns),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="of all clips, after a warm-up")
    parser.add_argument("--result", type=Path, default=_RESULT, help="of vtool optimize")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    asked = parser.parse_args()
    found = played(asked.rounds, asked.result)
    rows = [row(name, turns, found[_WHOLE]) for name, turns in found.items()]
    table = Table("technique left out", *(["p50 ms", "p95 ms", "ratio", "cut off", "wasted ms"]))
    for one in rows:
        figures = (f"{one['p50']:.0f}", f"{one['p95']:.0f}", f"{one['ratio']:.2f}")
        table.add_row(one["left out"], *figures, str(one["cut off"]), f"{one['wasted']:.0f}")
    Console().print(table)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
