"""The rule: what may be taken in the place of the usual, and what is worth it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.harness.session_options import Figures, Form, Options, candidates, rule, together
from toolchain.voice.pipeline import STAGES

RULE = rule()
USUAL = Figures((10.0,), (10.0,), (10.0,), (50.0,), (80_000_000,), (90_000_000,))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"run_ms": (10.4,)}, "slower: 1.04 times the wall time"),
        ({"pass_cpu_ms": (14.0,)}, "1.40 times the CPU time"),
        ({"load_ms": (120.0,)}, "opens 70 ms later"),
        ({"resident": (82_000_000,)}, "larger: 2.0 MB more memory"),
        ({"peak": (92_000_000,)}, "larger: 2.0 MB more memory"),
        ({"run_ms": (10.2,), "resident": (10_000_000,)}, ""),
    ],
)
def test_what_is_slower_or_larger_is_refused_however_much_it_gains_elsewhere(
    changed: dict[str, tuple[float, ...]], why: str
) -> None:
    assert RULE.refusal(replace(USUAL, **changed), USUAL, wall=True) == why


def test_the_same_figures_gain_nothing_in_any_stage() -> None:
    for stage in STAGES:
        assert max(RULE.gain(USUAL, USUAL, stage, wall=True)) == 0
        near = replace(USUAL, run_ms=(9.7,), resident=(79_500_000,))
        assert max(RULE.gain(near, USUAL, stage, wall=True)) == 0, "noise is no gain"


def test_time_comes_first_where_it_is_waited_for_and_memory_elsewhere() -> None:
    quick = replace(USUAL, run_ms=(7.0,))
    small = replace(USUAL, resident=(60_000_000,))

    def better(stage: str) -> Figures:
        return max((quick, small), key=lambda one: RULE.gain(one, USUAL, stage, wall=True))

    assert better("llm") is quick
    assert better("stt") is small


def test_other_threads_are_judged_by_the_clock_and_the_same_by_their_cpu_time() -> None:
    two = replace(USUAL, run_ms=(6.0,), cpu_ms=(11.0,))
    assert RULE.gain(two, USUAL, "llm", wall=True)[0] == pytest.approx(0.4)
    assert RULE.refusal(two, USUAL, wall=False) == "slower: 1.10 times the CPU time"


def test_one_core_is_never_asked_for_two_threads() -> None:
    tried = candidates(Options(), RULE.option, cores=1)
    assert {one.threads for one in tried} == {1}
    assert not any(one.spinning for one in tried), "a thread of its own has nobody to wait for"
    assert {one.threads for one in candidates(Options(), RULE.option, cores=2)} == {1, 2}


options = st.builds(
    Options,
    threads=st.integers(1, 2),
    spinning=st.booleans(),
    arena=st.booleans(),
    prepacking=st.booleans(),
    form=st.sampled_from(Form),
)


@given(options, st.integers(1, 4))
def test_each_way_that_is_tried_changes_something_and_is_tried_once(
    usual: Options, cores: int
) -> None:
    tried = candidates(usual, RULE.option, cores)
    assert usual not in tried
    assert len(set(tried)) == len(tried)


@given(options, st.lists(options, max_size=4))
def test_the_best_way_decides_what_two_ways_differ_in(
    usual: Options, gaining: list[Options]
) -> None:
    found = together(usual, gaining)
    for name in ("threads", "spinning", "arena", "prepacking", "form"):
        asked = [getattr(one, name) for one in gaining]
        changed = [value for value in asked if value != getattr(usual, name)]
        assert getattr(found, name) == (changed[0] if changed else getattr(usual, name))
