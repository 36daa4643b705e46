"""Bind an input of an ONNX model to one value and drop everything that then cannot happen.

What it does
    Makes the graph input ``input`` the constant ``value``, computes what follows from it, takes
    the branch of each If whose condition is then known, and drops nodes, weights and inputs that
    no output needs any more. Equal weights are kept once. A model without such an input stays as
    it is.

Why
    Models are published for every case. Silero VAD holds two networks, for 8 kHz and for 16 kHz,
    and chooses by its input ``sr``; an application that listens at 16 kHz ships, loads and keeps
    in memory a network it never runs.

Options
    ``input`` and ``value``: the name of the input and the number it always has.
    ``shapes``: sizes of other inputs that never change, such as ``{input = [1, 576]}``; branches
    that depend on them are decided too, and the model then accepts these sizes only.

Keeps
    The names, types and meaning of all outputs and of the other inputs that are still read, and
    every number: nothing is rounded, nothing is fused.

Proof
    ``same-numbers``: both models give the same outputs, run over sequences with their state.

Source
    ONNX specification, "Names Within a Graph" and "Overview of control flow operators".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from toolchain.formats.onnx_rewrite import rewritten
from toolchain.formats.onnx_specialize import has_input, with_input_bound
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass


@dataclass(frozen=True)
class BindInput(ArtifactPass):
    """Bind the input ``input`` to ``value``, and sizes of inputs to ``shapes``."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ONNX})
    proof: ClassVar[str] = "same-numbers"

    input: str
    value: bool | int | float
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def rewrite(self, data: bytes) -> bytes:
        """Return the smaller model; ``data`` itself if it has no such input.

        Errors:
            InputError: no ONNX model, weights in another file, or onnxruntime cannot load it.
            ConfigError: ``value`` or ``shapes`` do not fit the input.
            PassError: the result breaks the rules of ONNX although ``data`` does not.
        """
        return rewritten(
            data,
            lambda model: with_input_bound(model, self.input, self.value, self.shapes),
            applies=lambda model: has_input(model, self.input),
        )
