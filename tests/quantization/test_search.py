"""A search ends within the limit on data it did not optimize on, or leaves the model as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny_weights as tiny

from toolchain.errors import ConfigError, ToolError
from toolchain.execution.cache import ActionCache
from toolchain.formats import onnx_model
from toolchain.formats.coded_tensor import decoded
from toolchain.formats.onnx_runner import open_runner
from toolchain.formats.onnx_weights import weights, with_values
from toolchain.quantization.front import Found
from toolchain.quantization.search import Plan, search
from toolchain.quantization.survey import content, surveyed
from toolchain.tasks.base import Limit, Score, Split, Task, make_task

QUICK = Plan(seconds=0.01, workers=1)  # the least number of questions


def unknown(limit: float | None = 0.02) -> Task:
    return make_task({"family": "unknown", "limit": limit}, {})


def judged(model: bytes, found: Found, task: Task, split: Split) -> Score:
    """Return the score of the model with what was found, asked anew."""
    folded = with_values(model, {i: decoded(c) for i, c in found.coded.items()})
    return task.score(open_runner(folded), task.reference(open_runner(model), split), split)


@pytest.mark.parametrize("kind", list(tiny.EVERY_KIND))
def test_every_kind_of_model_gets_smaller_within_its_limit(kind: str) -> None:
    model, task = tiny.EVERY_KIND[kind](), unknown()
    found = search(model, task, QUICK)
    assert found.coded
    assert found.score is not None
    assert found.score == judged(model, found, task, Split.CONFIRMATION)
    assert found.score.error <= 0.02
    assert sum(r.after for r in found.rows) < sum(r.before for r in found.rows)


def test_two_threads_find_what_one_finds() -> None:
    model, task = tiny.gemm(), unknown()
    one = search(model, task, Plan(seconds=2, workers=1))
    two = search(model, task, Plan(seconds=2, workers=2))
    assert one.front == two.front
    assert one.coded.keys() == two.coded.keys()
    assert all(np.array_equal(one.coded[i].codes, c.codes) for i, c in two.coded.items())


def test_a_larger_limit_takes_fewer_bytes() -> None:
    sizes = []
    for limit in (0.003, 0.03, 0.3):
        found = search(tiny.conv(), unknown(limit), QUICK)
        sizes.append(sum(row.after for row in found.rows))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1.3 * sizes[2]


def test_no_row_gets_larger_and_every_weight_has_one() -> None:
    model = tiny.integer_matmul()
    found = search(model, unknown(0.001), QUICK)
    assert {row.index for row in found.rows} == {
        w.index for w in weights(onnx_model.load(model), QUICK.least_elements)
    }
    assert all(row.after <= row.before for row in found.rows)


def test_the_front_rises_in_bytes_and_falls_in_error() -> None:
    front = search(tiny.gemm(), unknown(), QUICK).front
    assert len(front) > 2
    for smaller, larger in pairwise(front):
        assert smaller.bytes < larger.bytes
        assert smaller.error > larger.error


_LIMIT = Limit(error=0.02)


@dataclass(frozen=True)
class Strict:
    """A task that accepts no change at all; in the confirmation only, if so asked."""

    inner: Task
    forbids: tuple[Split, ...]
    limit: Limit = _LIMIT
    unit: str = "relative"
    asked: list[Split] = field(default_factory=list)

    def instrumented(self, model: bytes) -> bytes:
        return model

    def reference(self, runner: object, split: Split) -> object:
        return self.inner.reference(runner, split)  # type: ignore[arg-type]  # passed on as it is

    def score(self, runner: object, reference: object, split: Split) -> Score:
        self.asked.append(split)
        found = self.inner.score(runner, reference, split)  # type: ignore[arg-type]  # passed on as it is
        if split in self.forbids and found.error > 1e-6:
            return Score(1.0, 1.0, found.positions)
        return found


class Harder(Strict):
    """A task whose confirmation finds three times the error."""

    def __init__(self, inner: Task) -> None:
        super().__init__(inner, ())

    def score(self, runner: object, reference: object, split: Split) -> Score:
        found = super().score(runner, reference, split)
        return replace(found, error=3 * found.error) if split is Split.CONFIRMATION else found


@pytest.mark.parametrize("forbids", [Split.SEARCH, Split.CONFIRMATION])
def test_where_nothing_holds_the_model_stays_and_the_note_says_why(forbids: Split) -> None:
    found = search(tiny.gemm(), Strict(unknown(), (forbids,)), QUICK)
    assert not found.coded
    assert found.score is None
    assert "held" in found.note


def on_a_grid() -> tuple[bytes, bytes]:
    """Return a model whose weight was integer once, and that weight's bytes."""
    codes = np.clip(np.rint(tiny.noise(64, 80) * 20), -127, 127).astype(np.int8)
    values = codes.astype(np.float32) * np.float32(0.013)
    text = "main (float[1, 64] x) => (float[1, 80] y) { y = MatMul (x, w) }"
    return tiny.model(text, w=values), values.tobytes()


