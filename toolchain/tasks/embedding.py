"""Sentences to vectors: how far the vectors turn, and whether they keep their neighbours.

What is asked
    The sentences in ``rules/questions/embedding.toml``, each as a whole, its first and its second
    half, in the vocabulary of ``tokenizer`` (a tokenizer.json with WordPiece). Without it, made-up
    texts: numbers below ``vocabulary``, seeded; every third text shares most of its tokens with the
    one before. No sentence is in two splits.

Metric
    Error: 1 - mean cosine between the two vectors of a text; infinite if a number in one of them is
    not finite. Agreement: share of texts whose nearest other text of the split is the same; each
    model searches among its own vectors.

Limit
    Error of 0.006 and agreement of 95 %. Measured with MiniLM-L6 and weights rounded per channel,
    confirmation: 127 levels 0.0005 and 99 %, 31 levels 0.006 and 100 %, 15 levels 0.023 and 98 %,
    7 levels 0.092 and 97 %; onnxruntime's dynamic int8 with its defaults 0.036 and 97 %. Neighbours
    alone hardly tell these apart. Of made-up texts the error alone is limited: which of them is
    nearest is mostly chance (blocks of 8 bits, an error of 0.0005, change 5 %).

Interface
    Integer inputs: one whose name has "mask" is all ones, one with "type" all zeros, the other
    takes the tokens. ``output`` is the first output unless named. Of a vector for each token the
    mean is taken (``pooling = "mean"``) or the first one ("first"); a model that gives one vector a
    text is not pooled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toolchain.errors import ConfigError, InputError
from toolchain.formats.onnx_probes import port_type
from toolchain.formats.onnx_runner import Array, Runner
from toolchain.tables import table
from toolchain.tasks.base import Limit, Score, Split, Task
from toolchain.tasks.questions import texts, wordpiece
from toolchain.tasks.questions.limits import Asked, allowed
from toolchain.tasks.questions.outputs import array
from toolchain.voice.engine import located

_DEFAULT = Limit(error=0.006, agreement=0.95)
_MADE_UP_DEFAULT = Limit(error=_DEFAULT.error)
_MADE_UP = {Split.CALIBRATION: 12, Split.SEARCH: 48, Split.CONFIRMATION: 96}
_LENGTHS = (6, 24)  # tokens of a made-up text: a sentence
_BATCH_OF_TOKENS = 2  # (1, tokens)
_EACH_TOKEN = 3  # (1, tokens, size)

Vectors = NDArray[np.float64]  # (texts, size), of length 1; NaN where a vector is not finite


@table
class Options:
    """``tokenizer`` is the file name of a tokenizer.json."""

    tokenizer: str | None = None
    vocabulary: int = 1000
    output: str | None = None
    pooling: Literal["mean", "first"] = "mean"
    limit: Asked | float | None = None


@dataclass(frozen=True, eq=False)
class Placed:
    """Texts as token numbers, (1, n) each, and the original's vectors of them."""

    asked: Sequence[NDArray[np.int64]]
    vectors: Vectors


