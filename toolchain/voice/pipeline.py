"""The four stages of a voice application, opened as its ``[voice]`` table says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from toolchain.errors import ConfigError
from toolchain.tables import check, table
from toolchain.voice.engine import MOST_THREADS, Session, give_back, opened_as
from toolchain.voice.stage import Llm, Stt, Tts, Vad

STAGES = ("vad", "stt", "llm", "tts")
"""In the order in which a turn goes through them."""

OPENING = ("tts", "vad", "stt", "llm")
"""The order in which they are opened: dictionaries leave the most garbage behind, and while few
models are open that does not raise the peak (measured: 37 MB less than in the order of a turn)."""

ADAPTERS: Mapping[str, tuple[str, ...]] = {
    "vad": ("silero", "framewise"),
    "stt": ("moonshine", "whisper"),
    "llm": ("llama",),
    "tts": ("hibari", "piper"),
}
"""The adapters of each stage: modules here, with ``Options`` and ``load(options, files)``."""

SESSIONS = "sessions"
"""In the table of a stage: how its models are opened, by file: see ``engine.Session``."""


@table
class AudioTable:
    """``[voice.audio]``: what is said to the application.

    ``clips`` are recordings in the project, ``transcripts`` their texts in the same order;
    ``questions`` are spoken by the application's own TTS.
    """

    clips: tuple[str, ...] = ()
    transcripts: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pipeline:
    """An application that is ready to listen."""

    vad: Vad
    stt: Stt
    llm: Llm
    tts: Tts


def check_table(voice: Mapping[str, Any], where: str = "vtool.toml") -> AudioTable:
    """Check a ``[voice]`` table as a whole, and return what is said.

    Errors:
        ConfigError: a stage is missing, an adapter unknown, an option unknown, of a wrong type, or
            a number out of its range.
    """
    for name in voice:
        if name not in {*STAGES, "audio"}:
            raise ConfigError(
                f"{where}: voice.{name} is not a stage", hint=f"stages: {', '.join(STAGES)}, audio"
            )
    for stage in STAGES:
        module, options = _adapter(voice, stage, where)
        check(options, module.Options, where=f"{where}: voice.{stage}")
        _check_ranges(options, getattr(module, "RANGES", {}), f"{where}: voice.{stage}")
        _check_sessions(voice, stage, where)
    return audio_table(voice, where)


def audio_table(voice: Mapping[str, Any], where: str = "vtool.toml") -> AudioTable:
    """Return ``[voice.audio]``.

    Errors:
        ConfigError: nothing is said, or clips and transcripts differ in number.
    """
    audio = check(voice.get("audio", {}), AudioTable, where=f"{where}: voice.audio")
    stems = [PurePosixPath(clip).stem for clip in audio.clips]
    if twice := sorted({s for s in stems if stems.count(s) > 1}):
        raise ConfigError(
            f"{where}: voice.audio has two clips called {twice[0]}",
            hint="answers are written under the clips' names: give each its own",
        )
    if len(audio.clips) != len(audio.transcripts):
        raise ConfigError(
            f"{where}: voice.audio has {len(audio.clips)} clips and "
            f"{len(audio.transcripts)} transcripts",
            hint="give each clip its transcript, in the same order",
        )
    if not audio.clips and not audio.questions:
        raise ConfigError(
            f"{where}: voice.audio says nothing to the application",
            hint="add clips with transcripts, or questions",
        )
    return audio


def named(voice: Mapping[str, Any]) -> list[str]:
    """Return every text of a checked ``[voice]`` table that may be the name of a file."""
    stages = [text for stage in STAGES for text in voice[stage].values() if isinstance(text, str)]
    audio = audio_table(voice)
    return [*stages, *audio.clips, *audio.transcripts]


def load_stage(voice: Mapping[str, Any], stage: str, files: Mapping[str, Path]) -> Any:  # noqa: ANN401 - one of four stages
    """Open one stage; the table must have been checked.

    Errors:
        ConfigError, InputError: see the adapters.
    """
    module, options = _adapter(voice, stage, "vtool.toml")
    # the table was checked: pydantic takes 9 MB, which the application has no other use for
    sessions = {n: Session(**one) for n, one in voice[stage].get(SESSIONS, {}).items()}
    with opened_as(sessions):
        opened = module.load(module.Options(**options), files)
    give_back()
    return opened


def load(
    voice: Mapping[str, Any],
    files: Mapping[str, Path],
    opening: Callable[[str], None] = lambda _stage: None,
) -> Pipeline:
    """Open the four stages one after another; ``opening`` is told the name of each before.

    Errors:
        ConfigError, InputError: see the adapters.
    """
    stages = {}
    for stage in OPENING:
        opening(stage)
        stages[stage] = load_stage(voice, stage, files)
    return Pipeline(**stages)


def _adapter(voice: Mapping[str, Any], stage: str, where: str) -> tuple[ModuleType, dict[str, Any]]:
    options = voice.get(stage)
    if not isinstance(options, Mapping):
        raise ConfigError(
            f"{where}: voice.{stage} is missing", hint=f"add the table [voice.{stage}]"
        )
    adapter = options.get("adapter")
    if adapter not in ADAPTERS[stage]:
        raise ConfigError(
            f"{where}: voice.{stage} has no adapter {adapter!r}",
            hint=f"adapters: {', '.join(ADAPTERS[stage])}",
        )
    module = import_module(f"toolchain.voice.{adapter}")
    return module, {k: v for k, v in options.items() if k not in {"adapter", SESSIONS}}


def _check_ranges(
    options: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]], where: str
) -> None:
    """Refuse numbers that no application can work with; what is no number was checked before."""
    for name, (low, high) in ranges.items():
        value = options.get(name)
        if isinstance(value, int | float) and not low <= value <= high:  # nan is in no range
            raise ConfigError(
                f"{where}: {name} is {value}", hint=f"{name} is a number from {low} to {high}"
            )


def _check_sessions(voice: Mapping[str, Any], stage: str, where: str) -> None:
    """Refuse options of sessions that are none, or of files that the stage does not use."""
    given = voice[stage].get(SESSIONS, {})
    place = f"{where}: voice.{stage}.{SESSIONS}"
    found = check(given, dict[str, Session], where=place)
    for name, one in found.items():
        _check_ranges({"threads": one.threads}, {"threads": (1, MOST_THREADS)}, f"{place}.{name}")
    named = {option for option in voice[stage].values() if isinstance(option, str)}
    if unknown := sorted(found.keys() - named):
        raise ConfigError(
            f"{where}: voice.{stage}.{SESSIONS} names {unknown[0]}, which the stage does not use",
            hint=f"files of the stage: {', '.join(sorted(named - {voice[stage]['adapter']}))}",
        )
