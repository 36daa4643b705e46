"""Language models: how far the probabilities of the next token are along the original's answers.

What is asked
    The questions in ``rules/questions/llm.toml`` in ChatML, with the vocabulary of ``tokenizer`` (a
    GGUF or ONNX file). The original answers, each time with its likeliest token; then both models
    get question and answer at once and say what they would have chosen at each place of the
    answer. Without ``tokenizer`` the texts are made up: some tokens at random, then tokens drawn
    from the original's own probabilities, seeded. No question is in two splits.

Metric
    Error: mean Kullback-Leibler divergence, in nats, at all places. Agreement: share of *decided*
    places where the likeliest token is the same; the confirmation has 500 or more of them. A place
    is decided if the original's first choice leads the second by more than ``margin``. By 0.3 nats:
    the same weights in exact arithmetic instead of int8 activations (MatMulNBits level 0, not 4)
    change 2.9 % of SmolLM2's choices, and 0.2 % of those with a lead of more than that.

Limit
    Error of 0.02 nats and agreement of 97 %: the reference pipeline's bar, at decided places.
    Measured with SmolLM2: exact arithmetic 0.0038 and 99.8 % (97.1 % everywhere); block scales
    off by 0.3 % 0.011 and 98.9 %, by 0.6 % 0.026 and 97.1 %, by 1 % 0.058 and 92.7 %.

Details
    ``share decided`` and ``agreement everywhere``: of all places. In the confirmation the first
    four questions are also answered freely: ``same answers`` is the share of them that are the same
    to the last token.

Cost
    What the original answers is kept in the user's cache, under a digest of the questions and of
    the first probabilities of all answers: the same model is not asked twice. Only the calibration
    asks always: what passes through a model then decides bytes, and they may not depend on what was
    asked before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from toolchain.errors import InputError
from toolchain.execution.cache import ActionCache, action_key
from toolchain.formats import model_metadata
from toolchain.formats.onnx_runner import Array, Runner
from toolchain.resources import cache_folder
from toolchain.tables import table
from toolchain.tasks.base import Limit, Score, Split, Task
from toolchain.tasks.questions import texts
from toolchain.tasks.questions.choices import Choices, Logits, leads
from toolchain.tasks.questions.limits import Asked, allowed
from toolchain.tasks.questions.outputs import array, arrays
from toolchain.voice import bpe, llama
from toolchain.voice.engine import located

_DEFAULT = Limit(error=0.02, agreement=0.97)
_LONGEST = 32  # tokens of an answer: two sentences; what follows repeats itself more often
_FREE = 4  # questions answered freely in the confirmation: 4 * 32 steps are some 2 s
_DRAWN = {Split.CALIBRATION: 4, Split.SEARCH: 4, Split.CONFIRMATION: 22}  # made-up texts
_RANDOM_TOKENS = 4
_LOGITS, _PAST, _PRESENT = "logits", "past.", "present."


@table
class Options:
    """``tokenizer`` is the file with the vocabulary: the model itself, or the GGUF it came from."""

    tokenizer: str | None = None
    margin: float = 0.3  # nats
    limit: Asked | float | None = None


@table
class Questions(texts.Texts):
    """``rules/questions/llm.toml``."""

    system: str


@dataclass(frozen=True)
class Vocabulary:
    """Prompts as token numbers, for each split; ``end`` is the token that ends an answer."""

    prompts: Mapping[Split, Sequence[Sequence[int]]]
    end: int


@dataclass(frozen=True, eq=False)
class Answer:
    """What was asked, what the original answered, and its logits at each place of the answer."""

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    logits: Logits  # (tokens + 1, vocabulary), or one less where the answer was cut


@dataclass(frozen=True)
class Llm:
    """Asks a model with the inputs and outputs that ``formats/llama_interface.py`` lists."""

    options: Options
    vocabulary: Vocabulary | None
    kept: ActionCache

    unit = "nats"

    @property
    def limit(self) -> Limit:
        """The default or what was asked for."""
        return allowed(self.options.limit, _DEFAULT)

    def instrumented(self, model: bytes) -> bytes:
        """Return ``model`` itself: its probabilities are an output."""
        return model

    def reference(self, runner: Runner, split: Split) -> object:
        """Return the original's answers in ``split``."""
        _expect_interface(runner)
        if self.vocabulary is None:
            drawn = [_drawn(runner, list(Split).index(split), n) for n in range(_DRAWN[split])]
            return [_along(runner, p, a) for p, a in drawn]
        prompts = self.vocabulary.prompts[split]
        if split is Split.CALIBRATION:
            answers = [self._free(runner, p) for p in prompts]
        else:
            answers = self._answers(runner, prompts, self.vocabulary.end)
        return [_along(runner, p, a) for p, a in zip(prompts, answers, strict=True)]

    def _answers(
        self, runner: Runner, prompts: Sequence[Sequence[int]], end: int
    ) -> list[tuple[int, ...]]:
        """Return the answers, out of the cache where these questions had these first logits."""
        starts = [_advance(runner, p, _nothing(runner)) for p in prompts]
        first = hashlib.sha256(b"".join(logits.tobytes() for logits, _ in starts)).hexdigest()
        key = action_key("answers", prompts, _LONGEST, end, first)
        kept = self.kept.get(key)
        if isinstance(kept, list) and len(kept) == len(prompts):
            return [tuple(map(int, answer)) for answer in kept]
        answers = [_continued(runner, logits, past, end) for logits, past in starts]
        self.kept.put(key, answers)
        return answers

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        """Compare probabilities along the original's answers; some freely in the confirmation."""
        answers: Sequence[Answer] = reference  # type: ignore[assignment]  # of reference()
        compared = Choices.joined(
            Choices.between(a.logits, _along(runner, a.prompt, a.tokens).logits) for a in answers
        )
        decided = np.concatenate([leads(a.logits) for a in answers]) > self.options.margin
        details = {
            "share decided": float(decided.mean()),
            "agreement everywhere": float(compared.same.mean()),
        }
        if split is Split.CONFIRMATION and self.vocabulary is not None:
            details["same answers"] = float(
                np.mean([self._free(runner, a.prompt) == a.tokens for a in answers[:_FREE]])
            )
        return Score(
            error=float(compared.divergence.mean()),
            agreement=float(compared.same[decided].mean()) if decided.any() else 1.0,
            positions=int(decided.sum()),
            details=details,
        )

    def _free(self, runner: Runner, prompt: Sequence[int]) -> tuple[int, ...]:
        end = -1 if self.vocabulary is None else self.vocabulary.end
        return _continued(runner, *_advance(runner, prompt, _nothing(runner)), end)


