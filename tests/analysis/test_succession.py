"""Names with and without hashes: who takes whose place."""

from __future__ import annotations

import pytest

from toolchain.analysis.succession import place, predecessors


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/chunk-3ZB2RMEH.js", "a/chunk-QQQQQQQQ.js"),  # esbuild
        ("a/index-BRx3f_kD.js", "a/index-Cq9Z0w1_.js"),  # vite
        ("main.4fc8a1e0.js", "main.99999999.js"),  # webpack
        ("main.4fc8a1e0.chunk.js", "main.deadbee5.chunk.js"),
        ("ort-0b1b2b3b4b5b6b7b8b9b.wasm", "ort-1b1b2b3b4b5b6b7b8b9b.wasm"),
    ],
)
def test_names_that_differ_in_a_hash_are_of_one_place(one: str, other: str) -> None:
    assert place(one) == place(other)
    assert place(one).end is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/chunk-3ZB2RMEH.js", "b/chunk-QQQQQQQQ.js"),
        ("chunk-3ZB2RMEH.js", "chunk-QQQQQQQQ.css"),
        ("chunk-3ZB2RMEH.js", "part-QQQQQQQQ.js"),
        ("ort-threaded.wasm", "ort-asyncify.wasm"),  # words, not hashes
        ("locale-portuguese.js", "locale-ukrainian.js"),
        ("v1.2.3.js", "v1.2.4.js"),
        ("3ZB2RMEH.js", "QQQQQQQQ.js"),  # nothing else in the name: any file would do
    ],
)
def test_names_that_differ_in_more_are_not(one: str, other: str) -> None:
    assert place(one) != place(other)


@pytest.mark.parametrize("name", ["", "a", "a/", ".", "-", "a-.js", "-12345678.js", ".12345678"])
def test_odd_names_have_a_place(name: str) -> None:
    assert place(name) == place(name)


def test_the_same_name_is_the_only_predecessor_and_else_all_that_differ_in_a_hash() -> None:
    old = ["x-AAAAAAAA.js", "x-BBBBBBBB.js", "main.js", "y-AAAAAAAA.js"]
    new = ["x-BBBBBBBB.js", "x-CCCCCCCC.js", "main.js", "other.js"]
    assert predecessors(new, old) == {
        "x-BBBBBBBB.js": ("x-BBBBBBBB.js",),
        "x-CCCCCCCC.js": ("x-AAAAAAAA.js", "x-BBBBBBBB.js"),
        "main.js": ("main.js",),
        "other.js": (),
    }
