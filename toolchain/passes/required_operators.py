"""List the operators that the models need, for a runtime that holds no others.

What it does
    Adds a file that onnxruntime's build reads (``--include_ops_by_config``): one line for each
    domain and opset, ``ai.onnx;17;Add,Conv``. It lists the operators of all ONNX and ORT models,
    also in branches and functions, and those that onnxruntime's optimizer puts in their place. With
    ``runtime``, the configuration that a target's runtime was built with, it also lists in comments
    what that runtime lacks, and which model needs it; with ``targets`` the same for the runtimes of
    these targets, from the lists in ``rules/targets`` (``python benchmarks/operators.py`` makes
    them).

Why
    onnxruntime has 1,500 kernels and a voice application uses 60; its WebAssembly is 14 MB. An
    operator that a reduced runtime lacks shows only when the model is opened there.

Options
    ``models``: globs of the models' ids. ``file``: where the list goes, a path in the result.
    ``runtime``: the id of another configuration in the project; nothing is compared without it.
    ``targets``: names of vtool's targets, ``["native-cpu", "web-wasm"]``; none without it.

Keeps
    Everything else. A model that cannot be read is named in a comment. So is one that the installed
    onnxruntime cannot load: of that, the operators in the file are listed, and not what the
    optimizer would put in their place.

Proof
    ``lists-operators``: every operator that a model's bytes name is on the list.

Source
    onnxruntime, ``docs/Reduced_Operator_Kernel_build.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from toolchain.errors import ConfigError
from toolchain.execution.local import LocalPool
from toolchain.formats.onnx_operators import Operator, lacked, lacking, read, required, written
from toolchain.formats.part_names import printable
from toolchain.ir import Artifact, ArtifactId, Graph, Kind, Store
from toolchain.passes.base import GraphPass
from toolchain.quantization import targets
from toolchain.units import Bytes

_SECONDS = 120.0  # ours: opening a model of 100 MB takes a second
_HEAD = "# Operators that the models need; for onnxruntime's --include_ops_by_config.\n"

_Needed = dict[ArtifactId, frozenset[Operator]]


@dataclass(frozen=True)
class RequiredOperators(GraphPass):
    """Write ``file`` for ``models``; say what ``runtime`` and ``targets`` lack."""

    proof = "lists-operators"

    models: tuple[str, ...] = ("*",)
    file: str = "required_operators.config"
    runtime: str = ""
    targets: tuple[str, ...] = ()

    def apply(self, graph: Graph, store: Store) -> Graph:
        """Return ``graph`` with the list added; ``graph`` itself if there are no models.

        Errors:
            ConfigError: ``runtime`` is no file of the project, ``file`` is one already, or there is
                no such target.
            InputError: ``runtime`` is not such a list.
        """
        chosen_targets = [targets.load(name) for name in self.targets]
        chosen = [
            a
            for i, a in graph.files.items()
            if a.kind in {Kind.ONNX, Kind.ORT} and any(fnmatchcase(i, g) for g in self.models)
        ]
        if not chosen:
            return graph
        built = self._built(graph, store)
        found, notes = _read(chosen, store)
        if built is not None:
            notes += _lines(self.runtime, {n: lacking(each, built) for n, each in found.items()})
        for target in chosen_targets:
            notes += _lines(
                target.name, {n: lacked(each, target.lacks) for n, each in found.items()}
            )
        text = _HEAD + "".join(notes) + written({o for each in found.values() for o in each})
        return self._with_file(text.encode(), graph, store)

    def _built(self, graph: Graph, store: Store) -> frozenset[Operator] | None:
        if not self.runtime:
            return None
        artifact = graph.files.get(ArtifactId(self.runtime))
        if artifact is None:
            raise ConfigError(
                f"required-operators: the project has no file {self.runtime!r}",
                hint="runtime is the id of the configuration that the runtime was built with",
            )
        return read(store.get(artifact.digest).decode("utf-8", "replace"))

    def _with_file(self, data: bytes, graph: Graph, store: Store) -> Graph:
        name = ArtifactId(self.file)
        made = Artifact(name, Kind.TEXT, store.put(data), Bytes(len(data)))
        there = graph.artifacts.get(name)
        if there is not None and there != made:
            raise ConfigError(
                f"required-operators: there is already a file {name}",
                hint="choose another name with file, or leave that one out",
            )
        return graph.with_artifacts([made])


def _read(models: Sequence[Artifact], store: Store) -> tuple[_Needed, list[str]]:
    """Return what each model needs, and a comment for each that says less than it should."""
    found: _Needed = {}
    notes = []
    outcomes = LocalPool(workers=1, item_seconds=_SECONDS).run(
        required, [store.get(a.digest) for a in models]
    )
    for outcome in sorted(outcomes, key=lambda o: o.index):
        name = models[outcome.index].id
        if outcome.error is not None:
            notes.append(f"# not read: {name}: {printable(str(outcome.error))}\n")
            continue
        found[name], refusal = outcome.get()
        if refusal:
            notes.append(f"# not optimized: {name}: {printable(refusal)}\n")
    return found, notes


def _lines(where: str, missing: Mapping[ArtifactId, Sequence[Operator]]) -> list[str]:
    return [
        f"# lacking in {where}: {o.domain};{o.opset};{o.name}, needed by {name}\n"
        for name, operators in missing.items()
        for o in operators
    ]
