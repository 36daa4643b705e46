"""Asks an application what is not a turn: facts; and, of two, how far one is from the other.

In processes of their own, after the turns: nothing of it is in the figures of time and memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolchain.harness.likeness import Examined
from toolchain.harness.machine import machine as this_machine
from toolchain.harness.questions import Questions
from toolchain.harness.scenario import Listening
from toolchain.harness.subject import Figure, Subject, measures, subject
from toolchain.ir import Measure
from toolchain.progress import SILENT, Progress
from toolchain.tables import check
from toolchain.temporary import temporary_folder


@dataclass(frozen=True)
class Application:
    """Files by the project's names, and the ``[voice]`` table that uses them."""

    files: Mapping[str, Path]
    voice: Mapping[str, Any]
    label: str = ""


@dataclass(frozen=True)
class Likeness:
    """What was measured, of one application or of two."""

    measures: tuple[Measure, ...]
    baseline: tuple[Measure, ...] = ()
    notes: tuple[str, ...] = ()


COMPARED = ("_top1", "_kl", "_log_mel", "tts_length")
"""How the names of measures end that take two applications."""

_SHOWN = 80  # characters of a wrong answer: enough to see what went wrong


def examined(
    application: Application,
    asked: Questions,
    scenario: Listening,
    *,
    cache: Path,
    progress: Progress = SILENT,
) -> Likeness:
    """Return how many facts an application knows.

    quality.llm_exact (ratio, one a fact): 1 where the answer says it, see ``questions``.

    Errors:
        ConfigError: the table is wrong.
        InputError: a model cannot be read.
        ToolError: a stage failed, or the process died or hung.
    """
    if not asked.fact:
        return Likeness(())
    played, _ = _subject(application, scenario, cache, progress)
    found = _ask(played, Questions(fact=asked.fact), None, reference=True)
    on = this_machine()
    return Likeness(
        measures(_exact(found, asked), on), notes=tuple(_wrong(found, asked, application.label))
    )


def compared(  # noqa: PLR0913 - keyword arguments, each a thing of its own
    before: Application,
    after: Application,
    asked: Questions,
    scenario: Listening,
    *,
    cache: Path,
    progress: Progress = SILENT,
) -> Likeness:
    """Return what both know, and how far ``after`` is from ``before``.

    What ``before`` answers and speaks lies in a temporary folder until ``after`` was asked: 40 MB.

    Measures, beside ``examined``'s of both:
        quality.llm_kl (nats, one a prompt): mean Kullback-Leibler divergence of the probabilities
            of the next token, at each place of the answer that ``before`` gives
        quality.llm_top1 (ratio, one a prompt): share of these places with the same
            first choice
        quality.tts_log_mel (dB, one a sentence): log-mel distance of the sounds, aligned in time:
            a quantized voice rounds its durations otherwise, see ``warping``
        quality.tts_length (ratio, one a sentence): by which share the sound is longer or shorter

    Errors:
        see ``examined``
    """
    with temporary_folder() as folder:
        found = []
        for number, one in enumerate((before, after)):
            played, _ = _subject(one, scenario, cache, progress)
            found.append(_ask(played, asked, Path(folder), reference=not number))
    old, new = found
    on = this_machine()
    figures: list[Figure] = [
        *_exact(new, asked),
        ("quality.llm_kl", "nats", [p.nats for p in new.prompts]),
        ("quality.llm_top1", "ratio", [p.top1 for p in new.prompts]),
        ("quality.tts_log_mel", "dB", [s.decibels for s in new.sentences]),
        ("quality.tts_length", "ratio", [s.length for s in new.sentences]),
    ]
    notes = (*_wrong(old, asked, before.label), *_wrong(new, asked, after.label))
    return Likeness(measures(figures, on), measures(_exact(old, asked), on), notes)


def _subject(
    application: Application, scenario: Listening, cache: Path, progress: Progress
) -> tuple[Subject, list[str]]:
    shown = (progress, application.label)
    return subject(application.files, application.voice, scenario, cache, shown)


def _ask(played: Subject, asked: Questions, folder: Path | None, *, reference: bool) -> Examined:
    request = {
        "job": "examine",
        "facts": [fact.ask for fact in asked.fact],
        "prompts": asked.prompts,
        "sentences": asked.sentences,
        "folder": str(folder) if folder else None,
        "reference": reference,
    }
    return check(played.ask(request), Examined, where="the voice application")


def _exact(found: Examined, asked: Questions) -> list[Figure]:
    pairs = zip(asked.fact, found.answers, strict=True)
    return [("quality.llm_exact", "ratio", [fact.answered_by(said) for fact, said in pairs])]


def _wrong(found: Examined, asked: Questions, label: str) -> list[str]:
    return [
        f"{label}{': ' if label else ''}asked {fact.ask!r}, the language model says "
        f"{said[:_SHOWN]!r}: not {' or '.join(fact.right)}"
        for fact, said in zip(asked.fact, found.answers, strict=True)
        if not fact.answered_by(said)
    ]
