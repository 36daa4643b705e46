"""Decoder-only language models of any kind: greedy answers, streamed token by token."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime as ort

from toolchain.errors import InputError
from toolchain.execution.local import available_cores
from toolchain.tables import table
from toolchain.voice import bpe, chat
from toolchain.voice.decoder import Decoder, Logits, Past, decoder
from toolchain.voice.engine import MOST_THREADS, open_model
from toolchain.voice.interface import expect
from toolchain.voice.stage import Llm, Token
from toolchain.voice.tokenizer import Tokenizer, read

_START, END = "<|im_start|>", "<|im_end|>"  # ChatML, the chat template of SmolLM2

_THREADS = 2
"""Measured on SmolLM2-135M, two cores: 16 ms a token instead of 20, 68 ms for 40 tokens instead of
96. Nothing else computes between a question and the first words of its answer."""

_HISTORY = 384
"""Tokens of a conversation, the system message among them, before its oldest half is forgotten.
SmolLM2's keys and values take 46 kB a token: 18 MB. Ours."""

_CONTEXT = 2_048
"""Tokens of system message, question and answer: ten minutes of speech. Ours: attention over more
takes memory by the square."""


RANGES: Mapping[str, tuple[float, float]] = {
    "max_tokens": (1, 4_096),
    "context": (64, 1_048_576),
    "history": (64, 1_048_576),
    "threads": (1, MOST_THREADS),
}
"""Of the numbers in ``Options``, both ends allowed. Ours: below 64 tokens no system message and
question fit; above, no model that we know was trained."""


@table
class Options:
    """``[voice.llm]`` for the adapter ``llama``.

    ``tokenizer`` is a tokenizer.json; without it, the vocabulary is in the model's metadata, as the
    pass import-gguf writes it. ``template`` has for each of system, user and assistant what stands
    before and after a message (ChatML if not given), ``stop`` the tokens that end an answer.
    ``context`` is how many tokens system message, question and answer may have together;
    ``history`` how many a conversation may have before its oldest half is forgotten. ``prefix`` is
    whether the system message is computed once, when the model is opened, or with every question;
    ``threads`` how many compute.
    """

    model: str
    tokenizer: str | None = None
    template: Mapping[str, tuple[str, str]] | None = None
    stop: tuple[str, ...] = ()
    system: str = "You are a helpful assistant."
    max_tokens: int = 64
    context: int = _CONTEXT
    history: int = _HISTORY
    prefix: bool = True
    threads: int = _THREADS


@dataclass(frozen=True)
class Llama:
    """Each chunk is a question, answered on its own; ``system`` is computed once, when loading."""

    decoder: Decoder
    template: chat.Template
    system: Past
    options: Options

    @property
    def vocabulary(self) -> Tokenizer:
        """Text to tokens and back."""
        return self.template.tokenizer

    def stream(self, chunks: Iterable[str]) -> Iterator[Token]:
        """Yield the answer to each question, token by token, until its end or ``max_tokens``.

        Errors:
            InputError: the question has more tokens than the context has room for.
        """
        for question in chunks:
            yield from self.spelled(self._answer(question))

    def spelled(self, answer: Iterator[int]) -> Iterator[Token]:
        """Yield the tokens of an ``answer`` with what each adds to its text."""
        numbers, again = itertools.tee(answer)
        for number, text in zip(numbers, self.vocabulary.decode(again), strict=True):
            yield Token(number, text)

    def _answer(self, question: str) -> Iterator[int]:
        return (token for token, _ in self.continued(self.asked(question), self.system))

    def continued(self, prompt: Sequence[int], past: Past) -> Iterator[tuple[int, Past]]:
        """Yield the tokens that follow ``prompt``, each with what is known before it.

        It ends before a stop, or after ``max_tokens``.
        """
        for _ in range(self.options.max_tokens):
            logits, past = self.decoder.advance(prompt, past)
            token = int(logits.argmax())
            if token in self.template.stops:
                return
            yield token, past
            prompt = [token]

    def talk(self) -> Talk:
        """Begin a conversation."""
        return Talk(self)

    def choices(self, question: str, answer: Sequence[int]) -> list[int]:
        """Return the token chosen at each place of an ``answer`` that somebody else gave."""
        chosen: list[int] = []

        def following(logits: Logits) -> int | None:
            chosen.append(int(logits.argmax()))
            return answer[len(chosen) - 1] if len(chosen) < len(answer) else None

        if answer:
            self.led(question, following)
        return chosen

    def led(self, question: str, following: Callable[[Logits], int | None]) -> None:
        """Answer with the tokens that ``following`` makes of the logits, (vocabulary,), until None.

        Token by token with keys and values kept, as an answer is given.

        Errors:
            InputError: the question has more tokens than the context has room for.
        """
        prompt, past = self.asked(question), self.system
        while prompt:
            logits, past = self.decoder.advance(prompt, past)
            token = following(logits)
            prompt = [] if token is None else [token]

    def asked(self, question: str) -> list[int]:
        """Return the tokens of a question and of the beginning of its answer.

        Errors:
            InputError: there are more than the context has room for.
        """
        said = [*self.template.message("user", question), *self.template.opening("assistant")]
        if not self.options.prefix:
            said = [*self.template.message("system", self.options.system), *said]
        room = self.options.context - len(self.system.tokens) - self.options.max_tokens
        if len(said) > room:
            raise InputError(
                f"the question has {len(said)} tokens, {room} fit beside the system message and "
                f"an answer of {self.options.max_tokens}",
                hint="ask in fewer words, or set a larger context in [voice.llm]",
            )
        return said


