"""The pinned tools run, and their pins name every platform we ship on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from toolchain import resources
from toolchain.errors import ConfigError, ToolError
from toolchain.sources import address, tools
from toolchain.sources.base import Integrity
from toolchain.tables import load

PINS = load(resources.folder("rules") / "tools.toml", tools.Tools).tool
PLATFORMS = {"linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64", "win32-x64"}


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_esbuild_is_the_pinned_one_and_runs() -> None:
    assert run(tools.tool("esbuild"), "--version") == PINS["esbuild"].version


def test_node_from_a_wheel_runs_where_the_system_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    tools.system_node.cache_clear()
    try:
        node = tools.node()
    finally:
        tools.system_node.cache_clear()
    assert run(node, "--version") == f"v{PINS['node'].version}"
    assert run(node, "-p", "6 * 7") == "42"


@pytest.mark.parametrize(
    ("answer", "is_good"),
    [("v18.0.0", True), ("v24.1.0", True), ("v16.20.2", False), ("what", False), ("", False)],
)
def test_a_node_that_is_too_old_or_mute_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, answer: str, is_good: bool
) -> None:
    program = tmp_path / "node"
    program.write_text(f"#!{sys.executable}\nprint({answer!r})\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    tools.system_node.cache_clear()
    try:
        assert (tools.system_node() == program) is is_good
    finally:
        tools.system_node.cache_clear()


@pytest.mark.parametrize("name", PINS)
def test_every_tool_is_pinned_for_every_platform(name: str) -> None:
    builds = PINS[name].builds
    assert builds.keys() >= PLATFORMS
    for build in builds.values():
        assert address.exact(build.address).version == PINS[name].version
        assert Integrity.parse(build.integrity).algorithm in {"sha512", "sha256"}
    assert len({build.integrity for build in builds.values()}) == len(builds)


def test_a_machine_without_a_build_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools.platform, "machine", lambda: "riscv64")
    with pytest.raises(ToolError, match=r"there is no esbuild 0\.28\.2 for .*-riscv64") as caught:
        tools.tool("esbuild")
    assert "linux-x64" in caught.value.hint


def test_an_unknown_tool_is_a_wrong_request() -> None:
    with pytest.raises(ConfigError, match="has no tool 'grunt'") as caught:
        tools.tool("grunt")
    assert "esbuild" in caught.value.hint


def test_a_tool_that_lost_its_mode_gets_it_back() -> None:
    path = tools.tool("esbuild")
    path.chmod(0o644)
    assert os.access(tools.tool("esbuild"), os.X_OK)
