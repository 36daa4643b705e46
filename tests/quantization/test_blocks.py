"""Models on 4- and 8-bit blocks, coded anew: exact where they should be, smaller where coarser."""

from __future__ import annotations

from collections.abc import Mapping

import block_models
import numpy as np
import pytest
from block_models import NextToken
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper

from toolchain.errors import ConfigError
from toolchain.formats import onnx_model
from toolchain.formats.chunk_coding import Effort
from toolchain.formats.coded_tensor import decoded
from toolchain.formats.gguf_blocks import as_float32
from toolchain.formats.materializer import materialize
from toolchain.formats.model_package import pack
from toolchain.formats.onnx_blocks import BlockMatrix, Stored, block_matrices
from toolchain.formats.onnx_exposed import exposed
from toolchain.formats.onnx_runner import Watched, open_runner
from toolchain.formats.onnx_weights import with_values
from toolchain.quantization import block_moments as block_moments_module
from toolchain.quantization import blocks
from toolchain.quantization.block_codes import code_coder
from toolchain.quantization.block_factors import factor_coder
from toolchain.quantization.block_moments import Seen, block_moments
from toolchain.quantization.blocks import Kind, coders, recode, search
from toolchain.quantization.search import Plan
from toolchain.tasks.base import Limit, Split

ALL = {Kind.TOKENS: 4.0, Kind.CODES: 4.0, Kind.FACTORS: 0.1}
EASY = NextToken(Limit(error=1.0))


