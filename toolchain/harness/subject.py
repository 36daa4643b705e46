"""An application that is measured: its files made runnable, its process, and what is said to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolchain.errors import InputError
from toolchain.formats.audio import read_wav
from toolchain.harness.process import ask
from toolchain.harness.scenario import Listening
from toolchain.harness.turn import Clip
from toolchain.ir import Machine, Measure, digest_of
from toolchain.ir.measure import Unit
from toolchain.progress import SILENT, Progress
from toolchain.voice.engine import located
from toolchain.voice.pipeline import STAGES, check_table
from toolchain.voice.runnable import data_files, is_gguf, runnable


@dataclass(frozen=True)
class _Labelled:
    """Progress of one of several applications."""

    progress: Progress
    label: str

    def update(self, what: str, done: int, total: int, unit: str = "") -> None:
        """Say whose progress it is."""
        self.progress.update(f"{self.label}: {what}", done, total, unit)


@dataclass(frozen=True)
class Subject:
    """An application and how to run it in a process of its own."""

    files: Mapping[str, Path]
    voice: Mapping[str, Any]
    scenario: Listening
    progress: Progress

    def ask(self, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Return what the process of its own answers; see ``process.ask``."""
        whole = self.request(request)
        return ask(whole, timeout_s=self.scenario.timeout_s, progress=self.progress)

    def request(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return ``request`` with what the process needs to open the application."""
        return {
            **request,
            "scenario": asdict(self.scenario),
            "files": {name: str(self.files[name]) for name in self.names()},
            "voice": self.voice,
        }

    def names(self) -> list[str]:
        """Return the project's files that the stages open, sorted."""
        options = (option for stage in STAGES for option in self.voice[stage].values())
        return sorted({o for o in options if isinstance(o, str) and o in self.files})


def reference_clips(
    files: Mapping[str, Path],
    voice: Mapping[str, Any],
    scenario: Listening,
    folder: Path,
    progress: Progress = SILENT,
) -> tuple[Clip, ...]:
    """Return what is said: the project's recordings, and its questions spoken by its own TTS.

    Speak the questions with the unoptimized application and play them to both: then both hear the
    same. Wav files of the questions are written to ``folder``.

    Errors:
        ConfigError: the table is wrong, or names files that are not there.
        InputError: a clip is no wav file, or has no sound; a transcript is no text.
        ToolError: the TTS failed.
    """
    audio = check_table(voice)
    recorded = tuple(
        _recording(files, clip, text)
        for clip, text in zip(audio.clips, audio.transcripts, strict=True)
    )
    if not audio.questions:
        return recorded
    folder.mkdir(parents=True, exist_ok=True)
    subject = Subject(files, voice, scenario, progress)
    paths = subject.ask({"job": "speak", "texts": audio.questions, "folder": str(folder)})
    spoken = (
        _clip(Path(path), text, recorded=False)
        for path, text in zip(paths, audio.questions, strict=True)
    )
    return (*recorded, *spoken)


def _recording(files: Mapping[str, Path], clip: str, transcript: str) -> Clip:
    """Return a clip of the project, which has been looked at: the models take seconds to open."""
    path = located(files, clip)
    try:
        sound = read_wav(path.read_bytes())
    except InputError as error:
        raise InputError(f"{clip}: {error}", hint=error.hint) from error
    if np.abs(sound.samples).max(initial=0) < _SILENT:
        what = "is silent from beginning to end" if len(sound.samples) else "has no samples"
        raise InputError(f"{clip} {what}", hint="name a recording of speech in [voice.audio]")
    try:
        text = located(files, transcript).read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{transcript} is not UTF-8 text", hint="save it as UTF-8") from error
    return _clip(path, text, recorded=True)


_SILENT = 1e-4  # -80 dB of full scale: three steps of 16 bits, the noise of a converter. Ours


def _clip(path: Path, text: str, *, recorded: bool) -> Clip:
    return Clip(path.stem, str(path), text, recorded, digest_of(path.read_bytes()))


def subject(
    files: Mapping[str, Path],
    voice: Mapping[str, Any],
    scenario: Listening,
    cache: Path,
    shown: tuple[Progress, str],
) -> tuple[Subject, list[str]]:
    """Return the application, made runnable, and notes on what that took."""
    check_table(voice)
    progress, label = shown
    ready = runnable(files, voice, cache)
    notes = [
        f"{label}{': ' if label else ''}{name} was played as {size / 1e6:.0f} MB of float32 ONNX, "
        "since onnxruntime does not read its format"
        for name in sorted(files)
        if ready[name] != files[name] and is_gguf(files[name])
        for size in [sum(p.stat().st_size for p in data_files(ready[name]))]
    ]
    seen = _Labelled(progress, label) if label else progress
    return Subject(ready, voice, scenario, seen), notes


def spoken_clips(subject: Subject, cache: Path) -> tuple[Clip, ...]:
    """Return what is said to an application; its questions are spoken once, into ``cache``."""
    folder = cache / "questions" / _spoken(subject.files, subject.voice)
    return reference_clips(subject.files, subject.voice, subject.scenario, folder, subject.progress)


def _spoken(files: Mapping[str, Path], voice: Mapping[str, Any]) -> str:
    """Return a name for what the TTS says: another voice or question is another folder."""
    table = {k: v for k, v in voice["tts"].items() if isinstance(v, str)}
    voices = [digest_of(files[v].read_bytes()) for v in table.values() if v in files]
    questions = list(voice.get("audio", {}).get("questions", ()))
    return digest_of(json.dumps([sorted(table.items()), voices, questions]).encode())[:16]


Figure = tuple[str, Unit, Sequence[float]]
"""The name of a measure, its unit and its samples."""


def _clocked(name: str) -> bool | None:
    """Return whether a figure is made of wall times, where its unit does not say so."""
    if name.startswith("quality."):
        return False  # ms of sound
    return True if name in _CLOCKED else None


_CLOCKED = frozenset({"llm.rate", "stt.rtf", "tts.rtf"})  # made of wall times, in other units


def measures(
    figures: Sequence[Figure], machine: Machine | None, looks: int = 1
) -> tuple[Measure, ...]:
    """Return the figures that have samples; ``looks`` are planned at them."""
    return tuple(
        Measure(
            name,
            unit,
            tuple(float(s) for s in samples),
            machine,
            clocked=_clocked(name),
            looks=looks,
        )
        for name, unit, samples in figures
        if samples
    )
