"""Moonshine: speech to text with an encoder, a caching decoder and a piece table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from toolchain.errors import FormatError, InputError
from toolchain.formats.audio import Samples
from toolchain.tables import table
from toolchain.voice import utterance as utterances
from toolchain.voice.decoder import Decoder, Past, decoder, feeds
from toolchain.voice.engine import located, open_model
from toolchain.voice.interface import expect
from toolchain.voice.running import run
from toolchain.voice.stage import Stt

BOS, EOS = 1, 2
_SPACE = "\u2581"  # how sentencepiece writes a space
_LEAST_SAMPLES = 1_280
"""80 ms: below that the encoder's three convolutions have nothing to stand on."""
_MOST_SECONDS = 30.0
"""What is heard at once. Moonshine was trained on up to 64 s (Jeffries et al., Moonshine, 2024);
the encoder's memory grows by the square. Ours: as Whisper."""
_TWO_BYTES = 0x80  # a length byte from here on is continued in the next byte

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
    decoder: Decoder
    pieces: tuple[bytes, ...]

    def stream(self, chunks: Iterable[Samples]) -> Iterator[str]:
        """Yield the text of each utterance, (n,) at 16 kHz."""
        for utterance in chunks:
            heard = utterances.pieces(utterance, _MOST_SECONDS)
            said = (text(self._tokens(piece), self.pieces) for piece in heard)
            yield " ".join(filter(None, said))

    def _tokens(self, utterance: Samples) -> Iterator[int]:
        hidden = run(self.encoder, None, _those(self.encoder, listening(utterance)))
        fixed = feeds(understood(hidden[0], utterance))
        token, past = BOS, Past()
        for _ in range(most_tokens(utterance)):
            logits, past = self.decoder.advance([token], past, fixed)
            token = int(logits.argmax())
            if token == EOS:
                return
            yield token


def listening(utterance: Samples) -> dict[str, np.ndarray]:
    """Return the encoder's feeds for (n,) samples at 16 kHz; very short ones are padded."""
    heard = np.pad(utterance, (0, max(0, _LEAST_SAMPLES - len(utterance))))[None]
    return {"input_values": heard, "attention_mask": np.ones(heard.shape, np.int64)}


def understood(hidden: np.ndarray, utterance: Samples) -> dict[str, np.ndarray]:
    """Return what the decoder is fed in every step: (1, m, 288) states of the encoder, a mask."""
    mask = listening(utterance)["attention_mask"]
    return {"encoder_hidden_states": hidden, "encoder_attention_mask": mask}


# ``saying``, ``empty_past`` and ``new_past`` are for tasks/stt.py, which has runners, not sessions.
def saying(tokens: Sequence[int], cached: bool) -> dict[str, np.ndarray]:  # noqa: FBT001 - the model's own input
    """Return what the decoder is fed in one step: (1, n) tokens, and whether it has a past."""
    return {"input_ids": np.array([tokens]), "use_cache_branch": np.array([cached])}


def empty_past(shapes: Mapping[str, Sequence[int | str | None]]) -> dict[str, np.ndarray]:
    """Return the keys and values before the first token, for the inputs that take them."""
    return {
        name: np.zeros((1, int(shape[1] or 0), 0, int(shape[3] or 0)), np.float32)
        for name, shape in shapes.items()
        if name.startswith(_PAST)
    }


def new_past(presents: Mapping[str, np.ndarray], cached: bool) -> dict[str, np.ndarray]:  # noqa: FBT001 - the model's own input
    """Return the inputs that take what a step gave out.

    The cache branch leaves the encoder's entries empty: those of the first step are kept.
    """
    return {
        name.replace(_PRESENT, _PAST): present
        for name, present in presents.items()
        if not cached or ".encoder." not in name
    }


def most_tokens(utterance: Samples) -> int:
    """Return how many tokens a transcript may have."""
    return utterances.most_tokens(max(len(utterance), _LEAST_SAMPLES))


def text(tokens: Iterable[int], pieces: Sequence[bytes]) -> str:
    """Return what tokens say."""
    joined = b"".join(pieces[t] for t in tokens)
    return joined.decode("utf-8", errors="replace").replace(_SPACE, " ").strip()


def _those(session: ort.InferenceSession, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
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
            raise FormatError(
                "tokenizer: a piece runs past the end of the file",
                at,
                hint="give the tokenizer.bin that was published with the model",
            )
        pieces.append(data[start : start + length])
        at = start + length
    return tuple(pieces)


def load(options: Options, files: Mapping[str, Path]) -> Stt:
    """Open both models and the piece table.

    Errors:
        ConfigError, InputError: see ``engine`` and ``decoder``; or the table has another size than
            the vocabulary.
    """
    encoder = open_model(files, options.encoder)
    expect(encoder, options.encoder, "stt encoder", "moonshine")
    second = open_model(files, options.decoder)
    expect(second, options.decoder, "stt decoder", "moonshine")
    fixed = ("encoder_hidden_states", "encoder_attention_mask")
    model = decoder(second, options.decoder, "stt decoder", fixed=fixed)
    pieces = read_pieces(located(files, options.tokenizer).read_bytes())
    if model.vocabulary != len(pieces):
        raise InputError(
            f"{options.tokenizer} has {len(pieces)} pieces, {options.decoder} chooses from "
            f"{model.vocabulary}",
            hint="take the tokenizer that was published with the model",
        )
    return Moonshine(encoder, model, pieces)
