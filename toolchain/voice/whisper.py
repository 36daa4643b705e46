"""Whisper: speech to text from a log-mel spectrogram, with an encoder and a caching decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from toolchain.errors import ConfigError, InputError
from toolchain.formats.audio import Samples
from toolchain.tables import table
from toolchain.voice.decoder import Decoder, Past, decoder, feeds
from toolchain.voice.engine import open_model
from toolchain.voice.interface import expect, misfit, number_type
from toolchain.voice.log_mel import WINDOW_SECONDS, log_mel
from toolchain.voice.running import run_with_values
from toolchain.voice.stage import Stt
from toolchain.voice.tokenizer import Tokenizer, read
from toolchain.voice.utterance import most_tokens, pieces

_START, _END, _PLAIN = "<|startoftranscript|>", "<|endoftext|>", "<|notimestamps|>"
_TIMESTAMPS = 1501  # after the control tokens: 0.00 to 30.00 s in steps of 0.02 s
_MULTILINGUAL = 51_865  # tokens, or more; English-only models have one less
"""All three: openai-whisper 20250625, tokenizer.py and model.py. Its decoder has places for 448
tokens; the transcript of 30 s has 361 at most."""

_BANDS = 80  # where the encoder does not say; large-v3 has 128


@table
class Options:
    """``[voice.stt]`` for the adapter ``whisper``; names as Hugging Face's exporter gives them.

    ``decoder`` is merged (``use_cache_branch``), without a cache, or for the first step alone;
    then ``decoder_with_past`` makes the others. ``tokenizer`` is a tokenizer.json, or a vocab.json
    with its ``added_tokens``. Models of many languages need ``language`` ("en", "de"); ``task`` is
    transcribe or translate.
    """

    encoder: str
    decoder: str
    tokenizer: str
    decoder_with_past: str | None = None
    added_tokens: str | None = None
    language: str | None = None
    task: str = "transcribe"


@dataclass(frozen=True)
class Whisper:
    """Greedy decoding without timestamps, 30 s at a time."""

    encoder: ort.InferenceSession
    decoder: Decoder
    tokenizer: Tokenizer
    prompt: tuple[int, ...]

    def stream(self, chunks: Iterable[Samples]) -> Iterator[str]:
        """Yield the text of each utterance, (n,) at 16 kHz."""
        for utterance in chunks:
            heard = pieces(utterance, WINDOW_SECONDS)
            said = ("".join(self.tokenizer.decode(self._tokens(piece))) for piece in heard)
            yield " ".join(filter(None, (text.strip() for text in said)))

    def _tokens(self, piece: Samples) -> Iterator[int]:
        end = self.tokenizer.control_id(_END)
        hidden, past, prompt = self._hidden(piece), Past(), self.prompt
        for _ in range(most_tokens(len(piece))):
            logits, past = self.decoder.advance(prompt, past, hidden)
            token = self._likeliest(logits, end)
            if token == end:
                return
            yield token
            prompt = (token,)

    def _hidden(self, piece: Samples) -> dict[str, ort.OrtValue]:
        (port,) = self.encoder.get_inputs()
        bands = port.shape[1] if isinstance(port.shape[1], int) else _BANDS
        heard = log_mel(piece, bands).astype(number_type(port, "the encoder"))
        states = run_with_values(
            self.encoder, [o.name for o in self.encoder.get_outputs()], feeds({port.name: heard})
        )
        return {"encoder_hidden_states": states[0]}

    def _likeliest(self, logits: NDArray[np.floating], end: int) -> int:
        """Return the likeliest word or the end: no timestamps, languages or tasks in the text."""
        words = logits[: self.tokenizer.size].astype(np.float32)
        last = words[end]
        words[list(self.tokenizer.controls.values())] = -np.inf
        words[end] = last
        return int(words.argmax())


def load(options: Options, files: Mapping[str, Path]) -> Stt:
    """Open the models and the tokenizer.

    Errors:
        ConfigError, InputError: see ``engine``, ``decoder`` and ``tokenizer``; the tokenizer is
            another model's; or the language is missing, unknown, or not to be chosen.
    """
    encoder = open_model(files, options.encoder)
    expect(encoder, options.encoder, "stt encoder", "whisper")
    if len(encoder.get_inputs()) > 1:
        raise misfit(encoder, options.encoder, "stt encoder", "input_features is all we can feed")
    first = open_model(files, options.decoder)
    expect(first, options.decoder, "stt decoder", "whisper")
    later = options.decoder_with_past and open_model(files, options.decoder_with_past)
    model = decoder(
        first,
        options.decoder,
        "stt decoder",
        later=later or None,
        fixed=("encoder_hidden_states",),
    )
    tokenizer = read(files, options.tokenizer, options.added_tokens)
    words = max(tokenizer.size, tokenizer.control_id(_PLAIN) + 1 + _TIMESTAMPS)
    if model.vocabulary not in {None, words}:
        raise InputError(
            f"{options.tokenizer} is for {words} tokens, {options.decoder} chooses from "
            f"{model.vocabulary}",
            hint="take the tokenizer that was published with the model",
        )
    return Whisper(encoder, model, tokenizer, _prompt(options, tokenizer, words))


def _prompt(options: Options, tokenizer: Tokenizer, words: int) -> tuple[int, ...]:
    """Return the tokens before the transcript: start, language, task, no timestamps.

    Errors:
        ConfigError: a language that the model needs, does not know, or cannot be told.
    """
    told = (options.language is not None, words >= _MULTILINGUAL)
    if told == (False, True):
        raise ConfigError(
            f"{options.decoder} knows many languages",
            hint='set language in [voice.stt], for instance language = "en"',
        )
    if words == _MULTILINGUAL - 1 and options.language is not None:
        raise ConfigError(
            f"{options.decoder} knows English only", hint="remove language from [voice.stt]"
        )
    asked = [f"<|{options.language}|>", f"<|{options.task}|>"] if options.language else []
    if unknown := [name for name in asked if name not in tokenizer.controls]:
        raise ConfigError(
            f"{options.tokenizer} has no {unknown[0]}",
            hint='language is a code as "en" or "de", task is transcribe or translate',
        )
    return tuple(tokenizer.control_id(name) for name in (_START, *asked, _PLAIN))
