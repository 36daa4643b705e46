"""Profiles of small projects, by the command line: halves that are missing say so."""

import json
import math
from pathlib import Path

import pytest
from cli.project import Ran, project, vtool

from toolchain.errors import ConfigError
from toolchain.profiling.profiler import ProfileRequest, profile
from toolchain.workspace import Workspace

BARREL = {
    "src/main.js": 'import { used } from "./barrel.js";\nconsole.log(used());\n',
    "src/barrel.js": 'export { used } from "./big.js";\nexport { other } from "./unused.js";\n',
    "src/big.js": (
        "export const used = () => 42;\n"
        f"export const unused = () => '{'never' * 40}';\n"
        f"export function never() {{ return '{'nobody calls this ' * 20}'; }}\n"
    ),
    "src/unused.js": f"export const other = () => '{'other' * 50}';\n",
    "src/orphan.js": "export const orphan = 'nobody imports this file';\n",
}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, Path]:
    folder = tmp_path_factory.mktemp("small")
    where = project(folder / "project", BARREL)
    out = folder / "out"
    return vtool("profile", where, "-o", out, VTOOL_CACHE=str(folder / "cache")), out


def test_unused_code_is_measured_module_by_module(ran: tuple[Ran, Path]) -> None:
    done, out = ran
    assert done.code == 0, done.err
    found = json.loads((out / "profile.json").read_text("utf-8"))["bundle_analysis"]
    unused = {one["module"]: one for one in found["unused_code"]}
    assert unused["src/orphan.js"]["unused_bytes"] == len(BARREL["src/orphan.js"])
    assert unused["src/orphan.js"]["imported"] is False
    big = unused["src/big.js"]
    assert 500 < big["unused_bytes"] < big["size"] < len(BARREL["src/big.js"])
    gone = unused["src/unused.js"]
    assert gone["unused_bytes"] == gone["size"] > 250
    assert "nothing of it is used" in gone["suggestions"][0]
    assert "src/barrel.js" in gone["suggestions"][1]
    assert found["treeshake_efficiency"] == pytest.approx(1 - found["kept"] / found["imported"])
    [package] = [p for p in found["packages"] if p["name"] == "src"]
    assert package["imported"] - package["kept"] == sum(
        u["unused_bytes"] for u in unused.values() if u.get("imported", True)
    )


def test_what_a_computed_name_may_stand_for_is_not_called_unused(tmp_path: Path) -> None:
    files = {
        "src/main.js": "const name = location.hash;\nimport(name);\n",
        "src/perhaps.js": "console.log('whoever asks for it');\n",
    }
    where = project(tmp_path / "project", files)
    done = vtool("profile", where, "--json", "-", VTOOL_CACHE=str(tmp_path / "cache"))
    assert done.code == 0, done.err
    found = json.loads(done.out)
    unused = found["bundle_analysis"].get("unused_code", [])
    assert "src/perhaps.js" not in [one["module"] for one in unused]
    assert any(
        "of scripts that no entry reaches stay" in note
        for note in found["bundle_analysis"]["notes"]
    )
    assert not any("no entry reaches" in r["what"] for r in found.get("recommendations", []))


def test_without_voice_there_is_only_the_bundle_half_and_it_says_so(ran: tuple[Ran, Path]) -> None:
    done, out = ran
    found = json.loads((out / "profile.json").read_text("utf-8"))
    assert "runtime_profile" not in found
    assert "no run-time profile" in done.out
    assert json.loads((out / "trace.json").read_text("utf-8"))["traceEvents"] == []
    assert "Run time" not in done.out


def test_bundling_is_recommended_by_the_bytes_it_saves(ran: tuple[Ran, Path]) -> None:
    _, out = ran
    found = json.loads((out / "profile.json").read_text("utf-8"))
    [bundling] = [r for r in found["recommendations"] if "bundles" in r["what"]]
    [gain] = bundling["gains"]
    analysis = found["bundle_analysis"]
    assert gain["before"] == [analysis["installed"]]
    assert gain["after"] == [analysis["kept"]]
    assert bundling["how"] == "vtool optimize project -o OUT"
    [orphans] = [r for r in found["recommendations"] if "no entry reaches" in r["what"]]
    assert 'run = "drop-unreachable"' in orphans["how"], "the project's pipeline has no such step"


def test_code_that_is_all_used_and_minified_yields_no_recommendation(tmp_path: Path) -> None:
    text = "console.log(1);"
    where = project(tmp_path / "project", {"src/main.js": text, "rules/none": ""})
    done = vtool("profile", where, "--json", "-", VTOOL_CACHE=str(tmp_path / "cache"))
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert "recommendations" not in found
    assert found["bundle_analysis"]["treeshake_efficiency"] == 0


def test_a_folder_without_code_has_no_bundle_half(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("nothing to run", "utf-8")
    done = vtool("profile", tmp_path / "notes", VTOOL_CACHE=str(tmp_path / "cache"))
    assert done.code == 0, done.err
    assert "no bundle analysis" in done.out
    assert "none: nothing was tried" in done.out


def test_a_bundle_that_cannot_be_built_is_unknown_and_not_zero(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    (folder / "package.json").write_text('{"name": "x", "main": "a.js"}', "utf-8")
    (folder / "a.js").write_text('import y from "not-there"; console.log(y);', "utf-8")
    done = vtool("profile", folder, "--json", "-", VTOOL_CACHE=str(tmp_path / "cache"))
    assert done.code == 0, done.err
    found = json.loads(done.out)["bundle_analysis"]
    assert "treeshake_efficiency" not in found
    assert "tree shaking is unknown" in found["notes"][0]


def test_what_cannot_be_done_is_refused_before_any_work(tmp_path: Path) -> None:
    where = project(tmp_path / "project")
    (tmp_path / "file").write_text("", "utf-8")
    vtool("profile", where, "-o", tmp_path / "file").refuses(2, "is not a folder")
    vtool("profile", tmp_path / "nowhere").refuses(3, "nowhere")
    vtool("profile", where, "--result", "a", "--try", "b").refuses(2, "--result or --try")


@pytest.mark.parametrize("seconds", [math.inf, math.nan])
def test_trials_that_never_end_are_refused_before_the_target_is_read(
    seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VTOOL_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="never end"):
        profile(ProfileRequest("nowhere", trials_s=seconds), Workspace.open())
