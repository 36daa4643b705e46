"""What holds for every module that strip-wasm rewrites; single cases are in fixtures/passes."""

from __future__ import annotations

import random

import golden
import pytest
import real
from hypothesis import given
from hypothesis import strategies as st

from toolchain.errors import FormatError
from toolchain.formats import wasm
from toolchain.ir import Kind
from toolchain.passes.strip_wasm import StripWasm

# both sides of a one-byte, two-byte and three-byte length
SIZES = st.sampled_from([0, 1, 126, 127, 128, 300, 16383, 16384])
KEPT = st.sampled_from(["dylink.0", "target_features", "build_id", "nam", "names", "debug", ""])
DEBUG = st.sampled_from(
    ["name", "producers", "sourceMappingURL", ".debug_info", ".debug_", "reloc.x"]
)


def _custom(name: str, size: int) -> str:
    return f'custom "{name}" {"5a" * size}\n'


def _code(size: int) -> str:
    return f"code {'0b' * size}\n"


@given(
    st.lists(st.tuples(KEPT, SIZES), max_size=3),
    st.lists(st.tuples(DEBUG, SIZES), max_size=3),
    SIZES,
    st.randoms(use_true_random=False),
)
def test_code_and_kept_sections_are_never_touched(
    kept: list[tuple[str, int]], debug: list[tuple[str, int]], size: int, chance: random.Random
) -> None:
    staying = [_code(size), *(_custom(*k) for k in kept)]
    everything = list(staying)
    for one in debug:
        everything.insert(chance.randrange(len(everything) + 1), _custom(*one))
    before = golden.encode(Kind.WASM, "".join(everything))
    after = StripWasm().rewrite(before)
    assert after == golden.encode(Kind.WASM, "".join(staying))
    assert StripWasm().rewrite(after) is after
    if not debug:
        assert after is before


@pytest.mark.parametrize(
    ("package", "member"),
    [
        ("npm:@runanywhere/web-onnx@0.1.0-beta.10", "wasm/sherpa/sherpa-onnx.wasm"),
        ("npm:onnxruntime-web@1.30.0", "dist/ort-wasm-simd-threaded.wasm"),
    ],
)
def test_released_modules_that_are_clean_are_left_as_they_are(package: str, member: str) -> None:
    data = real.file(package, member).read_bytes()
    assert StripWasm().rewrite(data) is data


def test_a_real_module_gets_its_debug_sections_off_again() -> None:
    clean = real.file("npm:onnxruntime-web@1.30.0", "dist/ort-wasm-simd-threaded.wasm").read_bytes()
    head = wasm.HEADER_BYTES
    debug = golden.encode(Kind.WASM, _custom(".debug_info", 100_000))[head:]
    names = golden.encode(Kind.WASM, _custom("name", 50_000))[head:]
    assert StripWasm().rewrite(clean[:head] + debug + clean[head:] + names) == clean


def test_seeded_damage_is_refused_or_stays_in_place() -> None:
    chance = random.Random(20)  # noqa: S311 - reproducible damage, not secrets
    data = golden.encode(Kind.WASM, "".join([_custom("name", 20), _code(40), _custom("acme", 9)]))
    refused = 0
    for _ in range(500):
        damaged = bytearray(data)
        damaged[chance.randrange(len(data))] = chance.randrange(256)
        try:
            after = StripWasm().rewrite(bytes(damaged))
        except FormatError:
            refused += 1
        else:
            assert len(after) <= len(data)
            wasm.sections(after)
    assert 20 < refused < 480