@pytest.mark.parametrize("forbids", [Split.SEARCH, Split.CONFIRMATION])
def test_a_weight_on_a_grid_is_coded_even_where_nothing_may_change(forbids: Split) -> None:
    model, values = on_a_grid()
    found = search(model, Strict(unknown(), (forbids,)), QUICK)
    assert decoded(found.coded[0]).tobytes() == values
    assert found.score is not None
    assert found.score.error == 0
    assert found.rows[0].after * 4 < found.rows[0].before


def test_a_weight_on_a_grid_does_not_excuse_a_format_that_breaks_the_limit() -> None:
    model, values = on_a_grid()
    task = Strict(unknown(), (Split.CONFIRMATION,))
    found = search(model, task, replace(QUICK, format="matmul-integer"))
    assert found.score is not None
    assert found.score.error == 0  # as it comes, not with rounded activations
    assert decoded(found.coded[0]).tobytes() == values


def test_the_confirmation_data_decide_one_number_for_all_steps_together() -> None:
    model = tiny.gemm()
    free = search(model, Strict(unknown(), ()), QUICK)
    strict = search(model, Harder(unknown()), QUICK)
    assert free.front == strict.front
    assert free.coded.keys() == strict.coded.keys()
    shrunk = {
        np.log2(a / b).round(5).item()
        for i, one in free.coded.items()
        for a, b in [(one.factors[0].max(), strict.coded[i].factors[0].max())]
    }
    assert len(shrunk) == 1
    assert shrunk.pop() > 0


def test_finer_steps_than_a_weights_own_grid_are_not_taken() -> None:
    model, values = on_a_grid()
    found = search(model, unknown(1e-5), QUICK)
    assert decoded(found.coded[0]).tobytes() == values


def test_a_model_without_weights_is_left_alone() -> None:
    model = tiny.model("main (float[1, 4] x) => (float[1, 4] y) { y = Relu (x) }")
    found = search(model, unknown(), QUICK)
    assert (found.coded, found.note) == ({}, "it has no weights that could be coded")


def test_a_task_without_a_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="limit"):
        search(tiny.gemm(), Strict(unknown(), (), limit=Limit()), QUICK)


def test_a_search_that_takes_too_long_stops_with_an_error() -> None:
    with pytest.raises(ToolError, match="stopped"):
        search(tiny.gemm(), unknown(), Plan(seconds=0.01, stop_seconds=0.0))


def test_what_was_asked_once_is_not_asked_again(tmp_path: Path) -> None:
    cache = ActionCache(tmp_path)
    first = Strict(unknown(), ())
    again = Strict(unknown(), ())
    found = search(tiny.gemm(), first, QUICK, cache=cache, identity="tiny")
    same = search(tiny.gemm(), again, QUICK, cache=cache, identity="tiny")
    assert same.front == found.front
    assert again.asked.count(Split.SEARCH) < 3 < first.asked.count(Split.SEARCH)


def test_another_model_does_not_get_the_answers_of_the_first(tmp_path: Path) -> None:
    cache = ActionCache(tmp_path)
    text = "main (float[1, 24] x) => (float[1, 16] y) {{ h = MatMul (x, w) y = {} (h) }}"
    for operator in ("Neg", "Relu"):
        task = Strict(unknown(), ())
        model = tiny.model(text.format(operator), w=tiny.noise(24, 16))
        search(model, task, QUICK, cache=cache, identity="tiny")
        assert task.asked.count(Split.SEARCH) > 3


def test_a_larger_budget_asks_more() -> None:
    few = search(tiny.conv(), unknown(), QUICK)
    many = search(tiny.conv(), unknown(), Plan(seconds=1, workers=1))
    assert few.evaluations < many.evaluations


def looked_at(model: bytes) -> Mapping[tuple[str, int], object]:
    found = weights(onnx_model.load(model), 32)
    moments = surveyed(model, unknown(), found, 32).moments
    return {w.key: moments[content(w)] for w in found if content(w) in moments}


def test_inputs_of_weights_inside_branches_are_seen() -> None:
    assert ("v", 1) in looked_at(tiny.branches())


@pytest.mark.parametrize(
    ("kind", "names"),
    [("gemm", {"w", "v"}), ("conv", {"w", "v"}), ("lstm", {"w", "r"}), ("int8", {"w"})],
)
def test_inputs_of_every_kind_of_layer_are_seen(kind: str, names: set[str]) -> None:
    assert {name for name, _ in looked_at(tiny.EVERY_KIND[kind]())} == names


def test_moments_are_those_of_what_a_layer_adds_up() -> None:
    model = tiny.conv()
    moments = looked_at(model)["w", 0]
    assert isinstance(moments, np.ndarray)
    frames = unknown().reference(open_runner(model), Split.CALIBRATION)
    assert isinstance(frames, list)
    wanted = np.zeros_like(moments)
    for feeds, _ in frames:
        padded = np.pad(feeds["x"][0], ((0, 0), (1, 1)))
        for at in range(0, padded.shape[1] - 2, 2):
            rows = padded[:, at : at + 3].reshape(2, 12)
            wanted += np.einsum("gi,gj->gij", rows, rows)
    scale = np.trace(moments[0]) / np.trace(wanted[0])  # the task asks silence too, before
    assert np.allclose(moments, wanted * scale, rtol=1e-4)
