"""Recorded speech as questions: cut, divided among the splits, mixed with noise and silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Samples, read_wav
from toolchain.ir import Digest, digest_of
from toolchain.tasks.base import Split
from toolchain.voice.stage import LISTENING_HZ

_LONGEST_S, _SHORTEST_CUT_S = 9.0, 5.0
"""Recordings are cut at their quietest place between these, so that words stay whole and one long
recording can be divided. Ours: a sentence or two."""

_QUIET_S = 0.05  # a pause between words
SHARE = {Split.CALIBRATION: 0.15, Split.SEARCH: 0.3, Split.CONFIRMATION: 0.55}
"""Of the speech that is there. Ours: the last word is had by most of it."""

_DITHER = 2.0**-15  # one step of 16-bit sound
_MAINS_HZ = 50.0
_CLICKS_PER_S = 6.0  # fast typing
_CLICK_S = 0.004
_SPEECH_RMS = 0.05
"""-26 dB of full scale, the level to which speech is brought before a test (ITU-T P.830, 8.1.2.2);
"quiet" and "loud" are that far from it."""

_ALONE_S = (6.0, 9.0)
"""Every third scene has nobody speaking and lasts this long, so that about 40 % of all frames are
speech, as in one half of a telephone call (ITU-T P.59: 38.5 %)."""


@dataclass(frozen=True, eq=False, slots=True)
class Clip:
    """A piece of a recording: (n,) samples at 16 kHz, and what is said in it where known."""

    name: str
    samples: Samples
    text: str = ""

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return len(self.samples) / LISTENING_HZ


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """What a listening model hears: ``kind`` is "speech", "noise" or "silence"."""

    kind: str
    name: str
    samples: Samples


def clips(files: Mapping[str, Path], patterns: Sequence[str]) -> tuple[Clip, ...]:
    """Return the recordings among ``files`` that match a pattern, cut into pieces.

    A recording's text is in the file of the same name that ends in ``.txt``, if there is one; a
    recording that has to be cut loses it.

    Errors:
        ConfigError: fewer than three pieces: they could not be divided among the splits.
        InputError: a file that is no sound we read; names it.
    """
    names = sorted(n for n in files if any(fnmatchcase(n, p) for p in patterns))
    found = [piece for name in names for piece in _pieces(_read(name, files))]
    if len(found) < len(Split):
        raise ConfigError(
            f"{len(found)} pieces of speech match {', '.join(patterns)}; three or more are needed",
            hint="add recordings (wav) as [[input]] with role = 'reference', or name them: audio =",
        )
    return tuple(found)


def _read(name: str, files: Mapping[str, Path]) -> Clip:
    try:
        samples = read_wav(files[name].read_bytes()).at(LISTENING_HZ).samples
        text = files.get(str(PurePosixPath(name).with_suffix(".txt")))
        return Clip(name, samples, text.read_text("utf-8").strip() if text else "")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name} cannot be read: {error}", hint="give it again") from error
    except InputError as error:
        raise InputError(f"{name}: {error}", hint=error.hint) from error


def _pieces(clip: Clip) -> list[Clip]:
    """Cut a recording where it is quietest, until no piece is longer than ``_LONGEST_S``."""
    found, rest = [], clip.samples
    least, most = (int(s * LISTENING_HZ) for s in (_SHORTEST_CUT_S, _LONGEST_S))
    while len(rest) > most:
        window = int(_QUIET_S * LISTENING_HZ)
        power = np.convolve(rest[least:most].astype(np.float64) ** 2, np.ones(window), "valid")
        cut = least + int(power.argmin()) + window // 2
        found.append(rest[:cut])
        rest = rest[cut:]
    if not found:
        return [clip]
    return [Clip(f"{clip.name}#{n}", part) for n, part in enumerate([*found, rest])]


def divided(
    found: Sequence[Clip], last: Callable[[Clip], bool] = lambda _: False
) -> dict[Split, tuple[Clip, ...]]:
    """Give each piece to one split, so that their lengths are near ``SHARE``.

    Pieces for which ``last`` holds are kept for the confirmation. The longest go first, each to the
    split that has least of its share: the same pieces are always divided alike. Of pieces with the
    same samples, whatever they are called, one is asked.

    Errors:
        ConfigError: a split would be empty.
    """
    found = _distinct(found, last)
    held = [c for c in found if last(c)]
    whole = sum(c.seconds for c in found) or 1.0
    parts: dict[Split, list[Clip]] = {split: [] for split in Split}
    parts[Split.CONFIRMATION] += held
    for clip in sorted((c for c in found if not last(c)), key=lambda c: (-c.seconds, c.name)):
        missing = {s: SHARE[s] - sum(c.seconds for c in parts[s]) / whole for s in Split}
        empty = [s for s in Split if not parts[s]]
        parts[max(empty or Split, key=missing.__getitem__)].append(clip)
    if empty := [split for split in Split if not parts[split]]:
        raise ConfigError(
            f"{len(found)} different pieces of speech, {len(held)} of them held for the"
            f" confirmation, leave none for: {', '.join(empty)}",
            hint="add recordings, or hold fewer of them (held =)",
        )
    return {split: tuple(some) for split, some in parts.items()}


def _distinct(found: Sequence[Clip], last: Callable[[Clip], bool]) -> list[Clip]:
    """Leave out copies; of a recording that is also held, the one that is."""
    first: dict[Digest, Clip] = {}
    for clip in sorted(found, key=lambda c: not last(c)):
        first.setdefault(digest_of(clip.samples.tobytes()), clip)
    chosen = {id(clip) for clip in first.values()}
    return [clip for clip in found if id(clip) in chosen]


def scenes(found: Sequence[Clip], seconds: float, seed: int) -> tuple[Scene, ...]:
    """Return at least ``seconds`` of what a microphone hears, with ``found`` in it.

    Two of three scenes are speech between pauses: clean, quiet (-20 dB), loud (+18 dB, clipped),
    and in white and pink noise, hum, typing and the babble of others, at 20 to 0 dB. Every third is
    noise alone, from -60 to -20 dB of full scale, or silence.
    """
    generator = np.random.default_rng(seed)
    made: list[Scene] = []
    left = seconds
    while left > 0:
        number = len(made)
        if number % 3 == 2:  # noqa: PLR2004 - the third of three
            scene = _alone(generator, number // 3)
        else:
            scene = _spoken(found, number - number // 3, generator)
        made.append(scene)
        left -= len(scene.samples) / LISTENING_HZ
    return tuple(made)


Noise = Callable[[np.random.Generator, int], Samples]


def white(generator: np.random.Generator, count: int) -> Samples:
    """Return noise with as much power at every frequency, rms 1."""
    return generator.standard_normal(count).astype(np.float32)


def pink(generator: np.random.Generator, count: int) -> Samples:
    """Return noise with as much power in every octave, rms 1: wind, traffic, rooms."""
    spectrum = np.fft.rfft(generator.standard_normal(count))
    spectrum /= np.sqrt(np.maximum(np.arange(len(spectrum)), 1))
    return _unit(np.fft.irfft(spectrum, count))


def hum(generator: np.random.Generator, count: int) -> Samples:
    """Return the mains and its harmonics, rms 1."""
    time = np.arange(count) / LISTENING_HZ
    tones = [
        np.sin(2 * np.pi * (_MAINS_HZ * k * time + generator.random())) / k for k in range(1, 9)
    ]
    return _unit(np.sum(tones, axis=0))


def typing(generator: np.random.Generator, count: int) -> Samples:
    """Return clicks at random times, rms 1."""
    struck = generator.random(count) < _CLICKS_PER_S / LISTENING_HZ
    decay = np.exp(-np.arange(int(8 * _CLICK_S * LISTENING_HZ)) / (_CLICK_S * LISTENING_HZ))
    click = decay * generator.standard_normal(len(decay))
    sound = np.convolve(struck * generator.normal(1.0, 0.3, count), click)[:count]
    return _unit(sound + 1e-3 * generator.standard_normal(count))


def in_noise(speech: Samples, noise: Samples, decibels: float) -> Samples:
    """Return ``speech`` with ``noise`` of rms 1 so far below it, both (n,)."""
    level = float(np.sqrt((speech.astype(np.float64) ** 2).mean()))
    mixed = speech + np.float32(level * 10 ** (-decibels / 20)) * noise
    return np.clip(mixed, -1, 1).astype(np.float32)


def dithered(samples: Samples, times: int, generator: np.random.Generator) -> Iterator[Samples]:
    """Yield renditions that nobody can tell apart: with white noise of rms ``_DITHER``."""
    for _ in range(times):
        yield samples + np.float32(_DITHER) * white(generator, len(samples))


def _unit(sound: np.ndarray) -> Samples:
    level = float(np.sqrt((sound**2).mean())) or 1.0
    return (sound / level).astype(np.float32)


_NOISES: tuple[Noise, ...] = (white, pink, hum, typing)

_CONDITIONS: tuple[tuple[str, Noise | None, float], ...] = (
    ("clean", None, 0.0),
    ("in white noise at 10 dB", white, 10.0),
    ("in babble at 5 dB", None, 5.0),
    ("quiet", None, -20.0),
    ("in pink noise at 5 dB", pink, 5.0),
    ("in hum at 5 dB", hum, 5.0),
    ("clean", None, 0.0),
    ("in typing at 0 dB", typing, 0.0),
    ("loud", None, 18.0),
    ("in pink noise at 20 dB", pink, 20.0),
    ("in white noise at 0 dB", white, 0.0),
)
"""What speech is heard in; the number is its level over the noise, or a gain. Ours. Their count has
no factor in common with most counts of clips, so that each clip meets all of them in time."""


def _alone(generator: np.random.Generator, number: int) -> Scene:
    count = int(generator.uniform(*_ALONE_S) * LISTENING_HZ)
    kind = number % (len(_NOISES) + 1)
    if kind == len(_NOISES):
        return Scene("silence", "digital silence", np.zeros(count, np.float32))
    noise = _NOISES[kind]
    level = 10 ** (generator.uniform(-60, -20) / 20)
    sound = np.clip(level * noise(generator, count), -1, 1).astype(np.float32)
    return Scene("noise", noise.__name__, sound)


def _spoken(found: Sequence[Clip], number: int, generator: np.random.Generator) -> Scene:
    clip = found[number % len(found)]
    condition, noise, decibels = _CONDITIONS[number % len(_CONDITIONS)]
    before, after = (int(s * LISTENING_HZ) for s in generator.uniform(0.3, 1.2, 2))
    sound = np.pad(np.float32(_SPEECH_RMS) * _unit(clip.samples), (before, after))
    if condition in {"quiet", "loud"}:
        sound = sound * np.float32(10 ** (decibels / 20))
    elif condition != "clean":
        heard = noise(generator, len(sound)) if noise else _babble(found, number, len(sound))
        sound = sound + np.float32(_SPEECH_RMS * 10 ** (-decibels / 20)) * heard
    return Scene("speech", f"{clip.name} {condition}", np.clip(sound, -1, 1).astype(np.float32))


def _babble(found: Sequence[Clip], number: int, count: int) -> Samples:
    """Return three other clips at once, backwards, rms 1: speech that says nothing."""
    others = [found[(number + k) % len(found)].samples[::-1] for k in (1, 2, 3)]
    return _unit(np.sum([np.resize(_unit(o), count) for o in others], axis=0))
