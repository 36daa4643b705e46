"""What is heard at once: long utterances in pieces, and how many tokens a piece may have."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from toolchain.errors import InputError
from toolchain.formats.audio import Samples
from toolchain.voice.stage import LISTENING_HZ

_TOKENS_PER_SECOND = 12
"""Cap on a transcript that never ends. Fast counting has 7.6 tokens a second (the reference clip);
Moonshine's own transcriber stops at 6.5 and would lose its last word."""

_SEARCH_S = 5.0  # a piece ends where it is quietest in its last 5 s. Ours: a few words
_QUIET_S = 0.1  # how long it has to be quiet: between two words. Ours


def pieces(utterance: Samples, seconds: float) -> Iterator[Samples]:
    """Yield an utterance, (n,) at 16 kHz, in pieces of at most ``seconds``, cut where it is quiet.

    A model would need memory by the square of what it hears at once, and was trained on so much.

    Errors:
        InputError: a sample is not a number.
    """
    if not np.isfinite(utterance).all():
        raise InputError(
            f"sample {int(np.argmin(np.isfinite(utterance)))} of what was heard is not a number",
            hint="is the recording damaged, or what changes its sample rate?",
        )
    most, block = int(seconds * LISTENING_HZ), int(_QUIET_S * LISTENING_HZ)
    rest = utterance
    while len(rest) > most:
        search = rest[most - int(_SEARCH_S * LISTENING_HZ) : most]
        blocks = search[: len(search) // block * block].reshape(-1, block)
        quietest = int((blocks.astype(np.float64) ** 2).sum(axis=1).argmin())
        cut = most - len(search) + quietest * block + block // 2
        yield rest[:cut]
        rest = rest[cut:]
    yield rest


def most_tokens(samples: int) -> int:
    """Return how many tokens the transcript of so many samples may have."""
    return 1 + int(samples / LISTENING_HZ * _TOKENS_PER_SECOND)
