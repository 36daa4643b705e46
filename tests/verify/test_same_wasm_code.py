"""The proof of strip-wasm refuses what an engine or a loader would notice."""

from __future__ import annotations

import golden
import pytest

from toolchain.ir import Kind, Proof
from toolchain.passes.strip_wasm import StripWasm
from toolchain.verify.same_wasm_code import prove

CODE = "type 01 60 00 00\nfunction 01 00\nexport 01 01 66 00 00\ncode 01 02 00 0b\n"
BEFORE = CODE + 'custom "dylink.0" 01\ncustom "name" 00 01 00\ncustom "producers" 00\n'


def _prove(before: str, after: str) -> Proof:
    return prove(golden.encode(Kind.WASM, before), golden.encode(Kind.WASM, after), {})


@pytest.mark.parametrize("keep_names", [True, False])
def test_what_the_pass_makes_is_proved(*, keep_names: bool) -> None:
    before = golden.encode(Kind.WASM, BEFORE)
    proof = prove(before, StripWasm(keep_names=keep_names).rewrite(before), {})
    assert proof == Proof(
        "same-wasm-code", holds=True, detail="4 sections (23 B) identical; node accepts it"
    )


@pytest.mark.parametrize(
    ("after", "why"),
    [
        (BEFORE.replace("code 01 02 00 0b", "code 01 03 00 01 0b"), "section code changed"),
        (BEFORE.replace("code 01 02 00 0b\n", ""), "section code changed"),
        (
            BEFORE.replace('custom "dylink.0" 01\n', ""),
            "section custom:dylink.0 is gone, and something may read it",
        ),
        (
            BEFORE.replace('custom "dylink.0" 01', 'custom "dylink.0" 02'),
            "section custom:dylink.0 is gone, and something may read it",
        ),
        (BEFORE + 'custom "new" 00', "section custom:new was not there before"),
        (CODE + 'custom "name" 00 01 00\ncustom "dylink.0" 01', "section custom:dylink.0 is gone"),
        (CODE + 'custom "name" 00 01 01\ncustom "dylink.0" 01', "section custom:dylink.0 is gone"),
        ("raw 00 61 73 6d", "unknown version at byte 4"),
        ("raw 00 61 73 6d 01 00 00 00 01", "unfinished LEB128 number at byte 9"),
    ],
)
def test_a_result_that_is_not_the_same_is_refused(after: str, why: str) -> None:
    proof = _prove(BEFORE, after)
    assert not proof.holds
    assert why in proof.detail


def test_a_linkers_input_may_not_lose_anything() -> None:
    before = CODE + 'custom "linking" 02\ncustom "producers" 00\n'
    proof = _prove(before, CODE + 'custom "linking" 02\n')
    assert (proof.holds, proof.detail) == (False, "section custom:producers changed")


def test_a_module_no_engine_accepted_before_need_not_be_accepted_after() -> None:
    broken = CODE.replace("00 0b", "00 1a")  # `drop` of nothing, and no `end`
    proof = _prove(broken + 'custom "name" 00 01 00\n', broken)
    assert proof.holds
    assert proof.detail.endswith("node accepts neither the original nor the result")
