"""Speech to text with an encoder and a decoder: how far the next-token probabilities are.

What is asked
    The recordings that ``audio`` names, cut into pieces of a sentence or two, each as it is and in
    pink noise (``questions/audio.py``). No piece is in two splits; those of recordings that
    ``held`` names are all for the confirmation. One half of the pair is the model in question, the
    other half is the ``companion``, as it came. Both are led along the transcript that the original
    pair writes: all of it but the last four tokens in one call without the cache, the last four
    one by one with it, so that both branches of a merged decoder are asked.

Metric
    Error: mean Kullback-Leibler divergence, in nats, of the probabilities of the next token, at all
    positions. Agreement: share of *decided* positions where the likeliest token is the same. A
    position is decided if the original chooses the same in four renditions with white noise of one
    step of 16-bit sound, which nobody hears. Moonshine in dynamic int8 changes 1 % of its choices
    (0.004 nats) already under noise of a thirtieth of that; 97 % of its positions are decided.

Limit
    Agreement of 99.5 %: the reference pipeline's bar, at decided positions. Error of 0.015, twice
    what a microphone's own noise (-70 dB of full scale) does: 0.0078. Measured with Moonshine's
    encoder: weights of its convolutions at 127 levels a channel 0.005 and 99.8 %; int8 codes
    rounded to multiples of 2: 0.020 and 97.2 %; its decoder: 0.027 and 97.1 %.

Details
    In the confirmation both write freely, too: ``same transcripts`` is the share of pieces in which
    every word is the same, ``held clips`` that of the held ones, ``word error rate`` is against the
    original's words (case and punctuation aside; tokens where no ``tokenizer`` is given).
    ``share decided`` and ``agreement everywhere``: of all positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.formats.audio import Samples
from toolchain.formats.onnx_runner import Array, Runner, SessionRunner
from toolchain.tables import table
from toolchain.tasks.base import Limit, Score, Split, Task
from toolchain.tasks.questions import texts
from toolchain.tasks.questions.audio import Clip, clips, dithered, divided, in_noise, pink
from toolchain.tasks.questions.choices import Choices, Logits, edits
from toolchain.tasks.questions.limits import Asked, allowed
from toolchain.tasks.questions.outputs import array, arrays
from toolchain.voice import moonshine
from toolchain.voice.engine import located, open_model

_DEFAULT = Limit(error=0.015, agreement=0.995)
_CACHED = (
    4  # tokens at the end of a transcript that go through the cache; a transcript has 10 to 40
)
_NOISE_DB = 10.0  # speech over noise: a street; words are still understood
_DITHERS = 4
_ENCODER, _DECODER = "encoder", "decoder"


@table
class Options:
    """``companion`` is the other half of the pair; ``part`` says which half the model should be."""

    companion: str
    tokenizer: str | None = None
    part: Literal["encoder", "decoder"] | None = None
    audio: tuple[str, ...] = ("*.wav",)
    held: tuple[str, ...] = ()
    limit: Asked | float | None = None


@dataclass(frozen=True, eq=False)
class Heard:
    """One utterance: what the original's encoder made of it, its transcript and probabilities."""

    clip: Clip
    samples: Samples
    hidden: Array
    tokens: tuple[int, ...]
    logits: Logits
    decided: NDArray[np.bool_]


@dataclass(frozen=True)
class _Pair:
    encoder: Runner
    decoder: Runner

    def hidden(self, samples: Samples) -> Array:
        """Return the encoder's states, (1, m, size)."""
        outputs = self.encoder.run(_known(self.encoder, moonshine.listening(samples)))
        return array(outputs, self.encoder.outputs[0])

    def transcript(self, samples: Samples, hidden: Array) -> tuple[int, ...]:
        """Return the likeliest tokens, each following those before."""
        tokens: list[int] = []
        fixed = moonshine.understood(hidden, samples)
        logits, past = self._step(fixed, self._nothing(), [moonshine.BOS], cached=False)
        for _ in range(moonshine.most_tokens(samples)):
            token = int(logits[-1].argmax())
            if token == moonshine.EOS:
                break
            tokens.append(token)
            logits, past = self._step(fixed, past, [token], cached=True)
        return tuple(tokens)

    def along(self, samples: Samples, hidden: Array, tokens: Sequence[int]) -> Logits:
        """Return the logits at every place of a transcript and after it, (tokens + 1, size)."""
        fixed = moonshine.understood(hidden, samples)
        together = max(0, len(tokens) - _CACHED)
        first = [moonshine.BOS, *tokens[:together]]
        logits, past = self._step(fixed, self._nothing(), first, cached=False)
        found = [logits]
        for token in tokens[together:]:
            logits, past = self._step(fixed, past, [token], cached=True)
            found.append(logits)
        return np.concatenate(found)

    def _nothing(self) -> dict[str, Array]:
        return {**moonshine.empty_past({p.name: p.shape for p in self.decoder.inputs})}

    def _step(
        self,
        fixed: Mapping[str, Array],
        past: Mapping[str, Array],
        tokens: Sequence[int],
        *,
        cached: bool,
    ) -> tuple[Logits, dict[str, Array]]:
        """Return the logits after each of ``tokens``, (n, size), and the past with them."""
        feeds = {**fixed, **past, **moonshine.saying(tokens, cached)}
        outputs = arrays(self.decoder.run(_known(self.decoder, feeds)))
        logits, *presents = self.decoder.outputs
        new = moonshine.new_past({name: outputs[name] for name in presents}, cached)
        return np.asarray(outputs[logits][0], np.float32), {**past, **new}


def _known(runner: Runner, feeds: Mapping[str, Array]) -> dict[str, Array]:
    names = {port.name for port in runner.inputs}
    return {name: feed for name, feed in feeds.items() if name in names}