class Talk:
    """A conversation: each question is answered with what was said before in mind.

    When another question and answer might not fit into the history, the oldest exchanges are
    forgotten until half of it is free, and what is left is computed anew: in a thread of its own,
    while the answer is heard.
    """

    def __init__(self, llm: Llama) -> None:
        self._llm = llm
        self._past = llm.system
        self._owed: tuple[int, ...] = ()  # said, but not yet computed into the past
        self._exchanges: list[tuple[int, ...]] = []  # their tokens
        self._draft: tuple[Past, tuple[int, ...]] | None = None
        self._tidying: threading.Thread | None = None
        self._failed: Exception | None = None  # what tidying raised, for the next reply

    def reply(self, question: str) -> Iterator[Token]:
        """Yield the answer; nothing of it is remembered before it is kept.

        Errors:
            InputError: the question has more tokens than the context has room for.
        """
        if self._tidying:
            self._tidying.join()
            self._tidying = None
        if self._failed is not None:
            error, self._failed = self._failed, None
            raise error
        self._draft = None
        yield from self._llm.spelled(self._drawn(self._llm.asked(question)))

    def _drawn(self, prompt: Sequence[int]) -> Iterator[int]:
        if not self._fits(len(prompt)):
            self._forget(len(prompt))
        said: list[int] = []
        for token, past in self._llm.continued([*self._owed, *prompt], self._past):
            said.append(token)
            self._draft = past, (*prompt, *said)
            yield token

    def keep(self) -> None:
        """Remember the last question and what was drawn of its answer."""
        if self._draft is None:
            return
        past, said = self._draft
        self._draft = None
        closing = tuple(self._llm.template.closing("assistant"))
        self._past, self._owed = past, (said[-1], *closing)
        self._exchanges.append((*said, *closing))
        if not self._fits(len(said)):
            self._tidying = threading.Thread(target=self._tidy, args=(len(said),), daemon=True)
            self._tidying.start()

    def _tidy(self, more: int) -> None:
        try:
            self._forget(more)
        except Exception as error:  # noqa: BLE001 - raised again by the next reply
            self._failed = error

    @property
    def remembered(self) -> tuple[tuple[int, ...], ...]:
        """The tokens of each exchange that was kept and not yet forgotten."""
        return tuple(self._exchanges)

    def recall(self, exchanges: Sequence[Sequence[int]]) -> None:
        """Go on from the exchanges that another conversation remembered."""
        self._exchanges = [tuple(exchange) for exchange in exchanges]
        self._compute()

    def _fits(self, more: int) -> bool:
        """Return whether a question of ``more`` tokens and its answer fit into the history."""
        known = len(self._past.tokens) + len(self._owed)
        return known + more + self._llm.options.max_tokens <= self._llm.options.history

    def _forget(self, more: int) -> None:
        """Forget the oldest exchanges, so that the rest and ``more`` tokens fill half the history.

        The rest is computed anew: its keys and values knew what is forgotten.
        """
        room = self._llm.options.history // 2 - len(self._llm.system.tokens) - more
        while self._exchanges and sum(map(len, self._exchanges)) > room:
            del self._exchanges[0]
        self._compute()

    def _compute(self) -> None:
        """Compute what was said and is remembered into the past, from the system message on."""
        left = [token for exchange in self._exchanges for token in exchange]
        self._past, self._owed = self._llm.system, ()
        if left:
            self._past = self._llm.decoder.advance(left, self._past)[1]


def opening(vocabulary: Tokenizer, role: str) -> list[int]:
    """Return the tokens that begin a message of ``role``: ChatML."""
    return chat.template(vocabulary).opening(role)


def message(vocabulary: Tokenizer, role: str, text: str) -> list[int]:
    """Return the tokens of a whole message: ChatML."""
    return chat.template(vocabulary).message(role, text)


def load(options: Options, files: Mapping[str, Path]) -> Llm:
    """Open the model, read its vocabulary, and compute the system message.

    Errors:
        ConfigError, InputError: see ``engine``, ``decoder``, ``tokenizer``, ``bpe``, ``chat``; or
            the chat template in the model is not ChatML and none is given.
    """
    threads = max(1, min(options.threads, available_cores()))
    session = open_model(files, options.model, threads=threads)
    expect(session, options.model, "llm", "llama")
    model = decoder(session, options.model, "llm")
    vocabulary = _vocabulary(session, options, files)
    source = options.tokenizer or f"the metadata of {options.model}"
    model.expect_vocabulary(options.model, source, vocabulary.size)
    template = chat.template(vocabulary, options.template, options.stop)
    system = template.message("system", options.system)
    known = model.advance(system, Past())[1] if system and options.prefix else Past()
    return Llama(model, template, known, options)


def _vocabulary(
    session: ort.InferenceSession, options: Options, files: Mapping[str, Path]
) -> Tokenizer:
    if options.tokenizer:
        return read(files, options.tokenizer)
    metadata = session.get_modelmeta().custom_metadata_map
    written = metadata.get("tokenizer.chat_template", "")  # JSON text; we only look for a word
    if options.template is None and written and _START not in written:
        raise InputError(
            f"the chat template of {options.model} is not ChatML",
            hint="set template in [voice.llm]: what stands before and after each role's messages",
        )
    return bpe.from_metadata(metadata)
