"""Random packages that claim to have no effects and have some: bundled, they print what they print.

Bundlers believe the claim and lose what modules print or register. The pass names those that act in
``sideEffects``, and those by which they are loaded, so that nothing is lost and nothing runs in
another order.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import shaking

from toolchain.formats import esbuild
from toolchain.formats.code_folder import code_folder
from toolchain.passes.tree_shake import TreeShake
from toolchain.sources.tools import tool

_PROGRAMS = 150
_MODULES = 9
_FLAGS = ("--bundle", "--format=esm", "--tree-shaking=true", "--outdir=.", "--outbase=.")


def _program(seed: int) -> dict[str, str]:
    """Return modules that import each other, print, register, and export what may be unused."""
    dice = random.Random(seed)  # noqa: S311 - the same programs each time
    claim: bool | list[str] = False
    if dice.random() < 0.3:
        claim = [f"./m{n}.mjs" for n in range(_MODULES) if dice.random() < 0.3]
    files = {
        "package.json": json.dumps({"name": "app", "sideEffects": claim}),
        "list.mjs": "export const list = [];\n",
    }
    for number in range(_MODULES):
        files[f"m{number}.mjs"] = "".join(_module(number, dice))
    chosen = dice.sample(range(_MODULES), 4)
    lines = [f'import {{ v{n} }} from "./m{n}.mjs";\n' for n in chosen]
    lines.append('import { list } from "./list.mjs";\n')
    shown = [f"v{n}()" for n in chosen if dice.random() < 0.5]
    lines.append(f"console.log({', '.join([*shown, 'list.join()'])});\n")
    files["main.mjs"] = "".join(lines)
    return files


def _module(number: int, dice: random.Random) -> Iterator[str]:
    later = range(number + 1, _MODULES)
    targets = dice.sample(later, min(len(later), dice.randrange(4)))
    used = [t for t in targets if dice.random() < 0.3]
    for target in targets:
        is_bare = target not in used and dice.random() < 0.4
        names = "" if is_bare else f"{{ v{target} }} from "
        yield f'import {names}"./m{target}.mjs";\n'
    if dice.random() < 0.3:
        yield f'console.log("m{number} runs");\n'
    if dice.random() < 0.3:
        yield f'import {{ list }} from "./list.mjs";\nlist.push({number});\n'
    yield f"export const v{number} = () => [{number}{''.join(f', v{t}()' for t in used)}].join();\n"
    yield f'export const unused{number} = () => "nobody asks";\n'


def _bundled(files: dict[str, str], *, is_shaken: bool) -> dict[str, str]:
    graph, store = shaking.graph_of(files)
    graph = TreeShake().apply(graph, store) if is_shaken else graph
    with (
        code_folder(graph.files.values(), store) as folder,
        esbuild.service(tool("esbuild")) as service,
    ):
        result = service.build(esbuild.Build(folder, {"main": "main.mjs"}, _FLAGS))
    assert result.errors == ()
    (output,) = result.outputs
    return {"main.mjs": output.data.decode()}


@pytest.fixture(scope="module")
def programs() -> list[dict[str, str]]:
    return [_program(seed) for seed in range(_PROGRAMS)]


def test_what_packages_wrongly_claim_loses_nothing_in_a_bundle_of_shaken_modules(
    programs: list[dict[str, str]], tmp_path: Path
) -> None:
    expected = shaking.printed(programs, tmp_path / "before")
    bundles = [_bundled(files, is_shaken=True) for files in programs]
    found = shaking.printed(bundles, tmp_path / "after")
    wrong = [n for n, (old, new) in enumerate(zip(expected, found, strict=True)) if old != new]
    assert wrong == []


def test_the_claims_of_these_packages_are_wrong_and_unshaken_bundles_lose_something(
    programs: list[dict[str, str]], tmp_path: Path
) -> None:
    some = programs[:20]
    expected = shaking.printed(some, tmp_path / "before")
    bundles = [_bundled(files, is_shaken=False) for files in some]
    found = shaking.printed(bundles, tmp_path / "after")
    assert sum(old != new for old, new in zip(expected, found, strict=True)) > 10