def _along(runner: Runner, prompt: Sequence[int], answer: Sequence[int]) -> Answer:
    """Return the logits at each place of ``answer`` and, if it is not cut, after it."""
    whole = [*prompt, *answer] if len(answer) < _LONGEST else [*prompt, *answer[:-1]]
    feeds = {
        "input_ids": np.array([whole], np.int64),
        "logits_from": np.array([len(prompt) - 1], np.int64),
        **_nothing(runner),
    }
    logits = np.asarray(array(runner.run(feeds), _LOGITS)[0], np.float32)
    return Answer(tuple(prompt), tuple(answer), logits)


def _continued(runner: Runner, logits: Array, past: dict[str, Array], end: int) -> tuple[int, ...]:
    """Return the likeliest answer, token by token."""
    answer: list[int] = []
    while len(answer) < _LONGEST:
        token = int(np.asarray(logits).argmax())
        if token == end:
            break
        answer.append(token)
        if len(answer) < _LONGEST:
            logits, past = _advance(runner, [token], past)
    return tuple(answer)


def _drawn(runner: Runner, split: int, number: int) -> tuple[list[int], list[int]]:
    """Return a made-up text: tokens at random, then as the model would go on, seeded."""
    generator = np.random.default_rng((split, number))
    prompt, past = [0], _nothing(runner)
    logits, _ = _advance(runner, prompt, past)
    prompt = generator.integers(0, logits.size, _RANDOM_TOKENS).tolist()
    logits, past = _advance(runner, prompt, past)
    answer: list[int] = []
    while len(answer) < _LONGEST:
        weights = np.exp(logits.astype(np.float64) - float(logits.max()))
        answer.append(int(generator.choice(logits.size, p=weights / weights.sum())))
        logits, past = _advance(runner, answer[-1:], past)
    return prompt, answer


def _advance(
    runner: Runner, tokens: Sequence[int], past: Mapping[str, Array]
) -> tuple[Logits, dict[str, Array]]:
    """Return the logits after ``tokens``, (vocabulary,), and the past with them."""
    outputs = arrays(runner.run({"input_ids": np.array([tokens], np.int64), **past}))
    logits = np.asarray(outputs.pop(_LOGITS)[0, -1], np.float32)
    return logits, {name.replace(_PRESENT, _PAST): value for name, value in outputs.items()}


def _nothing(runner: Runner) -> dict[str, Array]:
    return {
        port.name: np.zeros((1, int(port.shape[1] or 0), 0, int(port.shape[3] or 0)), np.float32)
        for port in runner.inputs
        if port.name.startswith(_PAST)
    }


def _expect_interface(runner: Runner) -> None:
    names = {port.name for port in runner.inputs}
    if not {"input_ids", "past.0.key", "past.0.value"} <= names or _LOGITS not in runner.outputs:
        raise InputError(
            f"a language model takes input_ids and past.L.key, not {', '.join(sorted(names))[:80]}",
            hint="import it from GGUF with the pass import-gguf",
        )


def _vocabulary(name: str, files: Mapping[str, Path]) -> Vocabulary:
    found = bpe.from_metadata(model_metadata.read(located(files, name), name))
    asked = texts.read("llm", Questions)
    before = llama.message(found, "system", asked.system)
    prompts = {
        split: [
            [*before, *llama.message(found, "user", q), *llama.opening(found, "assistant")]
            for q in getattr(asked, split)
        ]
        for split in Split
    }
    return Vocabulary(prompts, found.control_id(llama.END))


def task(options: Options, files: Mapping[str, Path]) -> Task:
    """Read the vocabulary.

    Errors:
        ConfigError: a file that is not there.
        InputError: one without a vocabulary we can read.
    """
    name = options.tokenizer
    vocabulary = None if name is None else _vocabulary(name, files)
    return Llm(options, vocabulary, ActionCache(cache_folder() / "answers"))
