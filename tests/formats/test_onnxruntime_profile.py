"""What onnxruntime's profiles say: own times, turns apart from what came before."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from toolchain.errors import InputError
from toolchain.formats.onnxruntime_profile import parse, read
from toolchain.profiling.operators import of_model


def node(name: str, ts: float, dur: float, tid: int = 1) -> dict[str, Any]:
    return {
        "cat": "Node",
        "name": f"{name}_kernel_time",
        "tid": tid,
        "ts": ts,
        "dur": dur,
        "args": {"op_name": name},
    }


def test_a_branch_does_not_count_twice() -> None:
    found = parse(
        [node("If", 0, 100), node("Add", 10, 30), node("Mul", 50, 20), node("Add", 100, 5)]
    )
    assert [(n.operator, n.self_us) for n in found.nodes] == [
        ("If", 50.0),
        ("Add", 30.0),
        ("Mul", 20.0),
        ("Add", 5.0),
    ]


def test_threads_do_not_lie_in_each_other() -> None:
    found = parse([node("If", 0, 100), node("Add", 10, 30, tid=2)])
    assert sorted(n.self_us for n in found.nodes) == [30.0, 100.0]


def test_what_came_before_the_turns_is_left_out() -> None:
    run = {"cat": "Session", "name": "model_run", "tid": 1, "ts": 1, "dur": 7}
    found = parse([run, {**run, "ts": 50}, node("Add", 2, 5), node("Mul", 51, 3)], since_us=40)
    assert found.runs_us == (7.0,)
    assert [n.operator for n in found.nodes] == ["Mul"]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 1000), st.integers(0, 300)), min_size=1
    )
)
def test_shares_sum_to_one(rows: list[tuple[str, int, int]]) -> None:
    times = of_model(parse([node(*row) for row in rows]), "llm", "m.onnx", 1)
    whole = sum(o.share for o in times.operators)
    assert whole == pytest.approx(1.0) if times.operators_ms else whole == 0
    assert sum(o.ms for o in times.operators) == pytest.approx(times.operators_ms)
    assert sum(o.calls for o in times.operators) == len(rows)


def test_a_real_profile_is_read(tmp_path: Path) -> None:
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "x"], ["y"]), helper.make_node("Erf", ["y"], ["z"])],
        "small",
        [helper.make_tensor_value_info("x", floats, [64, 64])],
        [helper.make_tensor_value_info("z", floats, [64, 64])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "p")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    for _ in range(3):
        session.run(None, {"x": np.ones((64, 64), np.float32)})
    found = read(Path(session.end_profiling()))
    assert len(found.runs_us) == 3
    assert {n.operator for n in found.nodes} == {"MatMul", "Erf"}
    assert found.initialize_us > 0


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"cat": "Node"}]', "[1]"])
def test_what_is_no_profile_is_an_error_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(text, "utf-8")
    if text == "{}":  # no events are no error: nothing ran
        assert read(path).nodes == ()
        return
    with pytest.raises(InputError, match=r"p\.json is not a profile"):
        read(path)
