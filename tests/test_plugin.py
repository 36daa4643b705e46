"""A foreign package with a pass, a proof and a check, installed and used through entry points."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target), str(ROOT / "fixtures" / "plugin")]
    subprocess.run(command, check=True, timeout=120)
    return target


def _vtool(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from toolchain.cli import main; main()", *words],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_foreign_pass_is_explained_like_ours(installed: Path) -> None:
    done = _vtool(installed, "explain", "collapse-json")
    assert "Write JSON without white space" in done.stdout
    assert "option ascii_only = False" in done.stdout


def test_a_foreign_pass_and_check_do_their_work_in_a_project(
    installed: Path, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    (project / "rules" / "pipelines").mkdir(parents=True)
    (project / "rules" / "budgets").mkdir()
    (project / "rules" / "pipelines" / "own.toml").write_text(
        '[[step]]\nrun = "collapse-json"\nwhy = "machines read it"\n'
    )
    (project / "rules" / "budgets" / "own.toml").write_text("budget = []\n")
    (project / "vtool.toml").write_text(
        'name = "p"\npipeline = "own"\nbudgets = "own"\nsources = ["data"]\n'
    )
    (project / "data").mkdir()
    (project / "data" / "a.json").write_text('{ "a" : [ 1,  2 ] }')
    (project / "data" / "b.txt").touch()
    done = _vtool(installed, "optimize", str(project), "-o", str(tmp_path / "out"), "--json", "-")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (tmp_path / "out" / "data" / "a.json").read_text() == '{"a":[1,2]}'
    assert [(r["pass"], r["proof"]["name"], r["before"], r["after"]) for r in report["ledger"]] == [
        ("collapse-json", "same-json", 19, 11)
    ]
    assert [f["where"] for f in report["findings"] if f["check"] == "empty-file"] == ["data/b.txt"]
