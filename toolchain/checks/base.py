"""What checks of models share: a fix is applied to a copy, and what it saves is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from toolchain.analysis.reachability import reachable
from toolchain.errors import InputError, VtoolError
from toolchain.execution.local import LocalPool
from toolchain.formats.onnx_savings import Saved
from toolchain.ir import Artifact, Finding, Graph, Kind, Severity, Store
from toolchain.units import Bytes, show_bytes

_SECONDS = 120.0  # ours: a 63 MB voice takes 2 s; a model that takes this long is another finding
_SHOWN = 5  # ours: weights named in a finding, the largest first
KINDS = frozenset({Kind.ONNX, Kind.ORT})


@dataclass(frozen=True)
class Advice:
    """What a check says about a model with something to save."""

    check: str
    message: str  # {bytes} and {count} stand for what was saved and how many weights are gone
    advice: str


def measured(
    graph: Graph, store: Store, fix: Callable[[bytes], Saved | None], says: Advice
) -> Iterator[Finding]:
    """Yield a finding for each model that ships and that ``fix`` makes smaller.

    ``fix`` is importable; it runs in another process, for a damaged model may crash what reads it.
    A model that cannot be read has a finding of its own already.
    """
    models = shipped_models(graph)
    pool = LocalPool(workers=1, item_seconds=_SECONDS)
    work = [store.get(model.digest) for model in models]
    outcomes = sorted(pool.run(partial(_applied, fix), work), key=lambda o: o.index)
    for outcome in outcomes:
        model = models[outcome.index]
        if outcome.error is not None:
            yield from _unfinished(says.check, model, outcome.error)
        elif outcome.value is not None:
            yield _finding(model, outcome.value, says)


def shipped_models(graph: Graph) -> list[Artifact]:
    """Return the ONNX and ORT files that roots may load, sorted; all where there are no roots."""
    used = reachable(graph) if graph.roots else graph.artifacts.keys()
    return [a for i, a in graph.files.items() if a.kind in KINDS and i in used and a.size]


def _applied(fix: Callable[[bytes], Saved | None], data: bytes) -> Saved | None:
    """Apply ``fix`` in a worker."""
    return fix(data)


def _finding(model: Artifact, saved: Saved, says: Advice) -> Finding:
    shown = [f"{name} {show_bytes(size)}" for name, size in saved.weights[:_SHOWN]]
    more = [f"and {len(saved.weights) - _SHOWN} more"] if len(saved.weights) > _SHOWN else []
    count = len(saved.weights)
    return Finding(
        check=says.check,
        where=model.id,
        message=says.message.format(bytes=show_bytes(saved.size), count=count),
        advice=says.advice,
        cost=Bytes(saved.size),
        severity=Severity.WARNING,
        evidence=(*saved.evidence, *shown, *more),
    )


def _unfinished(check: str, model: Artifact, error: VtoolError) -> Sequence[Finding]:
    """Say that a check did not come to an end; of what is no model, others have spoken."""
    if isinstance(error, InputError):
        return []
    message = f"could not be checked: {error}"
    advice = "open the model in its runtime; a damaged file may crash that too"
    return [Finding(check, model.id, message, advice, severity=Severity.NOTE)]
