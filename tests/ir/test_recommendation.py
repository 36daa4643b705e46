"""No evidence, no recommendation: it cannot even be built."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.ir.recommendation import Effect, Recommendation

PAIRS = st.lists(
    st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)),
    min_size=1,
    max_size=40,
)


def effect(before: list[float], after: list[float]) -> Effect:
    return Effect.measured(
        "turn.first_audio", "ms", list(zip(before, after, strict=True)), sure=0.99
    )


@given(PAIRS)
def test_a_recommendation_exists_only_where_the_bounds_exclude_zero(
    pairs: list[tuple[float, float]],
) -> None:
    one = Effect.measured("turn.first_audio", "ms", pairs, 0.99)
    if one.high is not None and one.high < 0 and one.improves:
        assert Recommendation("what", "how", (one,)).gains == (one,)
    else:
        with pytest.raises(ValueError, match="nothing was measured"):
            Recommendation("what", "how", (one,))


def test_no_gain_at_all_is_no_recommendation() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Recommendation("what", "how", ())


def test_what_did_not_change_is_not_better_and_not_worse() -> None:
    one = effect([100.0] * 20, [100.0] * 20)
    assert (one.low, one.high, one.improves, one.worsens) == (0.0, 0.0, False, False)


def test_a_certain_gain_of_half_a_percent_is_not_worth_an_edit() -> None:
    assert not effect([100.0] * 20, [99.5] * 20).improves
    assert effect([100.0] * 20, [98.5] * 20).improves


def test_few_pairs_prove_nothing_however_large_their_difference() -> None:
    one = effect([1000.0] * 3, [1.0] * 3)
    assert (one.low, one.high) == (None, None)
    assert not one.improves


def test_a_cost_that_is_a_gain_is_refused() -> None:
    gain = effect([100.0] * 20, [50.0] * 20)
    with pytest.raises(ValueError, match="a cost"):
        Recommendation("what", "how", (gain,), costs=(gain,))


def test_samples_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="pairs"):
        Effect("t", "ms", (1.0, 2.0), (1.0,), None, None)