def matrix(  # noqa: PLR0913 - what a matrix is made of, all named
    *, rows: int, count: int, block: int = 32, bits: int = 4, minima: bool = True, seed: int = 0
) -> BlockMatrix:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 256, (rows, count, block * bits // 8)).astype(np.uint8)
    scales = (generator.uniform(0.5, 1.5, (rows, count)) / 64).astype(np.float16)
    lowest = (-8 * scales.astype(np.float32) * generator.uniform(0.7, 1.3, (rows, count))).astype(
        np.float16
    )
    return BlockMatrix(
        name="w",
        activations="x",
        bits=bits,
        block=block,
        zero=0 if minima and bits == 4 else 2 ** (bits - 1),
        gathered=False,
        codes=Stored(0, codes),
        scales=Stored(1, scales),
        minima=Stored(2, lowest) if minima else None,
    )


def seen(columns: int, block: int, seed: int = 0) -> Seen:
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((columns, columns)) / columns**0.5
    rows = generator.standard_normal((4 * columns, columns)) @ mixing
    full = rows.T @ rows / len(rows)
    at = np.arange(columns // block)
    parts = full.reshape(len(at), block, len(at), block)[at, :, at]
    return Seen(len(rows), parts, full)


def arrays(model: bytes) -> list[NDArray[np.generic]]:
    return [numpy_helper.to_array(t) for t in onnx_model.tensors(onnx_model.load(model))]


def changed(one: BlockMatrix, coded: dict[int, NDArray[np.generic]]) -> NDArray[np.float64]:
    """Return the change of the matrix's numbers, (rows, columns)."""
    stored = {s.index: s.values for s in (one.codes, one.scales, one.minima) if s is not None}
    both = []
    for values in (stored, {**stored, **coded}):
        now = BlockMatrix(
            one.name,
            one.activations,
            one.bits,
            one.block,
            one.zero,
            one.gathered,
            Stored(0, values[0]),
            Stored(1, values[1]),
            None,
        )
        numbers = now.numbers().astype(np.float64)
        if one.minima is not None:
            numbers = numbers + values[2].astype(np.float64)[:, :, None]
        both.append(numbers.reshape(len(numbers), -1))
    return both[1] - both[0]


@pytest.mark.parametrize(
    ("matrices", "embedding", "tied", "kinds"),
    [
        ("Q4_1", "Q8_0", True, {Kind.TOKENS, Kind.FACTORS}),
        ("Q4_0", "Q8_0", True, {Kind.TOKENS, Kind.FACTORS}),
        ("Q8_0", "Q8_0", True, {Kind.TOKENS, Kind.CODES}),
        ("Q4_1", "Q8_0", False, {Kind.CODES, Kind.FACTORS}),
    ],
)
def test_every_matrix_of_an_imported_model_is_found_with_its_numbers(
    matrices: str, embedding: str, kinds: set[Kind], *, tied: bool
) -> None:
    model = block_models.model(matrices, embedding, tied=tied)
    found = block_matrices(model)
    assert len(found) == 2 * 4 + 1
    assert {blocks.kind(one) for one in found} == kinds
    tensors = list(onnx_model.tensors(onnx_model.load(model)))
    for one in found:
        assert tensors[one.codes.index].name == one.name
        assert tensors[one.scales.index].name == one.name.removesuffix("codes") + "scales"
        assert (
            one.zero
            == {"Q4_1": 0, "Q4_0": 8, "Q8_0": 128}[embedding if one.bits == 8 else matrices]
        )


@pytest.mark.parametrize("matrices", ["Q4_1", "Q4_0", "Q8_0"])
def test_numbers_of_a_matrix_are_those_of_the_file(matrices: str) -> None:
    source = block_models.source(matrices)
    found = {one.name: one for one in block_matrices(block_models.model(matrices))}
    for name in ("blk.1.ffn_down.weight", "token_embd.weight"):
        one = found[f"{name}.codes"]
        numbers = one.numbers()
        if one.minima is not None:
            numbers = numbers + one.minima.values.astype(np.float32)[:, :, None]
        expected = as_float32(source, next(t for t in source.tensors if t.name == name))
        assert np.array_equal(numbers.reshape(expected.shape), expected)


def test_zero_points_are_left_alone() -> None:
    parsed = onnx_model.load(block_models.model())
    product = next(n for n in parsed.graph.node if n.op_type == "MatMulNBits")
    product.input.append("some.zero_points")
    names = {one.name for one in block_matrices(onnx_model.serialized(parsed))}
    assert product.input[1] not in names
    assert len(names) == 2 * 4


def test_factors_of_two_tensors_are_left_alone() -> None:
    found = block_matrices(block_models.model("Q6_K", hidden=256))
    assert [one.name for one in found] == ["token_embd.weight.codes"]


def test_without_steps_the_package_gives_back_the_model() -> None:
    model = block_models.model()
    coded = recode(coders(block_matrices(model), {}), {})
    assert materialize(pack(model, coded, effort=Effort.FAST)) == model


@pytest.mark.parametrize("matrices", ["Q4_1", "Q4_0", "Q8_0"])
def test_what_runs_is_what_was_judged(matrices: str) -> None:
    model = block_models.model(matrices)
    coded = recode(coders(block_matrices(model), {}), ALL)
    assert coded
    filled = with_values(model, {i: decoded(c) for i, c in coded.items()})
    package = pack(model, coded, effort=Effort.FAST)
    pairs = zip(arrays(materialize(package)), arrays(filled), strict=True)
    assert all(a.tobytes() == b.tobytes() for a, b in pairs)
    assert len(package) < len(pack(model, {}, effort=Effort.FAST))


@settings(max_examples=30)
@given(
    one=st.builds(
        matrix,
        rows=st.integers(1, 40),
        count=st.integers(1, 5),
        block=st.sampled_from([16, 32, 64]),
        minima=st.booleans(),
        seed=st.integers(0, 99),
    ),
    step=st.sampled_from([0.001, 0.05, 0.3, 2.0]),
)
def test_factors_keep_type_and_shape_and_are_within_a_step(one: BlockMatrix, step: float) -> None:
    for index, coded in factor_coder(one, None).coded(step).items():
        stored = one.scales if index == 1 else one.minima
        assert stored is not None
        got = decoded(coded)
        assert (got.dtype, got.shape) == (stored.values.dtype, stored.values.shape)
        if index == one.scales.index:
            steps = np.prod([np.broadcast_to(f, got.shape) for f in coded.factors], axis=0)
            wrong = np.abs(got.astype(np.float64) - stored.values.astype(np.float64))
            assert (wrong <= steps + 2e-3 * np.abs(stored.values)).all()
            assert (got.astype(np.float64) > 0).all()


@settings(max_examples=20)
@given(
    rows=st.integers(1, 70),
    count=st.integers(1, 4),
    step=st.sampled_from([0.5, 3.0, 9.0]),
    seed=st.integers(0, 99),
)
def test_new_codes_are_within_half_a_step_without_feedback(
    rows: int, count: int, step: float, seed: int
) -> None:
    one = matrix(rows=rows, count=count, bits=8, minima=False, seed=seed)
    found = code_coder(one, None).coded(step)
    if not found:
        return
    arrays = {i: decoded(c) for i, c in found.items()}
    wrong = np.abs(changed(one, arrays)).reshape(rows, count, 32)
    steps = arrays[1].astype(np.float64)[:, :, None]
    assert (wrong <= steps * 0.51).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_coarser_steps_take_fewer_bytes(bits: int) -> None:
    one = matrix(rows=256, count=4, bits=bits, minima=bits == 4)
    coder = (factor_coder if bits == 4 else code_coder)(one, seen(128, 32))
    sizes = []
    for step in (0.02, 0.05, 0.2) if bits == 4 else (2.0, 4.0, 8.0):
        found = coder.coded(step)
        sizes.append(sum(blocks._coded_bits(c) for c in found.values()))
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


def test_feedback_makes_answers_better_than_rounding_alone() -> None:
    one = matrix(rows=64, count=4, bits=8, minima=False)
    known = seen(128, 32)
    errors = []
    for moments in (known, Seen(known.rows, known.blocks, None)):
        found = code_coder(one, moments).coded(6.0)
        wrong = changed(one, {i: decoded(c) for i, c in found.items()})
        assert known.full is not None
        errors.append(np.einsum("rk,kl,rl->", wrong, known.full, wrong))
    assert errors[0] < 0.7 * errors[1]


def test_minima_take_over_what_the_rounding_of_scales_spoiled() -> None:
    one = matrix(rows=64, count=4)
    found = factor_coder(one, None).coded(0.2)
    both = changed(one, {i: decoded(c) for i, c in found.items()})
    scales_alone = changed(one, {1: decoded(found[1])})
    assert np.square(both).sum() < 0.6 * np.square(scales_alone).sum()


def test_frequent_tokens_have_finer_steps_than_rare_ones() -> None:
    model = block_models.model()
    one = next(m for m in block_matrices(model) if m.gathered)
    scales = decoded(code_coder(one, None).coded(3.0)[one.scales.index])
    assert scales[:64].mean() < scales[-64:].mean()


def test_moments_are_those_of_the_activations() -> None:
    model = block_models.model()
    matrices = block_matrices(model)
    found = block_moments(model, EASY, matrices)
    assert set(found) == {one.name for one in matrices}
    answers: list[Mapping[str, NDArray[np.generic]]] = []
    runner = open_runner(exposed(model, {one.activations for one in matrices}))
    EASY.reference(Watched(runner, lambda _, found: answers.append(found)), Split.CALIBRATION)
    for one in matrices:
        runs = [seen[one.activations].reshape(-1, one.columns) for seen in answers]
        energies = [np.square(rows).sum(axis=1) for rows in runs]
        usual = [
            rows[energy <= 10 * np.median(energy)]
            for rows, energy in zip(runs, energies, strict=True)
        ]
        rows = np.concatenate(usual).astype(np.float64)
        full = rows.T @ rows / len(rows)
        of_one = found[one.name]
        assert of_one.rows == len(rows)
        assert np.allclose(
            of_one.blocks[1],
            full[one.block : 2 * one.block, one.block :][:, : one.block],
            rtol=1e-4,
            atol=1e-6,
        )
        assert (of_one.full is not None) == (one.bits == 8)
        if of_one.full is not None:
            assert np.allclose(of_one.full, full, rtol=1e-4, atol=1e-6)


def test_one_loud_row_does_not_drown_the_others() -> None:
    rows = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    sums = block_moments_module._Sum(64, 32, full=True)
    sums.add(rows)
    loud = block_moments_module._Sum(64, 32, full=True)
    loud.add(np.concatenate([1000 * rows[:1], rows]))
    quiet, with_loud = sums.seen(), loud.seen()
    assert quiet is not None
    assert with_loud is not None
    assert np.array_equal(quiet.blocks, with_loud.blocks)


def test_no_scale_becomes_zero() -> None:
    found = factor_coder(matrix(rows=256, count=8), None).coded(3.0)
    assert (decoded(found[1]).astype(np.float32) > 0).all()


def test_search_stays_within_its_limit_and_saves() -> None:
    model = block_models.model()
    task = NextToken(Limit(error=0.002))
    found = search(model, task, Plan(workers=1))
    assert found.coded, found.note
    assert found.score is not None
    assert found.score.error <= 0.002
    filled = with_values(model, {i: decoded(c) for i, c in found.coded.items()})
    reference = task.reference(open_runner(model), Split.CONFIRMATION)
    again = task.score(open_runner(filled), reference, Split.CONFIRMATION)
    assert again == found.score
    assert sum(row.after for row in found.rows) < 0.9 * sum(row.before for row in found.rows)


def test_tighter_limits_never_give_fewer_bytes() -> None:
    model = block_models.model()
    sizes = [
        len(pack(model, search(model, NextToken(Limit(error=e)), Plan(workers=1)).coded))
        for e in (0.01, 0.0005)
    ]
    assert sizes[0] < sizes[1]


def test_result_does_not_depend_on_the_number_of_workers() -> None:
    model = block_models.model("Q4_0")
    packages = [
        pack(model, search(model, NextToken(Limit(error=0.004)), Plan(workers=n)).coded)
        for n in (1, 2)
    ]
    assert packages[0] == packages[1]


def test_limit_that_nothing_holds_leaves_the_model_as_it_was() -> None:
    found = search(block_models.model(), NextToken(Limit(error=1e-12)), Plan(workers=1))
    assert not found.coded
    assert found.note


@pytest.mark.filterwarnings("error")
def test_limit_of_nothing_leaves_the_model_as_it_was_and_says_why() -> None:
    found = search(block_models.model(), NextToken(Limit(error=0.0)), Plan(workers=1))
    assert not found.coded
    assert found.score is None
    assert "save" in found.note


def test_search_without_a_limit_is_refused() -> None:
    with pytest.raises(ConfigError):
        search(block_models.model(), NextToken(Limit()), Plan())


def test_model_without_blocks_is_left_alone() -> None:
    found = search(block_models.model("F16", "F16"), EASY, Plan())
    assert (found.coded, found.note) == ({}, "it has no block-quantized matrices")
