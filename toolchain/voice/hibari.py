"""Hibari: text to speech; phonemes and signal processing by the hibari package, the model by us."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime as ort

from toolchain.errors import ConfigError
from toolchain.formats.audio import Audio
from toolchain.tables import table
from toolchain.voice.engine import expect_inputs, open_model
from toolchain.voice.stage import Tts

_PAD = 0  # the model's ids begin and end with it
_MOST_PHONEMES = 400  # as in the package (tts.py, MAX_PHONEMES)
_SEED = 0  # of the noise in the voice: the same text always sounds the same, so runs compare
_INPUTS = {"hibari": ("ids", "speed")}
_OUTPUTS = ["lh", "theta", "ln", "lr", "phi", "f0"]


@table
class Options:
    """``[voice.tts]`` for the adapter ``hibari``; ``oov`` is the project's model for rare words."""

    model: str
    oov: str | None = None
    speed: float = 1.0


@dataclass(frozen=True)
class Hibari:
    """One call of the model a clause; what has no sound (an emoji alone) yields nothing."""

    session: ort.InferenceSession
    phonemes: Callable[[str], str]
    ids: Mapping[str, int]  # of the phonemes
    speed: float

    def stream(self, chunks: Iterable[str]) -> Iterator[Audio]:
        """Yield the sound of each sentence or clause, at 24 kHz."""
        from hibari import dsp  # noqa: PLC0415 - an extra, checked by load

        rng = np.random.default_rng(_SEED)
        speed = np.array([self.speed], np.float32)
        for clause in chunks:
            for phonemes in self._sentences(clause):
                ids = [[_PAD, *(self.ids[p] for p in phonemes), _PAD]]
                spectrum = self.session.run(_OUTPUTS, {"ids": np.array(ids), "speed": speed})
                samples = dsp.synth(*(part[0] for part in spectrum), rng)
                yield Audio(np.asarray(samples, np.float32), dsp.SR)

    def _sentences(self, clause: str) -> Iterator[str]:
        """Yield the phonemes the model knows, as much of them as it takes at once."""
        from hibari import Hibari as Front  # noqa: PLC0415 - an extra, checked by load

        for sentence in Front.split_sentences(clause):
            known = "".join(p for p in self.phonemes(sentence) if p in self.ids)
            yield from textwrap.wrap(known, _MOST_PHONEMES, break_on_hyphens=False)


def load(options: Options, files: Mapping[str, Path]) -> Tts:
    """Open the model and read the dictionaries.

    Errors:
        ConfigError, InputError: see ``engine``; or the hibari package is not installed.
    """
    session = open_model(files, options.model)
    expect_inputs(session, options.model, _INPUTS)
    if find_spec("hibari") is None:
        raise ConfigError(
            "the adapter 'hibari' needs the hibari package for its phonemes",
            hint="pip install 'voice-toolchain[voice]'",
        )
    from hibari.g2p import G2P  # noqa: PLC0415 - an extra
    from hibari.g2p.oov import OOV  # noqa: PLC0415 - an extra
    from hibari.tts import ASSETS  # noqa: PLC0415 - an extra

    ids = json.loads((Path(ASSETS) / "vocab.json").read_text("utf-8"))
    rare = OOV(session=open_model(files, options.oov)) if options.oov else None
    return Hibari(session, G2P(oov=rare), ids, options.speed)
