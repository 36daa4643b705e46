"""One pass over the calibration data: what each weight is multiplied with, and how often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from toolchain.errors import ConfigError, InputError
from toolchain.formats import onnx_model
from toolchain.formats.onnx_exposed import constants, exposed
from toolchain.formats.onnx_runner import Array, Port, Runner, open_runner
from toolchain.formats.onnx_switches import decided, switches
from toolchain.formats.onnx_uses import Source
from toolchain.formats.onnx_weights import Weight, weights
from toolchain.ir import Digest, digest_of
from toolchain.quantization.activations import Collector, Moments
from toolchain.tasks.base import Split, Task

_MOST_VARIANTS = 4  # of a model with branches: a merged decoder has two

Content = Digest
"""Of a weight's type, shape and numbers: deciding a branch renames what was in it."""


_View = tuple[Mapping[Content, tuple[Source, ...]], Mapping[Source, Moments], Mapping[Source, int]]


@dataclass(frozen=True)
class Survey:
    """What was seen."""

    moments: Mapping[Content, Moments]
    products: float  # multiplications with weights
    runs: int
    fed: int  # numbers


@dataclass(frozen=True)
class _Variant:
    """The model with its branches decided, and who looks at its values."""

    collector: Collector
    sources: Mapping[Content, tuple[Source, ...]]


@dataclass
class _Surveyor:
    """A runner that runs each question in the variant of the model that answers it.

    A value inside a branch cannot be an output; once the branch is decided, it can.
    """

    model: bytes
    plain: Runner
    names: tuple[str, ...]
    least: int
    runs: int = 0
    fed: int = 0
    variants: dict[tuple[object, ...], _Variant] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What a caller feeds."""
        return self.plain.inputs

    @property
    def outputs(self) -> tuple[str, ...]:
        """The model's own outputs."""
        return self.plain.outputs

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Return the model's own outputs."""
        self.runs += 1
        self.fed += sum(feed.size for feed in feeds.values())
        bound = {name: feeds[name] for name in self.names if name in feeds}
        if any(value.size != 1 for value in bound.values()):
            bound = {}
        key = tuple(value.item() for value in bound.values())
        if key not in self.variants:
            if len(self.variants) == _MOST_VARIANTS:
                return self.plain.run(feeds)
            self.variants[key] = self._variant(bound)
        return self.variants[key].collector.run(feeds)

    def _variant(self, bound: Mapping[str, Array]) -> _Variant:
        try:
            model = decided(self.model, bound) if bound else self.model
            return _looked_at(model, self.plain.outputs, self.least)
        except (ConfigError, InputError):  # rounding without feedback works for any model
            return _Variant(Collector(self.plain, self.plain.outputs, ()), {})


def surveyed(model: bytes, task: Task, found: Sequence[Weight], least: int) -> Survey:
    """Ask ``task``'s calibration questions and look at what passes through ``model``.

    Errors:
        InputError: the model cannot be asked.
    """
    names = switches(onnx_model.load(model))
    surveyor = _Surveyor(model, open_runner(model), names, least)
    task.reference(surveyor, Split.CALIBRATION)
    views = [
        (v.sources, v.collector.moments(), v.collector.rows()) for v in surveyor.variants.values()
    ]
    moments = {}
    products = 0.0
    for weight in found:
        known_as = content(weight)
        seen = [_seen(view, known_as) for view in views]
        rows = sum(count for _, count in seen)
        products += weight.values.size * (rows or surveyor.runs)
        known = [(m, count) for m, count in seen if m is not None and count]
        if known and all(m.shape == known[0][0].shape for m, _ in known):
            total = sum(count for _, count in known)
            moments[known_as] = np.sum([m * (n / total) for m, n in known], axis=0)
    return Survey(moments, products, surveyor.runs, surveyor.fed)


def content(weight: Weight) -> Content:
    """Return the digest by which a weight is known in all variants of its model."""
    head = f"{weight.dtype} {weight.values.shape}".encode()
    return digest_of(head + np.ascontiguousarray(weight.values).tobytes())


def _seen(view: _View, key: Content) -> tuple[Moments | None, int]:
    """Return a weight's moments in one variant, and the rows that passed it."""
    of_weight, moments, rows = view
    sources = of_weight.get(key, ())
    first = next((moments[s] for s in sources if s in moments), None)
    return first, sum(rows.get(s, 0) for s in sources)


def _looked_at(model: bytes, shown: tuple[str, ...], least: int) -> _Variant:
    of_weight = {
        content(w): tuple(u.source for u in w.uses if u.source is not None)
        for w in weights(onnx_model.load(model), least)
    }
    sources = {s for found in of_weight.values() for s in found}
    values = {n for s in sources for n in (s.value, s.zero_point, s.initial) if n}
    runner = open_runner(exposed(model, values))
    ordered = sorted(sources, key=repr)
    return _Variant(Collector(runner, shown, ordered, constants(model, values)), of_weight)
