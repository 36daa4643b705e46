"""The candidates of bundle-js: real bundlers on one stage, each proved, none trusted."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import golden
import pytest

from toolchain.bundling.contenders import contenders
from toolchain.errors import ConfigError, InputError
from toolchain.ir import ArtifactId, Fate, Graph, Kind, Relation, Store
from toolchain.passes.base import Again, Attempt
from toolchain.passes.bundle_js import BundleJs
from toolchain.sources.toolbox import missing_here
from toolchain.sources.tools import node
from toolchain.verify import same_exports

NAMES = ("esbuild", "rolldown", "rolldown+swc", "rspack", "bun", "rollup+swc", "rollup+terser")
# Every way in which an import may be hard to find, or to leave alone.
PROJECT = """\
ts *src/main.ts -> src/data.json -> src/old.cjs -> src/twice.ts ~> src/lazy.ts => src/w.js
    /*! by the authors of main */
    import data, { rate } from "./data.json";
    import old from "./old.cjs";
    import { readFileSync } from "fs";
    import twice from "@/twice";
    const enum Mode { Slow, Fast }
    export const lazy = () => import("./lazy").then((m) => m.used());
    export const pick = (n: string) => import(`./voices/${n}.js`).then((m) => m.name);
    export const any = (name: string) => import(name);
    export const worker = () => new Worker(new URL("./w.js", import.meta.url), { type: "module" });
    export const model = () => new URL("../models/vad.onnx", import.meta.url).href;
    export const peer = () => { try { return require("optional-peer"); } catch { return null; } };
    export const found = [rate, data, old.list[1], Mode.Fast, typeof readFileSync, twice(2)];
    export const mode = process.env.NODE_ENV;
json src/data.json
    {"rate": 16000, "not-a-name": 1}
js src/old.cjs -> src/list.json
    exports.list = require("./list.json");
json src/list.json
    [1, 2]
ts src/twice.ts
    export default (n: number): number => 2 * n;
ts src/lazy.ts -> src/shared.js
    import { shared } from "./shared";
    export const used = (): string => shared("lazy"), unused = (): string => "nobody asks";
js src/shared.js
    export const shared = (who) => `shared by ${who}`;
js src/w.js -> src/shared.js
    import { shared } from "./shared.js";
    postMessage(shared("worker"));
js src/voices/low.js
    export const name = "low";
js src/voices/high.js
    export const name = "high";
json package.json
    {"name": "app", "browser": {"fs": false}}
json tsconfig.json
    {"compilerOptions": {"baseUrl": ".", "paths": {"@/*": ["src/*"]}}}
onnx models/vad.onnx
"""
TRIED = """\
js *main.js
    const TRIED = {
      in: (x) => { try { "a" in x; return true; } catch { return false; } },
      instanceof: (x) => { try { let is = {} instanceof x; return 1; } catch { return 0; } },
      array: (x) => { try { new Array(-x); return true; } catch { return false; } },
      bigint: (x) => { try { BigInt(x) + x; return true; } catch { return false; } },
      symbol: (x) => { try { `${Symbol(x)}`; return true; } catch { return false; } },
      extends: (x) => { try { class A extends x {} return true; } catch { return false; } },
      fine: (x) => { try { x; return true; } catch { return false; } },
      bare: () => { try { nobodyHasThis; return true; } catch { return false; } },
    };
    export const answers = () => Object.keys(TRIED).filter((key) => !TRIED[key](1)).join(" ");
