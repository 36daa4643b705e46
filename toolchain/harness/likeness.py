"""What a process that is examined does: answers the facts, and is compared with a reference.

The first application is the reference. It answers the prompts, speaks the sentences, and leaves its
logits and its sound in a folder: one file a prompt, about 5 MB (24 places, 49,152 tokens, float32).
The second is led along the same answers and speaks the same sentences. One answer is in memory at a
time, and one model: the language model is gone before the voice is opened.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from toolchain.errors import ToolError
from toolchain.formats.audio import Audio
from toolchain.harness.warping import length_change, warped_distance_db
from toolchain.tasks.questions.choices import Choices
from toolchain.voice import pipeline
from toolchain.voice.chat import Template
from toolchain.voice.decoder import Logits
from toolchain.voice.engine import give_back, naming
from toolchain.voice.stage import Llm, Tts

MOST_PLACES = 24
"""Tokens of an answer that count: one sentence. What a small model says after it repeats itself
more often. Ours."""

_FARTHEST_NATS = 100.0
"""What is no number, and what a model holds for impossible that the other said, diverges so far: a
report is JSON, which has no infinity. A uniform choice of 49,152 tokens diverges by 11 at most."""


class Choosing(Llm, Protocol):
    """A language model that can be led along an answer."""

    @property
    def template(self) -> Template:
        """Which tokens end an answer."""
        ...

    def led(self, question: str, following: Callable[[Logits], int | None]) -> None:
        """Answer with the tokens that ``following`` makes of the logits, until None."""
        ...


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a language model is from the reference along one answer."""

    nats: float  # mean Kullback-Leibler divergence at its places
    top1: float  # share of places with the same first choice


@dataclass(frozen=True, slots=True)
class Voiced:
    """How far a voice is from the reference in one sentence."""

    decibels: float  # log-mel distance, aligned
    length: float  # by which share it is longer or shorter


@dataclass(frozen=True, slots=True)
class Examined:
    """What one process showed."""

    answers: tuple[str, ...]  # to the facts
    prompts: tuple[Agreement, ...]  # none for the reference, or where there is none
    sentences: tuple[Voiced, ...]


Say = Callable[[Mapping[str, Any]], None]


def examine(request: Mapping[str, Any], say: Say) -> Examined:
    """Answer and speak what ``request`` asks; compare where it says so.

    ``folder`` is where a reference leaves what it did, and where the other finds it; None: only the
    facts are asked. ``reference`` is whether this process is the reference.

    Errors:
        ToolError: a stage failed, or gave nothing; names it and the question.
    """
    files = {name: Path(path) for name, path in request["files"].items()}
    folder, reference = request["folder"], request["reference"]
    say({"doing": "opening llm"})
    with naming("llm", "opening"):
        llm = pipeline.load_stage(request["voice"], "llm", files)
    answers = tuple(_answers(llm, request["facts"], say))
    if folder is None:
        return Examined(answers, (), ())
    prompts = list(_prompts(llm, request["prompts"], Path(folder), reference=reference, say=say))
    del llm
    gc.collect()
    give_back()
    say({"doing": "opening tts"})
    with naming("tts", "opening"):
        tts = pipeline.load_stage(request["voice"], "tts", files)
    said = _sentences(tts, request["sentences"], Path(folder), reference=reference, say=say)
    return Examined(answers, tuple(prompts), tuple(said))


def _answers(llm: Llm, facts: Sequence[str], say: Say) -> list[str]:
    found = []
    for number, ask in enumerate(facts):
        say({"doing": "answering facts", "done": number, "total": len(facts)})
        with naming("llm", repr(ask)):
            found.append("".join(token.text for token in llm.stream([ask])).strip())
    return found


def _prompts(
    llm: Choosing, asked: Sequence[str], folder: Path, *, reference: bool, say: Say
) -> list[Agreement]:
    found = []
    for number, ask in enumerate(asked):
        say({"doing": "answering prompts", "done": number, "total": len(asked)})
        path = folder / f"prompt-{number}.npz"
        with naming("llm", repr(ask)):
            if reference:
                _leave(llm, ask, path)
            else:
                found.append(_along(llm, ask, path))
    return found


def _leave(llm: Choosing, ask: str, path: Path) -> None:
    """Answer, and write tokens and logits to ``path``; the place where it ends is one, too."""
    rows: list[Logits] = []
    tokens: list[int] = []

    def own(logits: Logits) -> int | None:
        rows.append(np.array(logits, np.float32))
        token = int(logits.argmax())
        if token in llm.template.stops or len(rows) == MOST_PLACES:
            return None
        tokens.append(token)
        return token

    llm.led(ask, own)
    np.savez(path, tokens=np.array(tokens, np.int64), logits=np.stack(rows))


def _along(llm: Choosing, ask: str, path: Path) -> Agreement:
    """Compare with the answer in ``path`` at each of its places."""
    with np.load(path) as kept:
        tokens, expected = kept["tokens"].tolist(), kept["logits"]
    compared: list[Choices] = []

    def same(logits: Logits) -> int | None:
        at = len(compared)
        compared.append(Choices.between(expected[at : at + 1], np.asarray(logits)[None]))
        return tokens[at] if at < len(tokens) else None

    llm.led(ask, same)
    whole = Choices.joined(compared)
    nats = np.minimum(whole.divergence, _FARTHEST_NATS)
    return Agreement(float(nats.mean()), float(whole.same.mean()))


def _sentences(
    tts: Tts, texts: Sequence[str], folder: Path, *, reference: bool, say: Say
) -> list[Voiced]:
    found = []
    for number, text in enumerate(texts):
        say({"doing": "speaking sentences", "done": number, "total": len(texts)})
        path = folder / f"sentence-{number}.npz"
        with naming("tts", repr(text)):
            sound = _spoken(tts, text)
        if reference:
            np.savez(path, samples=sound.samples, rate_hz=sound.rate_hz)
            continue
        with np.load(path) as kept:
            other = Audio(kept["samples"], int(kept["rate_hz"]))
        found.append(Voiced(warped_distance_db(other, sound), length_change(other, sound)))
    return found


def _spoken(tts: Tts, text: str) -> Audio:
    sounds = list(tts.stream([text]))
    if not sounds or not sum(len(sound.samples) for sound in sounds):
        raise ToolError(
            f"stage tts gave nothing for {text!r}",
            hint="run the model of [voice.tts] alone; was it damaged by a pass?",
        )
    return Audio(np.concatenate([sound.samples for sound in sounds]), sounds[0].rate_hz)
