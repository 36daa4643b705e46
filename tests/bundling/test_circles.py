"""Circles are found among what an entry loads, and only where node can load it as it is."""

from __future__ import annotations

import pytest

from toolchain.bundling.circles import circular
from toolchain.formats.esbuild_build import Import, Input


def _inputs(*lines: str) -> dict[str, Input]:
    """Read lines such as ``a.js esm: b.js, import() c.js, outside p``."""
    found = {}
    for line in lines:
        head, _, tail = line.partition(":")
        name, *form = head.split()
        imports = []
        for one in filter(None, tail.split(", ")):
            *how, path = one.split()
            kind = {"import()": "dynamic-import", "require": "require-call"}.get("".join(how))
            imports.append(Import(path, kind or "import-statement", external=how == ["outside"]))
        found[name] = Input(1, tuple(imports), "".join(form))
    return found


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["a.js esm: b.js", "b.js esm: a.js"], {"a.js", "b.js"}),
        (["a.js esm: a.js"], {"a.js"}),
        (["a.js esm: b.js", "b.js esm"], set()),
        (["a.js esm: b.js", "b.js esm: import() a.js"], set()),
        # a lazy module is loaded, too, and so is what it needs
        (
            ["a.js esm: import() b.js", "b.js esm: c.ts, d.json", "c.ts esm: b.js", "d.json"],
            {"a.js", "b.js", "c.ts"},
        ),
        (["a.js esm: outside p", "p esm: p"], set()),
        (
            ["a.js esm: b.js", "b.js esm: a.js, (disabled):fs", "(disabled):fs cjs"],
            {"a.js", "b.js"},
        ),
        (["a.js esm: b.js, c.js", "b.js esm: a.js", "c.js cjs"], set()),
        (["a.js esm: b.js, c.cjs", "b.js esm: a.js", "c.cjs"], set()),
        (["a.js esm: b.js", "b.js esm: a.js, require c.js", "c.js esm"], set()),
    ],
)
def test_a_circle_is_what_modules_import_before_they_run(lines: list[str], found: set[str]) -> None:
    assert circular("a.js", _inputs(*lines)) == found
