"""What is asked of the contestants: clips of speech, and prompts as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from beside.rounds import Task
from beside.samples import Asked, Way
from beside.taking_part import Application, Entry
from beside.talking import FailedError, talk

from toolchain.errors import ToolError
from toolchain.formats.audio import read_wav
from toolchain.harness.turn import Clip

WHOLE = "whole_"
"""Begins the figures of answers for which the system message was computed, too."""


def heard(clips: Sequence[Clip]) -> list[Task]:
    """Return one task for each clip."""
    return [
        Task(
            Asked(clip.name, "stt", clip.text, read_wav(Path(clip.path).read_bytes()).seconds),
            {"": {"clip": clip.path}},
        )
        for clip in clips
    ]


def prompted(
    app: Application, entries: Sequence[Entry], folder: Path, count: int
) -> tuple[list[Entry], list[Task], tuple[int, ...]]:
    """Return contestants that know the system message, tasks of ``count`` tokens, and the stops.

    All are given the tokens of vtool's own tokenizer, so that all compute the same.

    Errors:
        ToolError: vtool's own language model does not open.
    """
    texts = [clip.text for clip in app.clips]
    try:
        with talk(app.way("llm", 1), folder) as ours:
            spelled = ours.ask({"spell": texts})
    except FailedError as error:
        raise ToolError(f"vtool's language model: {error}", hint="vtool run it alone") from error
    system = spelled["system"]
    told = [(one, Way(way.command, {**way.opening, "system": system})) for one, way in entries]
    tasks = [
        Task(
            Asked(clip.name, "llm", clip.text),
            {
                "": {"prompt": prompt, "known": True, "count": count},
                WHOLE: {"prompt": [*system, *prompt], "known": False, "count": count},
            },
        )
        for clip, prompt in zip(app.clips, spelled["prompts"], strict=True)
    ]
    return told, tasks, tuple(spelled["stops"])