@dataclass(frozen=True)
class Stt:
    """Asks one half of a pair, with the other half as it came."""

    options: Options
    companion: Runner
    pieces: tuple[bytes, ...]
    speech: Mapping[Split, tuple[Clip, ...]]

    unit = "nats"

    @property
    def limit(self) -> Limit:
        """The default or what was asked for."""
        return allowed(self.options.limit, _DEFAULT)

    def instrumented(self, model: bytes) -> bytes:
        """Return ``model`` itself: its probabilities, or the companion's, are an output."""
        return model

    def reference(self, runner: Runner, split: Split) -> object:
        """Return what the original pair hears in ``split``."""
        pair = self._pair(runner)
        generator = np.random.default_rng(list(Split).index(split))
        # what is only looked at while it passes through need not be heard five times
        dithers = 0 if split is Split.CALIBRATION else _DITHERS
        return [
            _heard(pair, clip, samples, dithered(samples, dithers, generator))
            for clip in self.speech[split]
            for samples in (clip.samples, _noisy(clip, generator))
        ]

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        """Compare probabilities along the original's transcripts; freely in the confirmation."""
        heard: Sequence[Heard] = reference  # type: ignore[assignment]  # what reference() returned
        pair = self._pair(runner)
        listens = pair.encoder is runner
        states = [pair.hidden(h.samples) if listens else h.hidden for h in heard]
        compared = Choices.joined(
            Choices.between(h.logits, pair.along(h.samples, hidden, h.tokens))
            for h, hidden in zip(heard, states, strict=True)
        )
        decided = np.concatenate([h.decided for h in heard])
        details = {
            "share decided": float(decided.mean()),
            "agreement everywhere": float(compared.same.mean()),
        }
        if split is Split.CONFIRMATION:
            details |= self._transcripts(pair, heard, states)
        return Score(
            error=float(compared.divergence.mean()),
            agreement=float(compared.same[decided].mean()) if decided.any() else 1.0,
            positions=int(decided.sum()),
            details=details,
        )

    def _transcripts(
        self, pair: _Pair, heard: Sequence[Heard], states: Sequence[Array]
    ) -> dict[str, float]:
        free = [pair.transcript(h.samples, s) for h, s in zip(heard, states, strict=True)]
        pairs = [(self._words(h.tokens), self._words(f)) for h, f in zip(heard, free, strict=True)]
        wrong = sum(edits(said, other) for said, other in pairs)
        held = [p for p, h in zip(pairs, heard, strict=True) if _held(h.clip, self.options.held)]
        details = {
            "same transcripts": float(np.mean([said == other for said, other in pairs])),
            "word error rate": wrong / (sum(len(said) for said, _ in pairs) or 1),
        }
        if held:
            details["held clips"] = float(np.mean([said == other for said, other in held]))
        return details

    def _words(self, tokens: Sequence[int]) -> tuple[object, ...]:
        return texts.words(moonshine.text(tokens, self.pieces)) if self.pieces else tuple(tokens)

    def _pair(self, runner: Runner) -> _Pair:
        """Return the pair with ``runner`` as the half that the companion is not.

        Errors:
            InputError: they are no pair.
        """
        parts = {_part(runner): runner, _part(self.companion): self.companion}
        if len(parts) < 2:  # noqa: PLR2004 - a pair
            raise InputError(
                f"both the model and {self.options.companion} are {_part(runner)}s",
                hint="the companion is the other half of the pair",
            )
        if self.options.part not in {None, _part(runner)}:
            raise InputError(
                f"the model is a {_part(runner)}, not the {self.options.part}",
                hint="correct part = in the task",
            )
        return _Pair(parts[_ENCODER], parts[_DECODER])


def _heard(pair: _Pair, clip: Clip, samples: Samples, near: Iterable[Samples]) -> Heard:
    hidden = pair.hidden(samples)
    tokens = pair.transcript(samples, hidden)
    logits = pair.along(samples, hidden, tokens)
    decided = np.ones(len(logits), np.bool_)
    for other in near:
        choices = pair.along(other, pair.hidden(other), tokens).argmax(-1)
        decided &= choices == logits.argmax(-1)
    return Heard(clip, samples, hidden, tokens, logits, decided)


def _noisy(clip: Clip, generator: np.random.Generator) -> Samples:
    return in_noise(clip.samples, pink(generator, len(clip.samples)), _NOISE_DB)


def _part(runner: Runner) -> str:
    names = {port.name for port in runner.inputs}
    if "input_values" in names:
        return _ENCODER
    if {"input_ids", "encoder_hidden_states", "use_cache_branch"} <= names:
        return _DECODER
    raise InputError(
        f"a model with the inputs {', '.join(sorted(names))[:120]} is neither half of Moonshine",
        hint="encoders take input_values, decoders input_ids and encoder_hidden_states",
    )


def task(options: Options, files: Mapping[str, Path]) -> Task:
    """Open the companion, read recordings and the piece table.

    Errors:
        ConfigError: a file that is not there, too few recordings, or too many of them held.
        InputError: one that is not what it should be.
    """
    companion = SessionRunner(open_model(files, options.companion))
    pieces: tuple[bytes, ...] = ()
    if options.tokenizer is not None:
        pieces = moonshine.read_pieces(located(files, options.tokenizer).read_bytes())
    speech = divided(clips(files, options.audio), last=lambda c: _held(c, options.held))
    return Stt(options, companion, pieces, speech)


def _held(clip: Clip, names: Sequence[str]) -> bool:
    return any(fnmatchcase(clip.name.partition("#")[0], name) for name in names)
