"""Search the fewest downloaded bytes of a model within a limit on its own task's error.

What it does
    Chooses for every weight a step (or a number of levels) and rounds it to integer codes, so that
    the entropy-coded bytes of the whole model are least while the model's task stays within its
    limit: probabilities and decisions of a voice detector, tokens of a recognizer or language
    model, spectra of a voice. Weights of models that are int8 already are coded anew; a language
    model on 4-bit blocks keeps its blocks. The model leaves as a package (``.vtm``): what travels.
    ``vtool materialize`` makes from it the ONNX that runs, with the same inputs and outputs.

Why
    Download, not disk, is what a first visit waits for, and entropy coding pays by the information
    in a weight, not by its type. Which weights may be coarse only the task can tell: the same int8
    that a transformer does not notice makes a voice detector useless.

Options
    ``task``: the family and its options, as docs/models.md lists them; ``limit`` in it is what may
    be lost. ``seconds``: how long a search of a model may take on one ordinary core; it decides how
    many settings are tried, by the size of the model and not by a clock, so that the result is the
    same everywhere; a model on 4-bit blocks has so few settings that all are tried, whatever it
    says. ``formats``: formats in which the result may run beside "folded" (every tensor in its own
    type), the fastest first. The search leaves room in the limit for the first one that computes a
    third of the weights and takes at most 0.6 of the limit alone; any other is named in the package
    if it happens to hold the limit too, on the search data as on those that confirm it.

Keeps
    Names, types and meaning of all inputs and outputs, the metadata, the graph. A model for which
    nothing smaller holds the limit stays as it is.

Proof
    ``task-quality``: original and materialized package answer the confirmation questions, and the
    limit holds. They are none of those that the search optimizes on; all they decide before is one
    number, how far the steps of all weights shrink together until they hold.

Source
    Shoham and Gersho, Efficient bit allocation for an arbitrary set of quantizers, 1988 (Lagrangian
    allocation); Frantar et al., GPTQ, 2023 (rounding with error feedback); Sullivan, Efficient
    scalar quantization of exponential and Laplacian random variables, 1996 (entropy-coded uniform
    steps).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from toolchain import plugins
from toolchain.errors import InputError
from toolchain.execution.cache import ActionCache, action_key, source_digest
from toolchain.formats.chunk_coding import Effort
from toolchain.formats.coded_tensor import CodedTensor
from toolchain.formats.execution_format import FOLDED, applied
from toolchain.formats.materializer import materialize
from toolchain.formats.model_package import pack
from toolchain.formats.onnx_blocks import block_matrices
from toolchain.formats.onnx_runner import open_runner
from toolchain.ir import (
    ArtifactId,
    Kind,
    ModelSearch,
    OperatingPoint,
    TensorChoice,
)
from toolchain.passes.base import GuardedPass, Rewritten
from toolchain.progress import here
from toolchain.quantization import blocks
from toolchain.quantization.front import Found
from toolchain.quantization.room import worth_room
from toolchain.quantization.search import Plan, search
from toolchain.resources import cache_folder
from toolchain.sources.tree import read
from toolchain.tasks.base import Split, Task, make_task
from toolchain.units import Bytes


@dataclass(frozen=True)
class Quantize(GuardedPass):
    """Pack a model in as few bytes as its ``task`` allows."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.ONNX})
    produces: ClassVar[Kind | None] = Kind.PACKAGE
    proof: ClassVar[str] = "task-quality"

    seconds: int = 180
    formats: tuple[str, ...] = ()

    def rewrite_for(self, data: bytes, files: Mapping[str, Path]) -> Rewritten:
        """Return the package of ``data``, with what was tried; ``data`` where nothing holds."""
        task = make_task(self.task, files)
        open_runner(data)  # what is wrong with it is better said by the runtime than found later
        of_blocks = bool(block_matrices(data))
        plan = Plan(seconds=self.seconds)
        if self.formats and not of_blocks:  # blocks run as blocks already
            plan = replace(plan, format=worth_room(data, task, self.formats))
        found = (blocks.search if of_blocks else search)(
            data,
            task,
            plan,
            progress=here(),
            cache=ActionCache(
                cache_folder() / "actions"
            ),  # a search that was stopped goes on there
            identity=self._identity(files),
        )
        if not found.coded or found.score is None:
            return Rewritten(data, note=found.note)
        formats = self._formats(data, found.coded, task)
        package = pack(data, found.coded, formats=formats, progress=here())
        return Rewritten(package, _shown(found, task, str(self.task["family"]), len(package)))

    def _identity(self, files: Mapping[str, Path]) -> str:
        """Return what tells this task on these files from all others."""
        code = source_digest(plugins.find("tasks", str(self.task["family"])).__name__)
        digests = {name: read(path).digest for name, path in files.items()}
        return action_key("task", code, dict(self.task), digests)

    def rename(self, name: ArtifactId) -> ArtifactId:
        """Return the name with ``.vtm`` in place of ``.onnx``."""
        return ArtifactId(name.removesuffix(".onnx") + ".vtm")

    def _formats(
        self, before: bytes, coded: Mapping[int, CodedTensor], task: Task
    ) -> tuple[str, ...]:
        """Return the formats that keep the limit on the search data, and on the confirmation's.

        The first choose; the second only refuse what would break the limit where it runs.
        """
        if not self.formats:
            return (FOLDED,)
        model = materialize(pack(before, coded, effort=Effort.FAST))  # the same numbers, sooner
        changed = {name: applied(model, name) for name in self.formats}
        changed = {name: made for name, made in changed.items() if made != model}
        for split in (Split.SEARCH, Split.CONFIRMATION):
            changed = self._holding(before, changed, task, split) if changed else {}
        return (FOLDED, *changed)

    @staticmethod
    def _holding(
        before: bytes, changed: Mapping[str, bytes], task: Task, split: Split
    ) -> dict[str, bytes]:
        """Return those of ``changed``, models by their format, that keep the limit on ``split``."""
        reference = task.reference(open_runner(task.instrumented(before)), split)
        held: dict[str, bytes] = {}
        for number, (name, made) in enumerate(changed.items()):
            here().update(f"asking the model as {name}", number, len(changed))
            with contextlib.suppress(InputError):  # the runtime cannot run it so
                score = task.score(open_runner(task.instrumented(made)), reference, split)
                if not task.limit.problem(score):
                    held[name] = made
        return held


def _shown(found: Found, task: Task, family: str, size: int) -> ModelSearch:
    """Return what the report shows; the points' sizes are those of the search, by entropy."""
    assert found.score is not None  # noqa: S101 - for the type checker; the caller checked it
    points = [OperatingPoint(Bytes(p.bytes), p.error, p.agreement) for p in found.front]
    taken = OperatingPoint(Bytes(size), found.score.error, found.score.agreement, chosen=True)
    return ModelSearch(
        artifact="",  # the pipeline knows it
        family=family,
        unit=task.unit,
        error=found.score.error,
        agreement=found.score.agreement,
        positions=found.score.positions,
        error_limit=task.limit.error,
        agreement_limit=task.limit.agreement,
        before=Bytes(0),  # what the original is as a download, the build knows
        after=Bytes(size),
        evaluations=found.evaluations,
        points=(*points, taken),
        tensors=tuple(
            TensorChoice(r.name, r.representation, Bytes(r.before), Bytes(r.after))
            for r in found.rows
        ),
    )
