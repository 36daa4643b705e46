"""Everything of one run of the command, with what a reader needs to know about the inputs."""

from __future__ import annotations

from collections.abc import Sequence

from model_peers.catalogue import Catalogue, Model
from model_peers.peers import PEERS
from model_peers.rows import Probe, Result, Row

from toolchain.harness.machine import machine
from toolchain.tasks.base import make_task


def result(
    known: Catalogue, models: Sequence[Model], rows: Sequence[Row], probes: Sequence[Probe]
) -> Result:
    """Return everything of one run."""
    here = machine()
    versions = {peer.package: peer.version for peer in PEERS.values() if peer.version}
    return Result(
        machine=f"{here.cpu}, {here.cores} cores, Python {here.python}",
        versions={**versions, **{n: v for n, v in here.versions if n in {"onnx", "numpy"}}},
        inputs={m.name: f"{m.what}; {m.package}, {m.licence}." for m in models},
        limits={m.name: _limit(known, m) for m in models},
        rows=tuple(rows),
        probes=tuple(probes),
    )


def _limit(known: Catalogue, model: Model) -> str:
    task = make_task(model.task, known.files(model))
    words = []
    if task.limit.error is not None:
        words.append(f"error of {task.limit.error:g} ({task.unit})")
    if task.limit.agreement is not None:
        words.append(f"agreement of {task.limit.agreement:.1%}")
    return f"Task {model.task['family']}; limit: {' and '.join(words)}."
