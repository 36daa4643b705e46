"""A contest: what is compared, what may be remembered; with real processes and small models."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from toolchain.execution.cache import ActionCache
from toolchain.formats import onnx_model
from toolchain.formats.execution_format import applied
from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.ir import Machine
from toolchain.quantization import targets
from toolchain.quantization.contest import Candidate, Contest, Known, answers_alike
from toolchain.quantization.targets import Target

NATIVE = targets.load("native-cpu")
SETTINGS = {setting.name: setting for setting in NATIVE.setting}
WIDTH = 512
FEED = {"x": np.random.default_rng(1).standard_normal((1, WIDTH)).astype(np.float32)}
HERE = Machine("x", 1, 1, "x", "3", ())


def quick(**changed: float) -> Target:
    numbers = {"rounds": 2, "pass_seconds": 0.02, **changed}
    rows = tuple(replace(n, value=numbers.get(n.name, n.value)) for n in NATIVE.number)
    return replace(NATIVE, number=rows)


def product(*, noisy: bool = False) -> bytes:
    """Return a product with a random matrix; ``noisy`` adds noise to what it is asked."""
    graph = GraphBuilder()
    weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32)
    asked = graph.add("Add", "x", graph.add("RandomNormalLike", "x")) if noisy else "x"
    graph.add("MatMul", asked, graph.constant("w", weights), outputs=["y"])
    ports = [value(name, np.float32, (1, WIDTH)) for name in "xy"]
    return onnx_model.serialized(graph.model(ports[:1], ports[1:], {}))


def opened(format_: str, model: bytes, *settings: str) -> list[Candidate]:
    return [Candidate(format_, model, SETTINGS[name]) for name in settings]


def test_a_setting_that_changes_the_answers_is_told_and_has_one_round(tmp_path: Path) -> None:
    """MatMulNBits rounds its inputs to int8, but only if its weights are packed."""
    model = applied(product(), "matmul-nbits-4")
    target = quick(hopeless=1e9)  # without packed weights it is also slower
    contest = Contest(target, [FEED], Known(ActionCache(tmp_path), HERE))
    names = ("as usual", "no plan", "ahead", "ahead, not packed")
    tried = contest.tried(opened("matmul-nbits-4", model, *names))
    assert [one.problem for one in tried] == ["", "", "", "other answers than opened as usual"]
    assert [len(one.figures.load_cpu_ms) for one in tried if one.figures] == [2, 2, 2, 1]
    kept = list(tmp_path.rglob("*.json"))
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    assert contest.tried([one.candidate for one in tried]) == tried
    assert kept[0].stat().st_mtime_ns == before


def test_formats_may_answer_otherwise_and_exact_ones_are_compared_with_their_own() -> None:
    model = product()
    blocks = applied(model, "matmul-nbits-4")
    candidates = opened("folded", model, "as usual") + opened("blocks", blocks, "as usual", "ahead")
    candidates += opened("folded", model, "ahead, not packed")
    assert [one.problem for one in Contest(quick(), [FEED]).tried(candidates)] == [""] * 4


def test_a_model_that_draws_random_numbers_answers_alike_with_equal_ones() -> None:
    candidates = opened("folded", product(noisy=True), "as usual", "no plan", "ahead")
    assert [one.problem for one in Contest(quick(), [FEED]).tried(candidates)] == [""] * 3


def test_what_did_not_run_is_tried_again_the_next_time(tmp_path: Path) -> None:
    """A process that took too long may have done so because of what else the machine did."""
    known = Known(ActionCache(tmp_path), HERE)
    candidates = opened("folded", product(), "as usual", "ahead")
    late = Contest(quick(seconds=1e-3), [FEED], known).tried(candidates)
    assert all("takes longer" in one.problem for one in late)
    assert not list(tmp_path.rglob("*.json"))


def floats(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("ours", "usual", "alike"),
    [
        (floats(1, 2), floats(1, 2), True),
        (floats(1, 2.0019), floats(1, 2), True),
        (floats(1.0019, 2), floats(1, 2), True),  # of the largest, not of its own
        (floats(1, 2.0021), floats(1, 2), False),
        (floats(-1, 2), floats(1, 2), False),
        (floats(1, 2), floats(1, 2, 3), False),
        (floats(1, 2)[None], floats(1, 2), False),
        (floats(1, 2).astype(np.float64), floats(1, 2), False),
        (floats(1, NAN), floats(1, 2), False),
        (floats(1, INF), floats(1, 2), False),
        (floats(1, 2), floats(1, NAN), False),
        (floats(1, -INF), floats(1, INF), False),
        (floats(1, NAN, INF), floats(1, NAN, INF), True),
        (floats(1.01, NAN, INF), floats(1, NAN, INF), False),
        (floats(), floats(), True),
        (floats(0, 1e-9), floats(0, 0), False),
        (np.array([7, 10**6]), np.array([7, 10**6]), True),
        (np.array([7, 10**6 + 1]), np.array([7, 10**6]), False),
        (np.array([True, False]), np.array([True, True]), False),
    ],
)
def test_numbers_are_alike_within_a_thousandth_of_the_largest(
    ours: NDArray[np.generic], usual: NDArray[np.generic], *, alike: bool
) -> None:
    assert answers_alike([{"y": ours}], [{"y": usual}]) is alike


def test_the_largest_answer_is_that_of_all_runs_but_of_one_output() -> None:
    loud, silent = {"y": floats(1), "z": floats(1e-3)}, {"y": floats(1e-5), "z": floats(1e-3)}
    assert answers_alike([loud, {**silent, "y": floats(2e-5)}], [loud, silent])
    assert not answers_alike([loud, {**silent, "z": floats(2e-3)}], [loud, silent])
    assert not answers_alike([loud], [loud, silent])
    assert not answers_alike([{"y": loud["y"]}], [loud])
