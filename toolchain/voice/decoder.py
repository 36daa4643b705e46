"""Decoders with or without a memory of what came before: what to feed them, as their inputs say."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from toolchain.errors import InputError
from toolchain.voice.interface import misfit, number_type
from toolchain.voice.running import run_with_values

_ONE = frozenset({"logits_to_keep", "num_logits_to_keep"})
"""Inputs of Hugging Face's exports that say for how many positions logits are wanted: the last."""

_SUPPLIED = frozenset(
    {"input_ids", "attention_mask", "position_ids", "cache_position", "use_cache_branch"} | _ONE
)
_PASTS = ("past_key_values", "past")
_PRESENTS = ("present", "present_key_values")
_AXES = 4  # of keys or values: batch, heads, tokens, size; one more where they are in one tensor
_PADDING = 1024
"""Rows beyond the vocabulary that a model may have, for speed: Phi-1.5 has 905 (51,200 for 50,295
tokens), Qwen2.5 271. More than that is another model's vocabulary. Ours."""

Values = Mapping[str, ort.OrtValue]  # by input
Logits = NDArray[np.floating]
_NONE: Values = MappingProxyType({})


@dataclass(frozen=True)
class Past:
    """What a decoder knows: the tokens so far, and its keys and values by the input they go to."""

    tokens: tuple[int, ...] = ()
    values: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Graph:
    """One model of a decoder, and what its inputs are for."""

    session: ort.InferenceSession
    supplied: Mapping[str, tuple[type[np.generic], int]]  # inputs: type and number of axes
    fixed: Collection[str]  # inputs that are the same in every step
    pasts: Mapping[str, str]  # by output: the input that takes it in the next step
    empty: Values  # inputs that take a past, before there is one
    logits: str

    def run(
        self, tokens: Sequence[int], before: int, values: Values, fixed: Values
    ) -> tuple[Logits, dict[str, ort.OrtValue]]:
        """Return the logits after ``tokens``, (vocabulary,), and the keys and values by input.

        Keys and values stay onnxruntime's own, so that no step copies the whole past. Branches
        with a cache leave the encoder's entries empty: those of the first step are kept.
        """
        given = feeds(self._supply(tokens, before)) | {n: fixed[n] for n in self.fixed}
        given |= {name: values.get(name, empty) for name, empty in self.empty.items()}
        names = [self.logits, *self.pasts]
        logits, *presents = run_with_values(self.session, names, given)
        new = dict(zip(self.pasts.values(), presents, strict=True))
        every = logits.numpy()
        return every.reshape(-1, every.shape[-1])[-1], {
            name: value for name, value in new.items() if not before or ".encoder." not in name
        }

    def _supply(self, tokens: Sequence[int], before: int) -> dict[str, NDArray[np.generic]]:
        after = before + len(tokens)
        known = {
            "input_ids": np.array([tokens]),
            "attention_mask": np.ones((1, after)),
            "position_ids": np.arange(before, after)[None],
            "cache_position": np.arange(before, after),
            "use_cache_branch": np.array([before > 0]),
        }
        return {
            name: known[name].astype(kind) if name in known else np.ones([1] * axes, kind)
            for name, (kind, axes) in self.supplied.items()
        }


@dataclass(frozen=True)
class Decoder:
    """``first`` makes the first step, ``later`` all that follow; mostly they are the same."""

    first: Graph
    later: Graph

    def advance(
        self, tokens: Sequence[int], past: Past, fixed: Values = _NONE
    ) -> tuple[Logits, Past]:
        """Return the logits after ``tokens``, (vocabulary,), and the past that knows them too.

        ``fixed`` is fed in every step: an encoder's states. Without inputs for a past the whole
        sequence is computed in every step.
        """
        known = (*past.tokens, *tokens)
        if not self.later.empty:
            logits, _ = self.first.run(known, 0, _NONE, fixed)
            return logits, Past(known)
        graph = self.later if past.tokens else self.first
        logits, new = graph.run(tokens, len(past.tokens), past.values, fixed)
        return logits, Past(known, {**past.values, **new})

    @property
    def vocabulary(self) -> int | None:
        """How many tokens it chooses from, if the model says so."""
        outputs = self.first.session.get_outputs()
        size = next(o.shape[-1] for o in outputs if o.name == self.first.logits)
        return size if isinstance(size, int) else None

    def expect_vocabulary(self, model: str, tokenizer: str, size: int) -> None:
        """Refuse a tokenizer of ``size`` tokens that cannot be the model's.

        Errors:
            InputError: it has more tokens than the model chooses from, or far fewer.
        """
        words = self.vocabulary
        if words is not None and not size <= words <= size + _PADDING:
            raise InputError(
                f"{tokenizer} has {size} tokens, {model} chooses from {words}",
                hint="take the tokenizer that was published with the model",
            )


