"""Proves that a model changed with loss still does its work.

What it does
    Makes the model that runs from the package, opens it and the original in onnxruntime, one
    thread, and asks both the confirmation questions of the task that the pass was given
    (``toolchain/tasks/``): recordings, sentences and seeds that are neither in the calibration nor
    in the search data. A search has asked them to decide one number, how far the steps of all
    weights shrink together, and nothing else.

When it holds
    Inputs and outputs have the same names and types, and the score is within the task's limit: the
    family's default or what the user asked for. A model that does not load, does not run or answers
    with what is not a number does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from toolchain.errors import ConfigError, InputError
from toolchain.formats.materializer import materialize
from toolchain.formats.onnx_runner import Runner, open_runner
from toolchain.formats.package_header import MAGIC
from toolchain.ir import Proof
from toolchain.tasks.base import Limit, Score, Split, Task, make_task

_NAME = "task-quality"


def prove(before: bytes, after: bytes, options: Mapping[str, object]) -> Proof:
    """Compare the answers of ``before`` and ``after``, which may be a package.

    ``options`` are those of the pass: ``task`` as for ``make_task``, and ``files``, paths by name.

    Errors:
        ConfigError: the task is wrong, or has no limit.
    """
    task = _task(options)
    limit = task.limit
    try:
        model = materialize(after) if after.startswith(MAGIC) else after
        problem = _other_interface(open_runner(before), open_runner(model))
        if problem:
            return Proof(_NAME, holds=False, detail=problem)
        score = _score(task, before, model)
    except InputError as error:
        return Proof(_NAME, holds=False, detail=str(error))
    problem = limit.problem(score)
    shown = _shown(score, limit, task.unit)
    return Proof(_NAME, holds=not problem, detail=f"{problem}: {shown}" if problem else shown)


def _task(options: Mapping[str, object]) -> Task:
    asked, files = options.get("task"), options.get("files", {})
    if not isinstance(asked, Mapping) or not isinstance(files, Mapping):
        raise ConfigError(
            "a lossy pass needs a task, whose limit judges what was lost",
            hint="options = { task = { family = 'vad' } }; docs/models.md lists the families",
        )
    return make_task(asked, {str(name): Path(path) for name, path in files.items()})


def _score(task: Task, before: bytes, after: bytes) -> Score:
    original = open_runner(task.instrumented(before))
    reference = task.reference(original, Split.CONFIRMATION)
    del original  # two large models need not be in memory at once
    return task.score(open_runner(task.instrumented(after)), reference, Split.CONFIRMATION)


def _other_interface(before: Runner, after: Runner) -> str:
    """Return how inputs or outputs differ; nothing if they do not."""
    old, new = ({p.name: p.type for p in runner.inputs} for runner in (before, after))
    if old != new:
        return f"the inputs are {_listed(new)}, not {_listed(old)}"
    if before.outputs != after.outputs:
        return f"the outputs are {', '.join(after.outputs)}, not {', '.join(before.outputs)}"
    return ""


def _listed(ports: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in ports.items())


def _shown(score: Score, limit: Limit, unit: str) -> str:
    error = "" if limit.error is None else f" of {limit.error:.4g} allowed"
    agreement = "" if limit.agreement is None else f" of {limit.agreement:.2%} asked"
    details = "".join(f", {name} {value:.4g}" for name, value in score.details.items())
    return (
        f"error {score.error:.4g} {unit}{error}, agreement {score.agreement:.2%}{agreement},"
        f" {score.positions} positions{details}"
    )
