"""What a survey sees depends on the model and the questions, and on nothing else."""

from __future__ import annotations

from pathlib import Path

import block_models
import numpy as np

from toolchain.execution.cache import ActionCache
from toolchain.formats import onnx_model
from toolchain.formats.model_package import pack
from toolchain.formats.onnx_weights import weights
from toolchain.quantization.search import Plan, search
from toolchain.quantization.survey import surveyed
from toolchain.tasks.base import Split
from toolchain.tasks.llm import Llm, Options, Vocabulary

PROMPTS = {split: [[1 + n, 2, 3 + number] for n in range(3)] for number, split in enumerate(Split)}


def answering(folder: Path) -> Llm:
    """Return a task that keeps answers in ``folder``."""
    return Llm(Options(limit=0.02), Vocabulary(PROMPTS, end=-1), ActionCache(folder))


def test_a_survey_sees_the_same_whether_or_not_answers_are_in_the_cache(tmp_path: Path) -> None:
    model, task = block_models.model("F16", "F16"), answering(tmp_path)
    found = weights(onnx_model.load(model), 32)
    first, again = (surveyed(model, task, found, 32) for _ in range(2))
    assert (first.runs, first.fed, first.products) == (again.runs, again.fed, again.products)
    assert first.moments.keys() == again.moments.keys() != set()
    assert all(np.array_equal(first.moments[key], again.moments[key]) for key in first.moments)


def test_a_search_that_is_repeated_gives_the_same_package(tmp_path: Path) -> None:
    model, task = block_models.model("F16", "F16"), answering(tmp_path)
    first, again = (search(model, task, Plan(seconds=0.01, workers=1)) for _ in range(2))
    assert first.evaluations == again.evaluations
    assert pack(model, first.coded) == pack(model, again.coded)
