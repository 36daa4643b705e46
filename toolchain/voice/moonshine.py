"""Moonshine: speech to text with an encoder, a caching decoder and a piece table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from toolchain.errors import FormatError, InputError
from toolchain.formats.audio import Samples
from toolchain.tables import table
from toolchain.voice.engine import expect_inputs, located, open_model
from toolchain.voice.stage import LISTENING_HZ, Stt

_BOS, _EOS = 1, 2
_SPACE = "\u2581"  # how sentencepiece writes a space
_TOKENS_PER_SECOND = 12
"""Cap on a transcript that never ends. Fast counting has 7.6 tokens a second (the reference clip);
Moonshine's own transcriber stops at 6.5 and would lose its last word."""
_LEAST_SAMPLES = (
    1_280  # 80 ms: below that the encoder's three convolutions have nothing to stand on
)
_TWO_BYTES = 0x80  # a length byte from here on is continued in the next byte

_ENCODER_INPUTS = {"moonshine": ("input_values",)}
_DECODER_INPUTS = {"moonshine": ("input_ids", "encoder_hidden_states", "use_cache_branch")}
_PAST, _PRESENT = "past_key_values.", "present."


@table
class Options:
    """``[voice.stt]`` for the adapter ``moonshine``."""

    encoder: str
    decoder: str
    tokenizer: str


@dataclass(frozen=True)
class Moonshine:
    """Greedy decoding; the encoder's keys and values are computed once an utterance."""

    encoder: ort.InferenceSession
    decoder: ort.InferenceSession
    pieces: tuple[bytes, ...]

    def stream(self, chunks: Iterable[Samples]) -> Iterator[str]:
        """Yield the text of each utterance, (n,) at 16 kHz."""
        for utterance in chunks:
            yield self._text(self._tokens(utterance))

    def _tokens(self, utterance: Samples) -> Iterator[int]:
        heard = np.pad(utterance, (0, max(0, _LEAST_SAMPLES - len(utterance))))[None]
        mask = np.ones(heard.shape, np.int64)
        hidden = self.encoder.run(
            None, _those(self.encoder, input_values=heard, attention_mask=mask)
        )
        fixed = _those(self.decoder, encoder_hidden_states=hidden[0], encoder_attention_mask=mask)
        past = {
            i.name: np.zeros((1, i.shape[1], 0, i.shape[3]), np.float32)
            for i in self.decoder.get_inputs()
            if i.name.startswith(_PAST)
        }
        outputs = [o.name for o in self.decoder.get_outputs()]
        token = _BOS
        for step in range(1 + int(heard.shape[1] / LISTENING_HZ * _TOKENS_PER_SECOND)):
            new = {"input_ids": np.array([[token]]), "use_cache_branch": np.array([step > 0])}
            logits, *presents = self.decoder.run(outputs, fixed | past | new)
            token = int(logits[0, -1].argmax())
            if token == _EOS:
                return
            yield token
            for name, present in zip(outputs[1:], presents, strict=True):
                # the cache branch leaves the encoder's entries empty: keep the first ones
                if step == 0 or ".encoder." not in name:
                    past[name.replace(_PRESENT, _PAST)] = present

    def _text(self, tokens: Iterable[int]) -> str:
        joined = b"".join(self.pieces[t] for t in tokens)
        return joined.decode("utf-8", errors="replace").replace(_SPACE, " ").strip()


def _those(session: ort.InferenceSession, **feeds: np.ndarray) -> dict[str, np.ndarray]:
    """Return the feeds that the model has inputs for: exports differ in their masks."""
    known = {i.name for i in session.get_inputs()}
    return {name: feed for name, feed in feeds.items() if name in known}


def read_pieces(data: bytes) -> tuple[bytes, ...]:
    """Return the pieces of a ``tokenizer.bin``: each is its length, then its bytes.

    Errors:
        FormatError: the last piece is cut short.
    """
    pieces, at = [], 0
    while at < len(data):
        length, start = data[at], at + 1
        if length >= _TWO_BYTES and start < len(data):
            length, start = data[start] * _TWO_BYTES + length - _TWO_BYTES, start + 1
        if start + length > len(data):
            raise FormatError("tokenizer: a piece runs past the end of the file", at)
        pieces.append(data[start : start + length])
        at = start + length
    return tuple(pieces)


def load(options: Options, files: Mapping[str, Path]) -> Stt:
    """Open both models and the piece table.

    Errors:
        ConfigError, InputError: see ``engine``; or the table has another size than the vocabulary.
    """
    encoder = open_model(files, options.encoder)
    expect_inputs(encoder, options.encoder, _ENCODER_INPUTS)
    decoder = open_model(files, options.decoder)
    expect_inputs(decoder, options.decoder, _DECODER_INPUTS)
    pieces = read_pieces(located(files, options.tokenizer).read_bytes())
    words = decoder.get_outputs()[0].shape[-1]
    if words != len(pieces):
        raise InputError(
            f"{options.tokenizer} has {len(pieces)} pieces, {options.decoder} chooses from {words}",
            hint="take the tokenizer that was published with the model",
        )
    return Moonshine(encoder, decoder, pieces)
