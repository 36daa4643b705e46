"""The real command line on JavaScript that is wrong, odd or hostile: said clearly, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli.project import BUNDLE, at_once, leftovers, package, project, vtool

from toolchain.formats import node_module

SHAKE = '[[step]]\nrun = "tree-shake"\nwhy = "less code"\n' + BUNDLE
LOOP = "src/node_modules/loop/"
PEER = "src/node_modules/p/"
OPTIONAL = {"peerDependencies": {"q": "*"}, "peerDependenciesMeta": {"q": {"optional": True}}}

Files = dict[str, str | bytes]
REFUSED: dict[str, tuple[Files, tuple[str, ...]]] = {
    "syntax of an imported module": (
        {"src/main.js": 'import "./b.js";', "src/b.js": "let a = 1;\nlet = = 3;\n"},
        ("src/b.js:2",),
    ),
    "a name that is no UTF-8": (
        {"src/main.js": b"export const a = 1;\nconst caf\xe9 = 3;\n"},
        ("src/main.js:2", "caf"),
    ),
    "UTF-16": (
        {"src/main.js": "export const a = 1;".encode("utf-16")},
        ("src/main.js", "zero byte"),
    ),
    "exports in a circle": (
        {
            "src/main.js": 'import { b } from "loop"; export const a = b;',
            LOOP + "package.json": package(
                "loop", exports={".": "./x", "./x": "./y", "./y": "./x"}
            ),
            LOOP + "index.js": "export const b = 1;",
        },
        ("src/main.js:1", "loop", "./x"),
    ),
    "imports in a circle": (
        {
            "src/main.js": 'import { b } from "#a"; export const a = b;',
            "package.json": package("own", imports={"#a": "#b", "#b": "#a"}),
        },
        ("src/main.js:1", "#a"),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_broken_code_is_refused_by_both_commands_at_its_place(tmp_path: Path, name: str) -> None:
    files, words = REFUSED[name]
    own = project(tmp_path / "p", files)
    analyzed, optimized = at_once(
        lambda: vtool("analyze", own), lambda: vtool("optimize", own, "-o", tmp_path / "out")
    )
    analyzed.refuses(3, *words)
    optimized.refuses(3, *words)
    assert not (tmp_path / "out").exists()
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("mono/packages/app", ("ui is a link out of the project", "the folder above both")),
        ("mono", ("ui is a link to a folder of this project", "`workspaces`")),
    ],
)
def test_a_link_to_a_package_that_is_not_followed_is_named_with_what_works(
    tmp_path: Path, own: str, words: tuple[str, ...]
) -> None:
    files: Files = {"src/main.js": 'import { b } from "ui"; export const a = b;'}
    made = project(tmp_path / own, files)
    for folder in ("mono/packages/ui", "mono/node_modules"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / "mono/packages/ui/package.json").write_text(package("ui"), "utf-8")
    (tmp_path / "mono/node_modules/ui").symlink_to("../packages/ui")
    vtool("optimize", made, "-o", tmp_path / "out").refuses(3, "src/main.js:1", *words)


def optimized(tmp_path: Path, files: Files, steps: str = SHAKE) -> dict[str, Any]:
    """Optimize; return the report, and that of ``analyze`` as "analyzed"."""
    own = project(tmp_path / "p", files, steps=steps)
    first, second = at_once(
        lambda: vtool("analyze", own, "--json", "-"),
        lambda: vtool("optimize", own, "-o", tmp_path / "out"),
    )
    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert "Traceback" not in first.err + second.err
    report: dict[str, Any] = json.loads((tmp_path / "out/report.json").read_text("utf-8"))
    report["analyzed"] = json.loads(first.out)
    return report


def proof(report: dict[str, Any]) -> str:
    return " ".join(row["proof"]["detail"] for row in report["ledger"])


def test_bytes_that_are_no_utf8_in_a_string_are_found_and_harm_nobody(tmp_path: Path) -> None:
    report = optimized(tmp_path, {"src/main.js": b'export const a = "caf\xe9";\n'})
    (finding,) = report["analyzed"]["findings"]
    assert "not UTF-8 at byte 21" in finding["message"]


def test_a_missing_optional_peer_is_a_finding_and_stays_a_request(tmp_path: Path) -> None:
    files: Files = {
        "src/main.js": 'import { b } from "p"; export const a = b;',
        PEER + "package.json": package("p", main="index.js", **OPTIONAL),
        PEER + "index.js": 'let q; try { q = require("q"); } catch { q = null }\nexports.b = !q;',
    }
    report = optimized(tmp_path, files)
    assert any("q is not among the files" in f["message"] for f in report["analyzed"]["findings"])
    assert '("q")' in (tmp_path / "out/app/main.js").read_text("utf-8").replace("'", '"')


def test_legal_code_that_bundlers_refuse_stays_unbundled_and_the_ledger_says_who(
    tmp_path: Path,
) -> None:
    code = 'import { b } from "./b.js"; const c = 1; let k = "no";\n'
    code += 'try { c = 2; } catch { k = "threw"; }\ntry { b = 2; } catch {}\nexport { k };\n'
    files: Files = {"src/main.js": code, "src/b.js": "export let b = 1;"}
    report = optimized(tmp_path, files, BUNDLE)
    assert 'esbuild: src/main.js:2: Cannot assign to "c"' in proof(report)
    assert (tmp_path / "out/src/main.js").read_text("utf-8") == code


def test_a_module_of_node_is_a_finding_and_stops_a_bundle_for_browsers(tmp_path: Path) -> None:
    own = project(tmp_path / "p", {"src/main.js": 'import "node:fs"; export const a = 1;'})
    analyzed, refused = at_once(
        lambda: vtool("analyze", own), lambda: vtool("optimize", own, "-o", tmp_path / "out")
    )
    assert analyzed.code == 0
    assert "node:fs is not among the files" in " ".join(analyzed.out.split())
    refused.refuses(3, "src/main.js:1", "node:fs is a module of Node", "external")


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ('export const a = 1; throw new Error("at the top");', "at the top"),
        ("export const a = await new Promise(() => {});", "its top level waits for ever"),
    ],
    ids=["throws", "waits"],
)
def test_a_module_that_does_not_load_is_kept_as_it_is_and_the_proof_says_so(
    tmp_path: Path, code: str, word: str
) -> None:
    detail = proof(optimized(tmp_path, {"src/main.js": code}))
    assert "does not load in node either" in detail
    assert word in detail


@pytest.mark.parametrize(
    "code",
    [
        "setInterval(() => {}, 9); export const a = await new Promise(() => {});",
        "for (;;) ; export const a = 1;",
    ],
    ids=["waits and works", "never ends"],
)
def test_loading_what_never_ends_ends(
    tmp_path: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolchain.sources.tools import node  # noqa: PLC0415 - fetched where it is missing

    monkeypatch.setattr(node_module, "_TIMEOUT_SECONDS", 1.0)
    (tmp_path / "a.mjs").write_text(code, "utf-8")
    assert node_module.load_module(node(), tmp_path / "a.mjs").error == (
        "it did not load within 1 s"
    )


def test_deep_code_goes_through_or_is_left_alone(tmp_path: Path) -> None:
    deep = {
        "brackets": "export const a = " + "(" * 3000 + "1" + ")" * 3000 + ";",
        "sum": "export const a = " + "+".join(f'"x{n}"' for n in range(5000)) + ";",
        "conditions": "export const a = (x) => "
        + "".join(f"x==={n}?{n}:" for n in range(2000))
        + "0;",
        "functions": "export const a = " + "()=>" * 1000 + "1;",
        "calls": "\n".join(f"function f{n}(x) {{ return f{n + 1}(x) }}" for n in range(3000))
        + "\nfunction f3000(x) { return x }\nexport const a = f0(1);",
    }
    lines = [f'export {{ a as {name} }} from "./{name}.js";' for name in deep]
    files: Files = {f"src/{name}.js": code for name, code in deep.items()}
    report = optimized(tmp_path, {"src/main.js": "\n".join(lines), **files})
    assert "app/main.js: 5 exports as in src/main.js, same names and types" in proof(report)


def test_a_long_line_and_a_long_chain_of_imports_take_seconds(tmp_path: Path) -> None:
    line = ";".join(
        f"function g{n}(e){{return e?g{max(n - 1, 0)}(e-1):[{n}]}}" for n in range(4000)
    )
    chain = {
        f"src/m{n}.js": f'import {{ v as w }} from "./m{n + 1}.js"; export const v = w + 1;'
        for n in range(100)
    }
    files: Files = {
        "src/main.js": f'{line};export {{ v }} from "./m0.js"; export const a = g1999(3);',
        "src/m100.js": "export const v = 0;",
        **chain,
    }
    report = optimized(tmp_path, files)
    assert sum(row["seconds"] for row in report["ledger"]) < 60  # 5 s of a quiet machine
