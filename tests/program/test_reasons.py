"""Each reason for not knowing has its own concrete advice."""

from __future__ import annotations

import pytest

from toolchain.program.reasons import advice


def test_code_of_others_is_for_its_maintainers() -> None:
    assert advice("requires a module", is_foreign=True).startswith("its maintainers can write")
    assert advice("a name that is computed may mean it", is_foreign=True).startswith("list what")


@pytest.mark.parametrize(
    ("why", "word"),
    [
        ("all of `exports` may be used: CommonJS as a whole", "`export`"),
        ("src/main.ts:20 may load it by a computed name", "[dynamic]"),
        ("it imports and exports nothing: what it declares may be global", "export {}"),
        ("not understood: eval may use any name", "`eval`"),
        ("not understood: line 29: not understood as JavaScript", "plainer syntax"),
        ("requires a module", "`import`"),
        ("reads SuppressedError, which nobody declares at line 328", "typeof"),
        ("calls something unknown, createRoot(el), at line 24", "@__PURE__"),
        ("under a condition changes something unknown at line 8", "change the object"),
        ("a loop goes on changing what it calls", "drop the statement"),
    ],
)
def test_the_advice_says_what_to_write(why: str, word: str) -> None:
    assert word in advice(why)