def feeds(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, ort.OrtValue]:
    """Return arrays as onnxruntime's own, copied once."""
    return {name: ort.OrtValue.ortvalue_from_numpy(array) for name, array in arrays.items()}


def _empty(name: str, shape: Sequence[int | str | None]) -> tuple[int, ...]:
    """Return the shape of keys or values before the first token: the open size is 0, a batch 1.

    Errors:
        InputError: no size is open, or it cannot be told which of them counts tokens.
    """
    batch = len(shape) - _AXES
    found = [
        size if isinstance(size, int) else int(axis == batch) for axis, size in enumerate(shape)
    ]
    encoder = ".encoder." in name  # as long as what is heard, which may be a fixed size
    if batch not in {0, 1} or (found.count(0) != 1 and not encoder):
        raise InputError(
            f"the input {name} has the shape {list(shape)}: where is its past?",
            hint="a past is (batch, heads, tokens, size) with an open number of tokens",
        )
    return tuple(found)


def decoder(
    session: ort.InferenceSession,
    name: str,
    kind: str,
    *,
    later: ort.InferenceSession | None = None,
    fixed: Collection[str] = (),
) -> Decoder:
    """Return the decoder that one or two open models are; ``fixed`` may be fed in every step.

    Errors:
        InputError: an input that is not known, or no logits come out.
    """
    following = later or session
    pasts = [i.name for i in following.get_inputs() if i.name.startswith(_PASTS)]
    graphs = [_graph(one, (name, kind), pasts, fixed) for one in (session, following)]
    return Decoder(*graphs)


def _graph(
    session: ort.InferenceSession,
    model: tuple[str, str],
    pasts: Sequence[str],
    fixed: Collection[str],
) -> Graph:
    name, kind = model
    inputs = {i.name: i for i in session.get_inputs()}
    outputs = [o.name for o in session.get_outputs()]
    taken = _taken(pasts, outputs)
    logits = [o for o in outputs if o == "logits"] or [o for o in outputs if o not in taken][:1]
    strange = [n for n in inputs if n not in {*_SUPPLIED, *fixed, *pasts}]
    if strange or "input_ids" not in inputs or not logits:
        raise misfit(session, name, kind, _why(strange, outputs))
    if lost := [n for n in pasts if n not in taken.values() and ".encoder." not in n]:
        raise misfit(session, name, kind, f"no output continues {lost[0]}")
    return Graph(
        session,
        {n: (number_type(i, name), len(i.shape)) for n, i in inputs.items() if n in _SUPPLIED},
        [n for n in fixed if n in inputs],
        taken,
        {n: _nothing(inputs[n], name) for n in pasts if n in inputs},
        logits[0],
    )


def _why(strange: Sequence[str], outputs: Sequence[str]) -> str:
    if strange:
        return f"what does {strange[0]} take?"
    return f"its outputs are {', '.join(outputs[:4])}"


def _taken(pasts: Sequence[str], outputs: Sequence[str]) -> dict[str, str]:
    """Return the inputs that outputs continue, by output."""
    found = {}
    for name in pasts:
        rest = next(name.removeprefix(p) for p in _PASTS if name.startswith(p))
        for output in (f"{p}{rest}" for p in _PRESENTS):
            if output in outputs:
                found[output] = name
    return found


def _nothing(port: ort.NodeArg, name: str) -> ort.OrtValue:
    empty = np.zeros(_empty(port.name, port.shape), number_type(port, name))
    return ort.OrtValue.ortvalue_from_numpy(empty)
