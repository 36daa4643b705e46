"""Where the time of each model goes, operator by operator, in turns that nothing else measures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolchain.formats.onnxruntime_profile import NodeRun, SessionProfile, read
from toolchain.harness.subject import Subject
from toolchain.harness.tracing import Written
from toolchain.harness.turn import Clip
from toolchain.ir.profile import ModelTimes, NodeTime, OperatorTime
from toolchain.tables import check
from toolchain.temporary import temporary_folder
from toolchain.voice.pipeline import STAGES

_NODES = 20  # of a model: the few that matter; all operators are told
_US = 1000  # in a ms


def watched(subject: Subject, clips: Sequence[Clip]) -> tuple[ModelTimes, ...]:
    """Play each clip once, in a process whose models write down what their operators take.

    All stages work in one thread, so that one model computes at a time. Writing slows small
    operators down: shares are for comparing operators, not for adding up to latencies.

    Errors:
        ToolError: a stage failed.
    """
    with temporary_folder(prefix="vtool-profile-") as folder:
        said = [asdict(clip) for clip in clips]
        found = subject.ask({"job": "operators", "clips": said, "folder": folder})
        files = check(found, tuple[Written, ...], where="the voice application")
        return tuple(_models(files, subject.voice))


def _models(files: Sequence[Written], voice: Mapping[str, Any]) -> Iterator[ModelTimes]:
    """Yield the models in the order in which a turn goes through them."""
    for stage in STAGES:
        for one in files:
            if one.model in voice[stage].values():
                yield of_model(read(Path(one.path), one.since_us), stage, one.model, one.threads)


def of_model(profile: SessionProfile, stage: str, model: str, threads: int) -> ModelTimes:
    """Return where the time went that ``profile`` tells of."""
    operators_us = sum(node.self_us for node in profile.nodes)
    return ModelTimes(
        stage=stage,
        model=model,
        load_ms=None if profile.load_us is None else profile.load_us / _US,
        initialize_ms=profile.initialize_us / _US,
        runs=len(profile.runs_us),
        runs_ms=sum(profile.runs_us) / _US,
        operators_ms=operators_us / _US,
        operators=_by_operator(profile.nodes, operators_us),
        nodes=_by_node(profile.nodes, operators_us)[:_NODES],
        threads=threads,
    )


def _by_operator(nodes: Sequence[NodeRun], all_us: float) -> tuple[OperatorTime, ...]:
    by_name: dict[str, list[NodeRun]] = defaultdict(list)
    for node in nodes:
        by_name[node.operator].append(node)
    found = [
        OperatorTime(name, len(runs), ms, share, len({run.node for run in runs}))
        for name, runs in by_name.items()
        for ms, share in (_spent(runs, all_us),)
    ]
    return tuple(sorted(found, key=lambda one: -one.ms))


def _by_node(nodes: Sequence[NodeRun], all_us: float) -> tuple[NodeTime, ...]:
    by_name: dict[tuple[str, str], list[NodeRun]] = defaultdict(list)
    for node in nodes:
        by_name[node.node, node.operator].append(node)
    found = [
        NodeTime(name, operator, len(runs), *_spent(runs, all_us))
        for (name, operator), runs in by_name.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.ms))


def _spent(runs: Sequence[NodeRun], all_us: float) -> tuple[float, float]:
    """Return the ms of ``runs``, and their share of all operators' time."""
    spent_us = sum(run.self_us for run in runs)
    return spent_us / _US, spent_us / all_us if all_us else 0.0
