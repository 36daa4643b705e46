"""Pack a model as it travels, with nothing lost.

What it does
    Turns an ONNX model into a package (``.vtm``): its weights as entropy-coded chunks, numbers of
    several bytes in byte planes, equal tensors once. A float32 weight that lies on a grid of few
    levels (it was int8 once) travels as the codes it was. ``vtool materialize`` gives back the
    model, byte for byte.

Why
    Some models tolerate nothing: dynamic int8 multiplies every change of a weight by chance. They
    still need fewer bytes than their file, compressed: Moonshine's encoder takes 5.3 MB instead of
    10.5 MB, because two of its float32 convolutions are int8 in disguise.

Keeps
    Every byte of the model.

Proof
    ``same-materialized``: the materialized package is the model.

Source
    docs/package.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.formats import onnx_model
from toolchain.formats.model_package import pack
from toolchain.formats.onnx_session import session
from toolchain.formats.onnx_weights import weights
from toolchain.ir import LOSSLESS, ArtifactId, Kind, ModelSearch, OperatingPoint
from toolchain.passes.base import ArtifactPass
from toolchain.progress import here
from toolchain.quantization.exact import exact_codes
from toolchain.units import Bytes

_LEAST_ELEMENTS = 4096  # below, codes save less than their factors take


@dataclass(frozen=True)
class PackageModel(ArtifactPass):
    """Write a model as a package from which the same bytes are made."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ONNX})
    produces: ClassVar[Kind | None] = Kind.PACKAGE
    proof: ClassVar[str] = "same-materialized"

    def rewrite(self, data: bytes) -> bytes:
        """Return the package.

        Errors:
            InputError: onnxruntime does not load the model.
        """
        session(data)  # what is wrong with it is better said by the runtime than found on the way
        coded = {}
        for weight in weights(onnx_model.load(data), _LEAST_ELEMENTS):
            codes = exact_codes(weight.values)
            if codes is not None:
                coded[weight.index] = codes
        return pack(data, coded, progress=here())

    def shown(self, after: bytes) -> ModelSearch:
        """Return the one point there is: every bit kept."""
        size = Bytes(len(after))
        return ModelSearch(
            artifact="",  # the pipeline knows it
            family=LOSSLESS,
            unit="",
            error=0.0,
            agreement=1.0,
            positions=0,
            error_limit=None,
            agreement_limit=None,
            before=Bytes(0),  # what the original is as a download, the build knows
            after=size,
            evaluations=0,
            points=(OperatingPoint(size, 0.0, 1.0, chosen=True),),
            tensors=(),
        )

    def rename(self, name: ArtifactId) -> ArtifactId:
        """Return the name with ``.vtm`` in place of ``.onnx``."""
        return ArtifactId(name.removesuffix(".onnx") + ".vtm")