@dataclass(frozen=True)
class Embedding:
    """Asks a model for one vector a text."""

    options: Options
    words: wordpiece.WordPiece | None

    unit = "1 - cosine"

    @property
    def limit(self) -> Limit:
        """The default or what was asked for."""
        return allowed(self.options.limit, _DEFAULT if self.words else _MADE_UP_DEFAULT)

    def instrumented(self, model: bytes) -> bytes:
        """Return ``model`` itself: its vectors are an output."""
        return model

    def reference(self, runner: Runner, split: Split) -> object:
        """Return the texts of ``split`` and the original's vectors."""
        asked = list(self._texts(split))
        vectors = self._vectors(runner, asked)
        if not np.isfinite(vectors).all():
            raise InputError(
                "a vector of the original is not finite", hint="try the model by itself"
            )
        return Placed(asked, vectors)

    def _texts(self, split: Split) -> Iterator[NDArray[np.int64]]:
        if self.words is None:
            yield from _made_up(split, self.options.vocabulary)
            return
        for sentence in getattr(texts.read("embedding", texts.Texts), split):
            parts = sentence.split()
            half = len(parts) // 2
            for part in (parts, parts[:half], parts[half:]):
                yield np.array([self.words.encode(" ".join(part))], np.int64)

    def score(self, runner: Runner, reference: object, split: Split) -> Score:
        """Compare directions and neighbours."""
        del split  # the texts are in the reference
        placed: Placed = reference  # type: ignore[assignment]  # what reference() returned
        vectors = self._vectors(runner, placed.asked)
        finite = np.isfinite(vectors).all(-1)
        cosines = np.where(finite, (vectors * placed.vectors).sum(-1), -np.inf)
        same = finite & (_nearest(np.nan_to_num(vectors)) == _nearest(placed.vectors))
        return Score(
            error=max(0.0, float(1 - cosines.mean())),
            agreement=float(same.mean()),
            positions=len(same),
            details={"worst text": max(0.0, float(1 - cosines.min()))},
        )

    def _vectors(self, runner: Runner, asked: Sequence[NDArray[np.int64]]) -> Vectors:
        return np.stack([self._vector(runner, ids) for ids in asked])

    def _vector(self, runner: Runner, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        outputs = runner.run(_feeds(runner, ids))
        name = self.options.output or runner.outputs[0]
        if name not in outputs:
            raise InputError(
                f"the model has no output {name!r}", hint=f"outputs: {', '.join(runner.outputs)}"
            )
        found = np.asarray(array(outputs, name), np.float64)
        if found.ndim == _EACH_TOKEN:
            found = found.mean(axis=1) if self.options.pooling == "mean" else found[:, 0]
        vector: NDArray[np.float64] = found.reshape(-1)
        if not np.isfinite(vector).all():
            return np.full_like(vector, np.nan)
        length = float(np.linalg.norm(vector))
        return vector / length if length else vector


def _nearest(vectors: Vectors) -> NDArray[np.intp]:
    """Return the nearest other text of each."""
    near = vectors @ vectors.T
    np.fill_diagonal(near, -np.inf)
    found: NDArray[np.intp] = near.argmax(-1)
    return found


def _feeds(runner: Runner, ids: NDArray[np.int64]) -> dict[str, Array]:
    feeds: dict[str, Array] = {}
    for port in runner.inputs:
        kind = port_type(runner, port.name) or np.int64
        if "mask" in port.name:
            feeds[port.name] = np.ones(ids.shape, kind)
        elif "type" in port.name:
            feeds[port.name] = np.zeros(ids.shape, kind)
        elif issubclass(kind, np.integer) and len(port.shape) == _BATCH_OF_TOKENS:
            feeds[port.name] = ids.astype(kind)
        else:
            raise InputError(
                f"what does the input {port.name!r} take?",
                hint="a text model takes token numbers (1, n), a mask and types",
            )
    return feeds


def _made_up(split: Split, vocabulary: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(list(Split).index(split))
    ids = np.zeros(0, np.int64)
    for number in range(_MADE_UP[split]):
        if number % 3 == 2:  # noqa: PLR2004 - the third of three
            ids = ids.copy()
            ids[:: len(_LENGTHS)][:2] = generator.integers(0, vocabulary, 2)
        else:
            ids = generator.integers(0, vocabulary, generator.integers(*_LENGTHS))
        yield ids[None]


def task(options: Options, files: Mapping[str, Path]) -> Task:
    """Read the vocabulary.

    Errors:
        ConfigError: a file that is not there, or a vocabulary of less than two tokens.
        InputError: another kind of tokenizer.
    """
    if options.vocabulary < 2:  # noqa: PLR2004 - one token says nothing
        raise ConfigError(
            f"a vocabulary of {options.vocabulary} tokens", hint="vocabulary is 2 or more"
        )
    name = options.tokenizer
    words = None if name is None else wordpiece.read(located(files, name), name)
    return Embedding(options, words)