"""
BROKEN = "js *main.js\n    export let a = ;\n"


@pytest.fixture(scope="module")
def attempts() -> tuple[Graph, Store, Mapping[str, Attempt]]:
    graph, store = golden.parse(PROJECT)
    made = BundleJs(candidates=NAMES).attempts(graph, store)
    return graph, store, {one.name: one for one in made}


@pytest.mark.parametrize("name", NAMES)
def test_every_candidate_is_the_same_program(
    name: str, attempts: tuple[Graph, Store, Mapping[str, Attempt]]
) -> None:
    graph, store, made = attempts
    after = made[name].graph
    assert after is not None, made[name].detail
    assert after.problems() == []
    proof = same_exports.prove(graph, after, store, asdict(BundleJs()))
    assert proof.holds, proof.detail
    assert "app/main.js: 8 exports as in src/main.ts" in proof.detail


@pytest.mark.parametrize("name", NAMES)
def test_every_candidate_keeps_names_files_and_licences(
    name: str, attempts: tuple[Graph, Store, Mapping[str, Attempt]]
) -> None:
    _, store, made = attempts
    after = made[name].graph
    assert after is not None
    main, worker = ArtifactId("app/main.js"), ArtifactId("app/w.js")
    assert after.roots >= {main}
    assert worker in after.targets(main, Relation.WORKER)
    assert {i.partition("-")[0] for i in after.targets(main, Relation.LAZY)} >= {
        "app/lazy",
        "app/low",
        "app/high",
    }
    assert not [i for i in after.artifacts if i.startswith("src/")]
    text = store.get(after.artifacts[main].digest).decode()
    assert "../models/vad.onnx" in text
    code = b"".join(store.get(a.digest) for a in after.files.values() if a.kind is Kind.JS)
    assert b"nobody asks" not in code or name in {
        "esbuild",
        "rspack",
        "rollup+swc",
        "rollup+terser",
    }
    assert b'"production"' in code or b"`production`" in code
    notices = store.get(after.artifacts[ArtifactId("app/LICENSES.txt")].digest)
    assert b"/*! by the authors of main */" in notices


@pytest.mark.parametrize("name", ["rolldown", "rspack", "bun", "rollup+swc"])
def test_a_candidate_gives_the_same_bytes_from_another_folder(
    name: str, attempts: tuple[Graph, Store, Mapping[str, Attempt]]
) -> None:
    assert attempts[2][name].again() == Again()


def test_what_takes_too_long_is_given_up_and_esbuild_is_there_all_the_same() -> None:
    graph, store = golden.parse("js *main.js\n    export const a = 1;\n")
    made = BundleJs(candidates=("esbuild", "rollup+swc"), limit_s=0.01).attempts(graph, store)
    found = {one.name: one for one in made}
    assert found["esbuild"].graph is not None
    assert (found["rollup+swc"].fate, found["rollup+swc"].detail) == (
        Fate.SLOW,
        "no end within 0.01 s",
    )


def test_what_only_esbuild_reads_is_left_to_esbuild() -> None:
    graph, store = golden.parse(
        'js *main.js -> a.module.css\n    import { big } from "./a.module.css";\n'
        "    export const name = big;\ncss a.module.css\n    .big { color: red }\n"
    )
    made = list(BundleJs(candidates=("esbuild", "rolldown")).attempts(graph, store))
    assert made[0].graph is not None
    assert (made[1].graph, made[1].fate) == (None, Fate.FAILED)
    assert "a.module.css" in made[1].detail


def test_what_is_wrong_with_the_code_esbuild_says_before_anybody_else_is_asked() -> None:
    graph, store = golden.parse(BROKEN)
    with pytest.raises(InputError, match=r"main.js:1: Unexpected"):
        list(BundleJs(candidates=NAMES).attempts(graph, store))


def test_names_that_nobody_has_are_refused() -> None:
    for name in ("rollup", "rollup+closure", "parcel", "bun+"):
        with pytest.raises(ConfigError, match="nothing is called"):
            contenders([name])
    assert [c.name for c in contenders(["bun+oxc", "esbuild", "bun+oxc"])] == ["bun+oxc"]


def test_a_machine_without_builds_is_told_so_for_each_tool() -> None:
    missing = missing_here("linux-riscv64")
    assert set(missing) == {"rollup", "rolldown", "rspack", "swc", "bun"}
    assert missing["bun"] == "there is no bun for linux-riscv64"
    assert missing_here("darwin-arm64") == {}


def test_legal_comments_of_style_sheets_are_kept_whoever_bundles_the_scripts() -> None:
    graph, store = golden.parse(
        'js *main.js -> a.css\n    import "./a.css";\n    console.log(1);\n'
        "css a.css\n    /*! by the authors of a */ a { color: red }\n"
    )
    for one in BundleJs(candidates=("esbuild", "rolldown")).attempts(graph, store):
        assert one.graph is not None, one.detail
        notices = store.get(one.graph.artifacts[ArtifactId("app/LICENSES.txt")].digest)
        assert b"/*! by the authors of a */" in notices, one.name


def test_what_is_tried_still_throws_whoever_minifies(tmp_path: Path) -> None:
    """Minifiers take operators for harmless: the functions answered that all is fine."""
    graph, store = golden.parse(TRIED)
    ran = []
    for made in BundleJs(candidates=(*NAMES, "rollup+oxc", "bun+swc")).attempts(graph, store):
        assert made.graph is not None, made.detail
        bundle = tmp_path / f"{made.name}.mjs"
        bundle.write_bytes(store.get(made.graph.files[ArtifactId("app/main.js")].digest))
        script = f"import({json.dumps(bundle.as_uri())}).then((m) => console.log(m.answers()))"
        done = subprocess.run(
            [str(node()), "-e", script], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout == "in instanceof array bigint symbol extends bare\n", made.name
        ran.append(made.name)
    assert len(ran) == len(NAMES) + 2
