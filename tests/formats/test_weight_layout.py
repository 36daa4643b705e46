"""A weight as matrices and back: nothing moves, factors meet the numbers they are for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolchain.formats.weight_layout import Layout

layouts = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from("grd")), min_size=1, max_size=5
).map(lambda axes: Layout(tuple(n for n, _ in axes), "".join(role for _, role in axes)))


@given(layouts)
def test_matrices_give_back_the_weight_in_its_order(layout: Layout) -> None:
    values = np.arange(math.prod(layout.split), dtype=np.float32)
    matrices = layout.matrices(values)
    assert matrices.shape == layout.sizes
    assert np.array_equal(layout.grid(matrices).ravel(), values)


@given(layouts, st.sampled_from("rd"))
def test_a_factor_multiplies_the_same_numbers_on_the_grid_as_in_the_matrices(
    layout: Layout, role: str
) -> None:
    groups, rows, depth = layout.sizes
    values = np.arange(1, 1 + math.prod(layout.split), dtype=np.float64)
    size = rows if role == "r" else depth
    factor = np.arange(1, 1 + groups * size, dtype=np.float64).reshape(groups, size)
    matrices = layout.matrices(values)
    wanted = matrices * (factor[:, :, None] if role == "r" else factor[:, None, :])
    grid = values.reshape(layout.split) * layout.factor(factor, role)
    assert np.array_equal(layout.matrices(grid), wanted)


@pytest.mark.parametrize(
    ("layout", "sizes"),
    [
        (Layout((4, 3), "dr"), (1, 3, 4)),  # MatMul
        (Layout((2, 4, 3, 5), "grdd"), (2, 4, 15)),  # Conv of two groups
        (Layout((2, 3, 4, 5), "gdrr"), (2, 20, 3)),  # ConvTranspose
    ],
)
def test_roles_decide_what_is_added_up(layout: Layout, sizes: tuple[int, int, int]) -> None:
    assert layout.sizes == sizes
