"""A model whose weights are given anew for every question, and what its task says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from toolchain.errors import InputError
from toolchain.execution.cache import ActionCache, action_key
from toolchain.formats.coded_tensor import CodedTensor, decoded
from toolchain.formats.execution_format import FOLDED, applied
from toolchain.formats.onnx_runner import Array, Port, Runner, Watched, open_runner
from toolchain.formats.onnx_weights import Weight, with_inputs, with_values
from toolchain.ir import Digest, digest_of
from toolchain.quantization.cost import Tally
from toolchain.quantization.room import share
from toolchain.tables import check
from toolchain.tasks.base import Score, Split, Task

_SAME_SHARE = 0.02
"""Weights as inputs make onnxruntime choose other kernels; what that changes may be this share of
the limit at most. Ours: a fiftieth of the error to be measured."""


@dataclass(frozen=True)
class Reweighted:
    """A runner that adds the weights to what it is fed."""

    runner: Runner
    values: Mapping[str, Array]

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What a caller feeds."""
        return tuple(port for port in self.runner.inputs if port.name not in self.values)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what comes back, in order."""
        return self.runner.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return all outputs by name."""
        return self.runner.run({**feeds, **self.values})


@dataclass
class Guard:
    """Asks the task about candidates; remembers what it said.

    ``session`` has the weights as inputs; where that is not possible, or changes the numbers, each
    candidate gets a session of its own.
    """

    model: bytes
    task: Task
    weights: Mapping[int, Weight]
    references: dict[Split, object]
    session: Runner | None
    inputs: Mapping[int, str]
    cache: ActionCache | None = None
    identity: str = ""
    format: str = FOLDED  # in which the result has to hold
    _known: dict[tuple[Digest, Split], Score] = field(default_factory=dict)
    _finals: int = 0

    @property
    def evaluations(self) -> int:
        """Different questions so far, whether a cache knew the answer or not: as in every run."""
        return len(self._known) + self._finals

    def score(self, coded: Mapping[int, CodedTensor], split: Split) -> Score:
        """Return how far the model with these tensors is from the original."""
        key = (digest_of_codes(coded), split)
        if key in self._known:
            return self._known[key]
        entry = action_key("quantization-score", self.identity, digest_of(self.model), *key)
        stored = self.cache.get(entry) if self.cache is not None and self.identity else None
        if stored is None:
            found = self.task.score(self._runner(coded), self.references[split], split)
            if self.cache is not None and self.identity:
                self.cache.put(entry, found)
        else:
            found = check(stored, Score, where="a cached score")
        self._known[key] = found
        return found

    def final(self, coded: Mapping[int, CodedTensor], split: Split) -> Score:
        """Like ``score``, of the model as it will run: opened as any other.

        That is in its format, and folded, as every package may be run: the worse of the two.
        """
        if split not in self.references:
            self.references[split] = self.task.reference(open_runner(self.model), split)
        folded = with_values(self.model, {i: decoded(c) for i, c in coded.items()})
        runs = applied(folded, self.format)
        models = [runs] if runs == folded else [runs, folded]
        scores = [self.task.score(open_runner(m), self.references[split], split) for m in models]
        self._finals += len(scores)
        return max(scores, key=lambda score: share(score, self.task.limit))

    def _runner(self, coded: Mapping[int, CodedTensor]) -> Runner:
        if self.session is None:
            return open_runner(with_values(self.model, {i: decoded(c) for i, c in coded.items()}))
        values = {
            name: decoded(coded[i]) if i in coded else self.weights[i].values
            for i, name in self.inputs.items()
        }
        return Reweighted(self.session, values)


def guard(model: bytes, task: Task, weights: Mapping[int, Weight]) -> tuple[Guard, Tally]:
    """Ask the original, and open a session with the weights as inputs if that changes nothing.

    Also return what scoring it once took.

    Errors:
        InputError: the model cannot be asked.
    """
    original = open_runner(model)
    reference = task.reference(original, Split.SEARCH)
    made = Guard(model, task, weights, {Split.SEARCH: reference}, None, {})
    tally = Tally()
    try:
        changed, inputs = with_inputs(model, weights.keys())
        session = open_runner(changed)
        same = task.score(
            Watched(Reweighted(session, {n: weights[i].values for i, n in inputs.items()}), tally),
            reference,
            Split.SEARCH,
        )
        allowed = task.limit.error or np.inf
        if same.error <= _SAME_SHARE * allowed and not task.limit.problem(same):
            made.session, made.inputs = session, inputs
    except InputError:
        tally = Tally()
        task.score(Watched(original, tally), reference, Split.SEARCH)
    return made, tally


def digest_of_codes(coded: Mapping[int, CodedTensor]) -> Digest:
    """Return a digest of all numbers in ``coded``."""
    parts = []
    for index, one in sorted(coded.items()):
        arrays = [one.codes, *one.factors, *(() if one.offset is None else (one.offset,))]
        parts.append(f"{index} {one.dtype} {one.shape}".encode())
        for array in arrays:
            parts.append(f"{array.dtype} {array.shape}".encode())
            parts.append(np.ascontiguousarray(array).tobytes())
    return digest_of(b"\n".join(parts))
