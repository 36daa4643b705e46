"""Rules of the house that a linter cannot see."""

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import toolchain
from toolchain import cli, pipeline, plugins
from toolchain.passes.base import pass_class

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "toolchain").rglob("*.py"))


def _headings(room: str, name: str) -> str:
    return inspect.getdoc(plugins.find(room, name)) or ""


@pytest.mark.parametrize("name", plugins.own_names("passes"))
def test_each_pass_is_documented_proved_and_has_fixtures(name: str) -> None:
    doc = _headings("passes", name)
    for heading in ("What it does\n", "Why\n", "Keeps\n", "Source\n"):
        assert heading in doc, f"{name} does not say {heading.strip()!r}"
    found = pass_class(name)
    assert re.sub(r"(?<!^)(?=[A-Z])", "-", found.__name__).lower() == name
    assert hasattr(plugins.find("verify", found.proof), "prove")
    commands = _commands("passes", name)
    assert any(c == name or c.startswith(f"{name}{{") for c in commands), "no golden case"
    for option in dataclasses.fields(found):
        assert any(re.search(rf"\b{option.name}\s*=", c) for c in commands), (
            f"no golden case sets {option.name}"
        )


@pytest.mark.parametrize("name", plugins.own_names("checks"))
def test_each_check_is_documented_and_has_a_fixture(name: str) -> None:
    doc = _headings("checks", name)
    for heading in ("What it does\n", "Why\n", "Advice\n"):
        assert heading in doc, f"{name} does not say {heading.strip()!r}"
    assert name in _commands("checks", name), "no golden case"


@pytest.mark.parametrize("name", plugins.own_names("verify"))
def test_each_proof_is_used_by_a_pass_or_by_the_pipeline(name: str) -> None:
    used = {pass_class(p).proof for p in plugins.own_names("passes")} | {pipeline.BEHAVIOUR}
    assert name in used


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_command_has_help_with_an_example(name: str) -> None:
    command = getattr(importlib.import_module(f"toolchain.cli.{name}"), name)
    doc = inspect.getdoc(command) or ""
    assert f"vtool {name}" in doc, f"`vtool {name} --help` shows no example"
    for line in re.findall(r"^\s+vtool (\w+)", doc, re.MULTILINE):
        assert line in cli.COMMANDS


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_each_module_says_what_it_is_for_and_has_a_name_that_says_it_too(path: Path) -> None:
    assert path.read_text("utf-8").startswith(('"""', 'r"""'))
    assert not re.search(r"(^|_)(utils?|helpers?|common|misc|managers?)s?$", path.stem)


_FORMAT_LIBRARIES = re.compile(
    r"^\s*(?:import|from) "
    r"(brotli|zstandard|deflate|zopfli|lief|onnx|onnxsim|esbuild_py|gguf|tree_sitter\w*)\b",
    re.MULTILINE,
)


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if p.parent.name != "formats"],
    ids=lambda p: str(p.relative_to(ROOT)),
)
def test_format_libraries_are_imported_in_formats_only(path: Path) -> None:
    assert not _FORMAT_LIBRARIES.search(path.read_text("utf-8"))


@pytest.mark.parametrize("pack", sorted((ROOT / "rules").rglob("*.toml")), ids=lambda p: p.name)
def test_every_number_in_a_rule_pack_has_a_reason(pack: Path) -> None:
    data = tomllib.loads(pack.read_text("utf-8"))
    lists = (data.get(table, []) for table in ("budget", "step", "number"))
    for entry in [*(e for entries in lists for e in entries), *data.get("tool", {}).values()]:
        assert len(entry["why"]) > 20


def test_the_layers_of_the_house_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_strict_types_hold() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_all_lint_rules_and_the_format_hold() -> None:
    ruff = Path(sys.executable).with_name("ruff")
    for command in (["check", "."], ["format", "--check", "."]):
        done = subprocess.run(
            [ruff, *command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from toolchain import cli; cli.application();"
        "print([m for m in ('numpy', 'onnx', 'onnxruntime', 'networkx', 'pydantic', 'tree_sitter')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_version_is_said_once_and_everywhere_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["version"] == toolchain.__version__


def _commands(room: str, name: str) -> list[str]:
    """Return the command line of every golden case of a pass or check."""
    cases = (ROOT / "fixtures" / room / name).glob("*.txt")
    return [
        [line for line in c.read_text("utf-8").split("\n---")[0].splitlines() if line[:1] != "#"][
            -1
        ]
        for c in cases
    ]
