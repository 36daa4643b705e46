"""The pass dedupe-modules: one copy is one state, and what its proof sees."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import golden
import pytest

from toolchain import build
from toolchain.ir import ArtifactId, Edge, Graph, MemoryStore, Relation
from toolchain.passes.dedupe_modules import DedupeModules
from toolchain.sources.tools import node
from toolchain.units import Bytes
from toolchain.verify import same_modules
from toolchain.workspace import Workspace

_CASES = golden.ROOT / "fixtures" / "passes" / "dedupe-modules"
_MADE = DedupeModules()


def _case(name: str) -> tuple[Graph, Graph, MemoryStore]:
    before, store = golden.parse(golden.read(_CASES / f"{name}.txt").given)
    return before, _MADE.apply(before, store), store


def _proof(before: Graph, after: Graph, store: MemoryStore) -> str:
    proof = same_modules.prove(before, after, store, asdict(_MADE))
    return "" if proof.holds else proof.detail


def _said(graph: Graph, store: MemoryStore, folder: Path) -> str:
    """Return what node itself, without any bundler, makes of ``total``."""
    for name, artifact in graph.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(artifact.digest))
    for name in [folder, *(p.parent for p in folder.rglob("package.json"))]:
        about = name / "package.json"
        known = json.loads(about.read_text()) if about.exists() else {}
        about.write_text(json.dumps({**known, "type": "module"}))
    code = 'import("./main.js").then((m) => console.log(m.total))'
    done = subprocess.run(
        [node(), "-e", code], cwd=folder, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("case", "apart", "together"),
    [
        ("equal-copies-become-one", "1,1", "1,2"),
        ("equal-copies-side-by-side", "1,1", "1,2"),
        ("a-version-that-all-accept", "1,11", "11,12"),
    ],
)
def test_in_node_what_had_a_state_each_now_shares_one(
    case: str, apart: str, together: str, tmp_path: Path
) -> None:
    before, after, store = _case(case)
    assert _said(before, store, tmp_path / "before") == apart
    assert _said(after, store, tmp_path / "after") == together


def test_the_bytes_of_the_copy_are_gone_and_the_order_of_files_does_not_matter() -> None:
    before, after, store = _case("equal-copies-become-one")
    assert before.size - after.size == sum(
        a.size for i, a in before.artifacts.items() if "/a/node_modules/" in i
    )
    turned = replace(before, artifacts=dict(reversed(before.artifacts.items())))
    assert _MADE.apply(turned, store) == after


def test_copies_inside_copies_go_with_them_and_a_root_inside_keeps_its_copy() -> None:
    before, _, store = _case("equal-copies-become-one")
    inner = ArtifactId("node_modules/a/node_modules/c/index.js")
    rooted = replace(before, roots=before.roots | {inner})
    assert _MADE.apply(rooted, store) is rooted


@pytest.mark.parametrize(
    "wanted", ["latest", "workspace:*", "git+ssh://x/y", "npm:other@^1", "2.x", "", "not a range"]
)
def test_a_range_that_says_nothing_about_the_version_merges_no_versions(wanted: str) -> None:
    given = golden.read(_CASES / "a-version-that-all-accept.txt").given
    before, store = golden.parse(given.replace('"^1.0.0"', json.dumps(wanted)))
    after = _MADE.apply(before, store)
    assert (after is before) == (wanted != "")  # npm: no range is any version


@pytest.mark.parametrize("broken", ["{", "[]", '{"version": 3, "dependencies": [1]}', ""])
def test_a_broken_package_json_merges_nothing_and_breaks_nothing(broken: str) -> None:
    given = golden.read(_CASES / "a-version-that-all-accept.txt").given
    one = '{"name": "c", "version": "1.3.0"}'
    before, store = golden.parse(given.replace(one, broken or " "))
    assert _MADE.apply(before, store) is before


def _with(graph: Graph, store: MemoryStore, name: str, text: str) -> Graph:
    old = graph.artifacts[ArtifactId(name)]
    new = replace(old, digest=store.put(text.encode()), size=Bytes(len(text)))
    return graph.with_artifacts([new])


_Damage = Callable[[Graph, MemoryStore], Graph]
_DAMAGE: dict[str, tuple[str, _Damage]] = {
    "a lost file": (
        "its package is not",
        lambda g, _: g.keep(g.artifacts.keys() - {"node_modules/c/index.js"}),
    ),
    "another root": ("is not the same", lambda g, _: replace(g, roots=frozenset())),
    "changed code": (
        "does more than to pass on",
        lambda g, s: _with(g, s, "node_modules/a/index.js", "export const viaA = () => 7;\n"),
    ),
    "a lost edge": (
        "is gone",
        lambda g, _: replace(
            g, edges=frozenset(e for e in g.edges if e.source != "node_modules/a/index.js")
        ),
    ),
    "an edge too many": (
        "is new",
        lambda g, _: g.with_edges(
            [Edge(ArtifactId("node_modules/c/index.js"), ArtifactId("main.js"), Relation.LAZY)]
        ),
    ),
}


@pytest.mark.parametrize("what", _DAMAGE)
def test_the_proof_sees_what_is_not_as_it_was(what: str) -> None:
    before, after, store = _case("equal-copies-become-one")
    assert _proof(before, after, store) == ""
    words, damage = _DAMAGE[what]
    assert words in _proof(before, damage(after, store), store)


def test_the_proof_sees_a_version_that_the_importer_does_not_accept() -> None:
    before, after, store = _case("a-version-that-all-accept")
    strict = "node_modules/a/package.json"
    text = '{"name": "a", "version": "1.0.0", "dependencies": {"c": "^1.3.0"}}\n'
    assert "meant" in _proof(
        _with(before, store, strict, text), _with(after, store, strict, text), store
    )


def test_the_proof_sees_a_copy_that_was_not_equal() -> None:
    before, after, store = _case("equal-copies-become-one")
    other = "let count = 5;\nexport const next = () => (count += 1);\n"
    patched = _with(before, store, "node_modules/a/node_modules/c/index.js", other)
    assert "meant" in _proof(patched, after, store)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('export * from "../../../a/node_modules/c/index.js";\n', "lost its default"),
        ('export * from "./package.json";\n', "not what it was"),
        ('export * from "./nowhere.js";\n', "not there"),
        ('export * from "./index.js";\n', "yet another"),
        ('export * from "../../../a/node_modules/c/index.js";\nalert();\n', "does more"),
    ],
)
def test_the_proof_sees_a_module_that_passes_on_something_else(text: str, words: str) -> None:
    before, after, store = _case("equal-copies-side-by-side")
    assert _proof(before, after, store) == ""
    wrong = _with(after, store, "node_modules/b/node_modules/c/index.js", text)
    assert words in _proof(before, wrong, store)


def test_the_proof_runs_the_roots_and_sees_another_set_of_names() -> None:
    """A version that everybody accepts may lack a name all the same: semver is a promise."""
    given = golden.read(_CASES / "a-version-that-all-accept.txt").given
    lacking = given.replace("let count = 10;\n    export const next", "export const other")
    before, store = golden.parse(
        lacking.replace(
            'import { next } from "c";\n    export const total = [viaA(), next()].join();',
            'import * as c from "c";\n    export const total = viaA();',
        )
    )
    after = _MADE.apply(before, store)
    assert after is not before
    assert "main.js in node before: loads; after: " in _proof(before, after, store)


def test_of_real_packages_the_copies_that_npm_leaves_become_one() -> None:
    workspace = Workspace.open(jobs=1)
    _, loaded = build.load(str(golden.ROOT / "fixtures" / "duplicate-packages"), workspace)
    before = loaded.graph.without_parts()
    made = DedupeModules(conditions=("node", "import"))
    after = made.apply(before, workspace.store)
    passed_on = {i for i, a in after.files.items() if a.digest != before.artifacts[i].digest}
    folders = {i.partition("/node_modules/")[2].partition("/")[0] for i in passed_on}
    assert folders == {"debug", "ms"}
    assert before.size - after.size > 15_000
    proof = same_modules.prove(before, after, workspace.store, asdict(made))
    assert proof.holds, proof.detail
    assert "src/main.js loads in node with the same 3 exports" in proof.detail


def test_the_proof_sees_a_line_that_passes_on_what_nobody_meant_or_accepts() -> None:
    before, after, store = _case("the-better-one-lies-further-in")
    assert _proof(before, after, store) == ""
    strict = "node_modules/d/package.json"
    text = '{"name": "d", "version": "1.0.0", "dependencies": {"c": "~1.2.0"}}\n'
    refused = _proof(_with(before, store, strict, text), _with(after, store, strict, text), store)
    assert "is not what it was" in refused
    other = 'export * from "../a/index.js";\n'
    wrong = _with(after, store, "node_modules/c/index.js", other)
    assert "is not what it was" in _proof(before, wrong, store)
