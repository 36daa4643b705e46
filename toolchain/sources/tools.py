"""The JavaScript tools vtool runs: esbuild from npm; node from the system, else from PyPI."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from toolchain import resources
from toolchain.errors import ConfigError, ToolError
from toolchain.progress import SILENT, Progress
from toolchain.sources import address, registries
from toolchain.sources.base import Integrity, Pinned
from toolchain.tables import load, table

_NODE_TIMEOUT_S = 30.0  # `node --version` takes 40 ms; a busy machine some seconds
_CPUS = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


@table
class Build:
    """One tool for one kind of machine: a file of a registry, and the program in it."""

    address: str
    integrity: str
    program: str
    file: str = ""


@table
class Tool:
    """A pinned tool; its builds are named like ``linux-x64``."""

    why: str
    version: str
    builds: Mapping[str, Build]


@table
class Tools:
    """``rules/tools.toml``."""

    tool: Mapping[str, Tool]


def tool(name: str, progress: Progress = SILENT) -> Path:
    """Return the program of the pinned tool ``name`` for this machine, fetched if need be.

    Errors:
        ConfigError: no tool is called so.
        ToolError: there is no build of it for this machine.
        UnavailableError: not in the cache, and the registry does not answer.
    """
    build = _build(name)
    pinned = Pinned(address.exact(build.address), Integrity.parse(build.integrity), build.file)
    path = registries.unpacked(pinned, progress).files[build.program].path
    if not os.access(path, os.X_OK):  # wheels do not always say that a file is a program
        path.chmod(0o755)
    return path


def node(progress: Progress = SILENT) -> Path:
    """Return node: the system's if it is new enough, else the pinned one; errors as ``tool``."""
    return system_node() or tool("node", progress)


@cache
def system_node(oldest_major: int = 18) -> Path | None:
    """Return the node in ``PATH`` if its major version is at least ``oldest_major``.

    18 is the first with a stable ``fetch`` and the last that npm's packages of 2024 support.
    """
    found = shutil.which("node")
    if found is None:
        return None
    try:
        done = subprocess.run(
            [found, "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_NODE_TIMEOUT_S,
        )
        major = int(done.stdout.strip().removeprefix("v").partition(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Path(found) if major >= oldest_major else None


def machine_name() -> str:
    """Return this kind of machine as builds are named: ``linux-x64``, ``darwin-arm64``."""
    return f"{sys.platform}-{_CPUS.get(platform.machine().lower(), platform.machine())}"


def _build(name: str) -> Build:
    tools = load(resources.folder("rules") / "tools.toml", Tools).tool
    if name not in tools:
        raise ConfigError(
            f"rules/tools.toml has no tool {name!r}", hint=f"it has {', '.join(tools)}"
        )
    known = tools[name]
    machine = machine_name()
    if machine in known.builds and not known.builds[machine].file.endswith(".whl"):
        return known.builds[machine]
    ours = set(sys_tags())
    for build in known.builds.values():
        if build.file.endswith(".whl") and parse_wheel_filename(build.file)[3] & ours:
            return build
    raise ToolError(
        f"there is no {name} {known.version} for {machine}",
        hint=f"install {name} yourself, or run vtool on one of {', '.join(known.builds)}",
    )
