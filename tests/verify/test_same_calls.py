"""Calls of exports tell a module that computes something else, and nothing else does."""

import pytest

from toolchain.formats import leb128, wasm_calls, wasm_signatures
from toolchain.sources.tools import node
from toolchain.verify import same_calls

# f(a, b) = a + b, kept at address 0 of a memory; g() calls the import with 7 and gives its answer
_SECTIONS = (
    (1, "02 60 02 7f 7f 01 7f 60 01 7f 01 7f"),
    (2, "01 01 65 01 67 00 01"),
    (3, "02 00 01"),
    (5, "01 00 01"),
    (7, "03 01 66 00 01 01 67 00 02 01 6d 02 00"),
    (10, "02 13 00 41 00 20 00 20 01 6a 36 02 00 20 00 20 01 6a 0f 00 0b 06 00 41 07 10 00 0b"),
)


def _module(**changed: str) -> bytes:
    made = b"\0asm\1\0\0\0"
    for kind, text in _SECTIONS:
        payload = bytes.fromhex(changed.get(f"section_{kind}", text))
        made += bytes([kind]) + leb128.encoded(len(payload)) + payload
    return made


def test_a_module_that_does_the_same_is_accepted_with_the_number_of_calls() -> None:
    longer = _module(section_10=_SECTIONS[-1][1].replace("06 00 41 07", "07 00 01 41 07"))
    proof = same_calls.prove(_module(), longer)
    assert proof.holds, proof.detail
    assert proof.detail == "the same 3 exports; instantiated, 8 calls with equal outcome"


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("20 01 6a 0f", "20 01 6b 0f", '["f"'),  # the result: a - b
        ("41 00 20 00 20 01 6a", "41 08 20 00 20 01 6a", '["f"'),  # only the memory
        ("41 07 10", "41 06 10", '["g"'),  # only what the import is given
        ("0f 00 0b", "0f 0b 0b", "engine"),  # no module at all
    ],
)
def test_a_module_that_does_something_else_is_refused(old: str, new: str, seen: str) -> None:
    code = _SECTIONS[-1][1]
    assert old in code
    proof = same_calls.prove(_module(), _module(section_10=code.replace(old, new)))
    assert not proof.holds
    assert seen in proof.detail


@pytest.mark.parametrize(
    ("section", "text", "seen"),
    [
        (7, "02 01 66 00 01 01 6d 02 00", "the exports are not the same"),
        (7, "03 01 66 00 01 01 68 00 02 01 6d 02 00", "the exports are not the same"),
        (2, "01 01 65 01 68 00 01", "the imports are not the same"),
    ],
)
def test_another_interface_is_refused(section: int, text: str, seen: str) -> None:
    proof = same_calls.prove(_module(), _module(**{f"section_{section}": text}))
    assert (proof.holds, proof.detail) == (False, seen)


def test_imports_get_stand_ins_of_their_types() -> None:
    made = b"\0asm\1\0\0\0"
    # e.m: a shared memory of 1 to 2 pages, e.t: a table of 1 function, e.g: a mutable i64
    payload = bytes.fromhex("03 0165016d 02 03 01 02 01650174 01 70 00 01 01650167 03 7e 01")
    made += bytes([2]) + leb128.encoded(len(payload)) + payload
    imports, exports = wasm_signatures.described(made)
    assert exports == []
    assert [one["type"] for one in imports] == [
        {"initial": 1, "maximum": 2, "shared": True},
        {"element": "anyfunc", "initial": 1},
        {"value": "i64", "mutable": True},
    ]
    assert wasm_calls.lines(node(), made, seconds=5) == ['["instantiate","done"]']


def test_a_call_that_never_ends_ends_the_comparison_and_not_the_proof() -> None:
    endless = _module(section_10="02 07 00 20 00 20 01 6a 0b 08 00 03 40 0c 00 0b 00 0b")
    found = wasm_calls.lines(node(), endless, seconds=1)
    assert [line[:4] for line in found[1:]] == ['["f"'] * 4
    assert wasm_calls.difference(found, found[:2]) == ""
