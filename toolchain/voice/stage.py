"""What a stage is: chunks in, chunks out, as soon as there are any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from toolchain.formats.audio import Audio, Samples

In = TypeVar("In", contravariant=True)  # noqa: PLC0105 - the word reads better than In_contra
Out = TypeVar("Out", covariant=True)  # noqa: PLC0105 - the word reads better than Out_co

LISTENING_HZ = 16_000
"""Sample rate of what the stages hear: Silero's and Moonshine's models are trained at 16 kHz."""


@dataclass(frozen=True, slots=True)
class Token:
    """One step of a language model: its number, and what it adds to the answer.

    The text is empty while a character is not yet complete.
    """

    id: int
    text: str


class Stage(Protocol[In, Out]):
    """Turns a stream of chunks into a stream of chunks.

    Lazy: the next chunk is computed when it is asked for, so a consumer that stops reading
    (barge-in) stops the stage. Stateless between streams: each call of ``stream`` starts anew.
    """

    def stream(self, chunks: Iterable[In]) -> Iterator[Out]:
        """Yield what comes out of ``chunks``.

        Errors:
            whatever the model's runtime raises; the harness names the stage.
        """
        ...


Vad = Stage[Samples, float]
"""Frames of ``FRAME_SAMPLES`` at 16 kHz to the probability of speech in each."""

Stt = Stage[Samples, str]
"""Utterances, (n,) at 16 kHz, to their text."""

Tts = Stage[str, Audio]
"""Clauses of text to their sound."""


class Dialogue(Protocol):
    """A conversation with a language model, which knows what was asked and answered before."""

    def reply(self, question: str) -> Iterator[Token]:
        """Yield the answer; nothing of it is remembered before it is kept."""
        ...

    def keep(self) -> None:
        """Remember the last question and what was drawn of its answer."""
        ...

    @property
    def remembered(self) -> tuple[tuple[int, ...], ...]:
        """The tokens of each exchange that was kept and not yet forgotten."""
        ...

    def recall(self, exchanges: Sequence[Sequence[int]]) -> None:
        """Go on from the exchanges that another conversation remembered."""
        ...


class Llm(Stage[str, Token], Protocol):
    """What the user said to the tokens of the answer."""

    def talk(self) -> Dialogue:
        """Begin a conversation."""
        ...

    def choices(self, question: str, answer: Sequence[int]) -> list[int]:
        """Return the token chosen at each place of an ``answer`` that somebody else gave.

        At each place the model knows the question and the answer before it, not its own choices:
        so two models are compared at every token, also after the first on which they differ.
        """
        ...


FRAME_SAMPLES = 512
"""A VAD frame: 32 ms at 16 kHz, the only length Silero's models take at that rate."""

FRAME_MS = 1000 * FRAME_SAMPLES / LISTENING_HZ
