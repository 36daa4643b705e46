"""What is wrong in a table is said in words of who wrote it, at a place counted from one."""

from __future__ import annotations

from typing import Literal

import pytest

from toolchain.errors import ConfigError
from toolchain.tables import check, table


@table
class Inner:
    """A row."""

    why: str
    limit: float = 1.0
    count: int = 1
    unit: Literal["byte", "ms"] = "byte"
    match: tuple[str, ...] = ()


@table
class Outer:
    """A document."""

    step: tuple[Inner, ...]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "x.toml: step 2: why: this key is missing"),
        ({"why": "y", "limit": "much"}, "step 2: limit: should be a number"),
        ({"why": "y", "count": 1.5}, "step 2: count: should be a whole number"),
        ({"why": "y", "unit": "KB"}, "step 2: unit: should be 'byte' or 'ms'"),
        ({"why": "y", "match": "*.so"}, 'step 2: match: should be an array, as in ["*.so"]'),
        ({"why": "y", "match": ["a", 3]}, "step 2: match 2: should be text in quotes"),
        ({"why": "y", "match": {}}, "step 2: match: should be an array"),
    ],
)
def test_the_place_and_the_words_are_those_of_the_file(row: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check({"step": [{"why": "first"}, row]}, Outer, where="x.toml")
    assert words in str(caught.value)
    assert "Input should" not in str(caught.value)
