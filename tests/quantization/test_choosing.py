"""The choice: the least score wins, unless it is slow or not accepted; real models, small ones."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import real
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from toolchain.errors import UnusableError
from toolchain.execution.cache import ActionCache
from toolchain.formats import onnx_model
from toolchain.formats.execution_format import applied
from toolchain.formats.onnx_builder import GraphBuilder, value
from toolchain.ir import Machine
from toolchain.quantization import targets
from toolchain.quantization.choosing import _Judge, choose
from toolchain.quantization.contest import Candidate, Contest, Known, Tried
from toolchain.quantization.measuring import Figures, bench
from toolchain.quantization.targets import Setting, Target
from toolchain.units import Bytes

NATIVE = targets.load("native-cpu")
SETTINGS = {setting.name: setting for setting in NATIVE.setting}
HERE = Machine("x", 1, 1, "x", "3", ())


def quick(target: Target, **changed: float) -> Target:
    """Return ``target`` with numbers that make a test short."""
    numbers = {"rounds": 2, "pass_seconds": 0.05, **changed}
    rows = tuple(replace(n, value=numbers.get(n.name, n.value)) for n in target.number)
    return replace(target, number=rows)


def layers(*sizes: int) -> bytes:
    """Return products of random matrices, one after another."""
    graph, generator = GraphBuilder(), np.random.default_rng(0)
    name = "x"
    for number, (rows, columns) in enumerate(itertools.pairwise(sizes)):
        weights = generator.standard_normal((rows, columns)).astype(np.float32) / rows**0.5
        last = number + 2 == len(sizes)
        stored = graph.constant(f"w{number}", weights)
        name = graph.add("MatMul", name, stored, outputs=["y"] if last else ())
    inputs = [value("x", np.float32, ("n", sizes[0]))]
    return onnx_model.serialized(
        graph.model(inputs, [value("y", np.float32, ("n", sizes[-1]))], {})
    )


def row(width: int) -> dict[str, NDArray[np.generic]]:
    return {"x": np.random.default_rng(1).standard_normal((1, width)).astype(np.float32)}


def figures(latency: float, load: float, peak: int, size: int) -> Figures:
    return Figures((latency,), (load,), (peak,), Bytes(size))


def once(model: bytes, feeds: dict[str, NDArray[np.generic]], on: Target, folder: Path) -> Figures:
    """Return what ``model`` takes in one process."""
    at = bench(on, [feeds], folder)
    return at.figures(at.prepared(model, on.setting[0], "model"), on.setting[0])


def candidate(name: str, setting: Setting = NATIVE.setting[0]) -> Candidate:
    return Candidate(name, name.encode(), setting)


some = st.builds(
    figures,
    st.floats(0.01, 100),
    st.floats(0.1, 1000),
    st.integers(0, 10**9),
    st.integers(1, 10**9),
)


@given(some, st.lists(some, max_size=5))
def test_the_winner_is_not_slow_and_nothing_that_is_not_has_a_lower_score(
    first: Figures, others: list[Figures]
) -> None:
    tried = [Tried(candidate("folded"), first)]
    tried += [
        Tried(candidate("folded" if n % 2 else f"format {n}"), one) for n, one in enumerate(others)
    ]
    judge = _Judge(NATIVE, tried[0], calls=1)
    best = judge.best(tried, lambda _: True)
    assert best.figures is not None
    assert best.figures.latency_ms[0] <= 1.05 * first.latency_ms[0]
    fair = [one for one in tried if judge.eligible(one)]
    assert judge.score(best) == min(judge.score(one) for one in fair)
    assert judge.score(tried[0]) == pytest.approx(1)
    assert best.candidate.format == "folded" or judge.score(best) <= 0.95


def test_a_format_that_is_not_accepted_leaves_the_place_to_the_next() -> None:
    tried = [
        Tried(candidate("folded"), figures(10, 10, 10**8, 100)),
        Tried(candidate("fast"), figures(1, 10, 10**8, 100)),
        Tried(candidate("good"), figures(5, 10, 10**8, 100)),
        Tried(candidate("crash"), None, "it was killed by signal 11"),
        Tried(candidate("slow but small"), figures(10.6, 0.1, 0, 1)),
    ]
    asked: list[bytes] = []

    def accepts(model: bytes) -> bool:
        asked.append(model)
        return model != b"fast"

    judge = _Judge(NATIVE, tried[0], calls=1)
    best = judge.best(tried, accepts)
    assert best is tried[2]
    assert asked == [b"fast", b"good"]
    why = {one.candidate.format: judge.row(one, best, best).why for one in tried}
    assert why["fast"].startswith("it does not keep the quality that is asked for")
    assert why["good"].endswith("0.50 times the latency")
    assert why["crash"] == "it was killed by signal 11"
    assert "2.12 times the latency" in why["slow but small"]
    assert judge.best(tried, lambda _: False) is tried[0]


def test_what_answers_otherwise_does_not_win_however_fast_it_is() -> None:
    tried = [
        Tried(candidate("folded"), figures(10, 10, 10**8, 100)),
        Tried(candidate("folded", SETTINGS["ahead"]), figures(1, 1, 0, 100), "other answers"),
    ]
    judge = _Judge(NATIVE, tried[0], calls=1)
    assert judge.best(tried, lambda _: True) is tried[0]
    assert judge.row(tried[1], tried[0], tried[0]).why == "other answers"
    assert judge.row(tried[1], tried[0], tried[0]).latency_ms == 1


def recorded(contest: Contest, *rounds: dict[Candidate, Figures | None]) -> Contest:
    """Return ``contest`` with the figures of earlier contests in its cache."""
    assert contest.known
    for known in rounds:
        rows = [{"figures": f, "problem": "" if f else "it hangs"} for f in known.values()]
        contest.known.cache.put(contest._key(list(known)), rows)
    return contest


@pytest.mark.parametrize("slower", [1, 2, 10])
@pytest.mark.parametrize("format_", ["folded", "matmul-nbits-8"])
def test_a_machine_that_slows_down_between_the_contests_does_not_change_who_wins(
    slower: float, format_: str, tmp_path: Path
) -> None:
    model, usual, ahead = layers(512, 512), SETTINGS["as usual"], SETTINGS["ahead"]
    rows = tuple(f for f in NATIVE.format if f.name in {"folded", format_})
    target = replace(NATIVE, format=rows, setting=(usual, ahead))
    first = {
        Candidate(f.name, applied(model, f.name), usual): figures(10 - n, 10, 10**8, 100)
        for n, f in enumerate(rows)
    }
    best = list(first)[-1]
    second: dict[Candidate, Figures | None] = {
        one: figures(f.latency_ms[0] * slower, 10 * slower, 10**8, 100) for one, f in first.items()
    }
    second[replace(best, setting=ahead)] = figures(9 * slower, 5 * slower, 10**8, 100)
    contest = Contest(target, [row(512)], Known(ActionCache(tmp_path), HERE))
    choice = choose(model, recorded(contest, {**first}, second))
    assert (choice.format, choice.setting.name) == (format_, "ahead")
    assert [(r.format, r.setting) for r in choice.rows if r.chosen] == [(format_, "ahead")]
    # a baseline that does not run the second time says nothing about the others
    hangs: dict[Candidate, Figures | None] = dict.fromkeys(list(second)[:1])
    choice = choose(model, recorded(contest, {**second, **hangs}))
    assert (choice.format, choice.setting.name) == (format_, "as usual")
    assert choice.rows[-1].why.startswith("nothing to compare it with")


def test_a_format_that_is_slow_when_measured_again_does_not_win(tmp_path: Path) -> None:
    model, usual, ahead = layers(512, 512), SETTINGS["as usual"], SETTINGS["ahead"]
    rows = tuple(f for f in NATIVE.format if f.name in {"folded", "matmul-nbits-8"})
    target = replace(NATIVE, format=rows, setting=(usual, ahead))
    folded, blocks = (Candidate(f.name, applied(model, f.name), usual) for f in rows)
    slow = figures(15, 10, 10**8, 100)
    first = {folded: figures(10, 10, 10**8, 100), blocks: figures(5, 10, 10**8, 100)}
    second = {**first, blocks: slow, replace(blocks, setting=ahead): slow}
    contest = Contest(target, [row(512)], Known(ActionCache(tmp_path), HERE))
    choice = choose(model, recorded(contest, {**first}, {**second}))
    assert [(r.format, r.setting) for r in choice.rows if r.chosen] == [("folded", "as usual")]
    why = {f"{r.format}, {r.setting}": r.why for r in choice.rows}
    assert why["matmul-nbits-8, as usual"].endswith("but not when it was measured again")
    assert "1.50 times the latency" in why["matmul-nbits-8, ahead"]


def test_a_model_runs_the_same_however_it_is_stored_and_opened(tmp_path: Path) -> None:
    model, feeds = layers(256, 300, 256), [row(256), row(256)]
    on = bench(quick(NATIVE), feeds, tmp_path)
    seen = {}
    for number, setting in enumerate(NATIVE.setting):
        path = on.prepared(model, setting, str(number))
        assert (path.with_name("model.onnx.data").exists()) == setting.external
        seen[setting.name] = on.answers(path, setting)
    usual = seen.pop("as usual")
    assert [list(answer) for answer in usual] == [["y"], ["y"]]
    for answers in seen.values():
        np.testing.assert_allclose(answers[1]["y"], usual[1]["y"], rtol=1e-4, atol=1e-5)


def test_figures_tell_a_large_model_from_a_small_one(tmp_path: Path) -> None:
    taken = []
    for sizes in ((256, 256), (1024, 4096, 1024)):
        folder = tmp_path / str(len(sizes))
        folder.mkdir()
        taken.append(once(layers(*sizes), row(sizes[0]), quick(NATIVE), folder))
    small, large = taken
    assert large.size > small.size + 30e6
    assert large.peak_bytes[0] > small.peak_bytes[0] + 30e6
    assert min(large.latency_ms) > min(small.latency_ms)


def test_a_large_product_on_one_row_does_not_stay_float32_where_blocks_are_accepted(
    tmp_path: Path,
) -> None:
    model = layers(1024, 1024, 1024)
    target = replace(
        quick(NATIVE, rounds=1),
        format=tuple(f for f in NATIVE.format if f.name in {"folded", "matmul-nbits-4"}),
        setting=tuple(SETTINGS[name] for name in ("as usual", "ahead", "ahead, not packed")),
    )
    known = Known(ActionCache(tmp_path), HERE)
    contest = Contest(target, [row(1024)], known)
    choice = choose(model, contest)
    assert choice.format == "matmul-nbits-4"
    [chosen] = [r for r in choice.rows if r.chosen]
    assert (chosen.format, chosen.setting) == ("matmul-nbits-4", choice.setting.name)
    # its kernel rounds the inputs to int8, but only if its weights are packed
    last = choice.rows[-1]
    assert (last.format, last.setting) == ("matmul-nbits-4", "ahead, not packed")
    assert choice.rows[-1].why == "other answers than opened as usual"
    folded, blocks = choice.rows[:2]
    assert folded.size is not None
    assert blocks.size is not None
    assert blocks.size < folded.size / 6
    assert choose(model, contest) == choice  # the same samples: they come from the cache
    refused = choose(model, contest, accepts=lambda _: False)
    assert refused.format == "folded"
    assert choose(model, contest, formats=()).format == "folded"


def endless() -> bytes:
    """Return a model that runs and runs: a Loop without end."""
    graph = GraphBuilder()
    body = GraphBuilder()
    body.add("Identity", "go", outputs=["on"])
    body.add("Cos", "from", outputs=["to"])
    ports = {name: value(name, np.bool_, ()) for name in ("go", "on")}
    inner = body.model(
        [value("turn", np.int64, ()), ports["go"], value("from", np.float32, (1,))],
        [ports["on"], value("to", np.float32, (1,))],
        {},
    ).graph
    forever = graph.scalar(2**62, np.int64)
    graph.add("Loop", forever, "", "x", outputs=["y"])
    node = graph.nodes[-1]
    attribute = node.attribute.add()
    attribute.name, attribute.type = "body", attribute.GRAPH
    attribute.g.CopyFrom(inner)
    ports_out = [value(name, np.float32, (1,)) for name in "xy"]
    return onnx_model.serialized(graph.model(ports_out[:1], ports_out[1:], {}))


def greedy() -> bytes:
    """Return a model that makes 4 GB of one number."""
    graph = GraphBuilder()
    graph.add("Sum", graph.add("Expand", "x", graph.integers(2**30)), outputs=["y"])
    return onnx_model.serialized(
        graph.model([value("x", np.float32, (1,))], [value("y", np.float32, ("n",))], {})
    )


@pytest.mark.parametrize(
    ("model", "seconds", "complaint"),
    [
        (endless(), 4, "takes longer than 4 s"),
        (greedy(), 60, "takes more than 500 MB"),
        (layers(8, 8).replace(b"MatMul", b"MatFul"), 60, "MatFul"),
        (b"no model", 60, "does not run"),
    ],
    ids=["endless", "greedy", "unknown operator", "no model"],
)
def test_a_model_that_hangs_or_cannot_run_is_a_finding(
    model: bytes, seconds: float, complaint: str, tmp_path: Path
) -> None:
    target = quick(NATIVE, seconds=seconds, memory_bytes=500_000_000)
    with pytest.raises(UnusableError, match=complaint):
        once(model, {"x": np.ones(1, np.float32)}, target, tmp_path)


def test_web_and_native_answer_alike(tmp_path: Path) -> None:
    model = real.file("pypi:silero-vad==6.2.3", "silero_vad/data/silero_vad.onnx").read_bytes()
    noise = np.random.default_rng(0).standard_normal((1, 576)).astype(np.float32)
    feed = {"input": 0.1 * noise, "state": np.zeros((2, 1, 128), np.float32)}
    feeds = [{**feed, "sr": np.array(16_000, np.int64)}]
    answers = []
    for target in (NATIVE, targets.load("web-wasm")):
        folder = tmp_path / target.name
        folder.mkdir()
        on = bench(quick(target), feeds, folder)
        # what is quick to compile is good enough where no time is taken
        on = replace(on, command=tuple(c for c in on.command if c != "--no-liftoff"))
        path = on.prepared(model, target.setting[0], "model")
        (answer,) = on.answers(path, target.setting[0])
        answers.append(answer)
    native, web = answers
    assert native.keys() == web.keys() == {"output", "stateN"}
    for name in native:
        np.testing.assert_allclose(web[name], native[name], atol=1e-5)
