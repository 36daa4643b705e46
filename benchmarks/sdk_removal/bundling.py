"""Runs bundlers on the published fixture SDK, each in a process of its own, as its users would.

Files that code names by address (workers, scripts, assets) belong to a program too. Where what a
bundler wrote names such a file and the bundler did not write it, it is bundled as a further entry
(a module) or copied (a script or asset), and the round is done again. The rule is the same for
all bundlers: what code is kept decides, not the labels.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sdk_removal.labels import Sdk, published

from toolchain.errors import ToolError, VtoolError
from toolchain.sources.project import open_target
from toolchain.sources.tools import node, tool

_ROUNDS = 5  # a worker may start a worker; three do it here
_LIMIT_S = 300.0
# What says how a program was made; no program loads them
_ACCOUNTS = {"vtool-manifest.json", "vtool-candidates.json", "vtool-headers.json", "source-maps"}


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundler wrote, and how long the last round took."""

    files: Mapping[str, bytes]
    seconds: float
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """Entries (name to file in ``tree``) to bundle into ``out``."""

    tree: Path
    entries: Mapping[str, str]
    out: Path
    platform: str = "node"  # or "browser": a page in production


Command = Callable[[Job], list[str]]


@dataclass(frozen=True, slots=True)
class Bundler:
    """How a bundler is started, and what it calls the program that it wrote."""

    command: Command
    program: str = "main.js"
    is_whole: bool = False  # it writes everything that a program loads, by itself
    is_fetched: bool = True  # ``lay_out`` brings it


def bundlers(installed: Path) -> dict[str, Bundler]:
    """Return all bundlers; ``installed`` is where ``lay_out`` puts those that are fetched."""

    def script(name: str) -> Bundler:
        def command(job: Job) -> list[str]:
            about = {"tool": name, "tree": str(job.tree), "out": str(job.out)}
            about["platform"] = job.platform
            asked = json.dumps({**about, "entries": dict(job.entries)})
            return [str(node()), str(installed / "bundle.mjs"), asked]

        return Bundler(command)

    bun = installed / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"
    return {
        "esbuild": Bundler(_esbuild, is_fetched=False),
        "rollup": script("rollup"),
        "rolldown": script("rolldown"),
        "webpack": script("webpack"),
        "bun": Bundler(lambda job: _bun(bun, job)),
        "vtool": Bundler(_vtool, "app/main.js", is_whole=True, is_fetched=False),
    }


_TARGETS = {
    "node": ("--platform=node", "--target=node18"),
    "browser": ("--platform=browser", "--target=es2022"),
}


def _esbuild(job: Job) -> list[str]:
    entries = [f"{name}={file}" for name, file in job.entries.items()]
    return [
        *(str(tool("esbuild")), *entries, "--bundle", "--minify", "--splitting", "--format=esm"),
        *_TARGETS[job.platform],
        *("--log-level=error", f"--outdir={job.out}"),
    ]


def _bun(bun: Path, job: Job) -> list[str]:
    entries = [str(job.tree / file) for file in job.entries.values()]
    # bun names entries after their files; the program's is main.js everywhere
    return [
        *(str(bun), "build", *entries, "--minify", "--splitting", "--format=esm"),
        *(f"--target={job.platform}", "--entry-naming=[name].js", "--asset-naming=[name].[ext]"),
        *("--chunk-naming=chunk-[hash].js", f"--outdir={job.out}"),
        *(() if job.platform == "node" else ('--define=process.env.NODE_ENV="production"',)),
    ]


def _vtool(job: Job) -> list[str]:
    asked: dict[str, object] = {"tree": str(job.tree), "entries": dict(job.entries)}
    asked |= {"out": str(job.out), "platform": job.platform}
    child = Path(__file__).with_name("vtool_child.py")
    return [sys.executable, str(child), json.dumps(asked)]


def lay_out(folder: Path) -> Path:
    """Put the pinned bundlers into ``folder`` and return it."""
    project = Path(__file__).parent.parent / "bundlers"
    for name, file in open_target(str(project)).tree.files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, target)
    bun = folder / "node_modules" / "@oven" / "bun-linux-x64" / "bin" / "bun"
    bun.chmod(0o755)
    return folder


def bundle(bundler: Bundler, sdk: Sdk, tree: Path, consumer: str, out: Path) -> Bundle:
    """Bundle one consumer with everything that the result names; failure is a value."""
    entries = {"main": f"consumers/{consumer}/main.js"}
    copies: dict[str, str] = {}
    wanted: dict[str, str] = {}
    for _ in range(_ROUNDS):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        start = time.perf_counter()
        try:
            run_command(bundler.command(Job(tree.resolve(), entries, out.resolve())), tree)
        except VtoolError as error:
            return Bundle({}, time.perf_counter() - start, str(error))
        seconds = time.perf_counter() - start
        for name, path in copies.items():
            if not (out / name).exists():
                shutil.copyfile(tree / path, out / name)
        found = (p for p in sorted(out.rglob("*")) if p.is_file() and _is_loaded(p, out))
        files = {p.relative_to(out).as_posix(): p.read_bytes() for p in found}
        wanted = {} if bundler.is_whole else _named(sdk, files)
        if not wanted:
            return Bundle(files, seconds)
        for name, path in wanted.items():
            if is_module(name):
                entries[name.removesuffix(".js")] = path
            else:
                copies[name] = path
    return Bundle({}, seconds, f"still names {', '.join(wanted)}")


def _is_loaded(path: Path, out: Path) -> bool:
    return not _ACCOUNTS & set(path.relative_to(out).parts)


def is_module(name: str) -> bool:
    """Whether a file that is loaded by address is a module: to be bundled, not copied."""
    return name.endswith(".js") and ".classic." not in name


def _named(sdk: Sdk, files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the files that the code in ``files`` names and that are not there."""
    text = b"\n".join(data for name, data in files.items() if name.endswith(".js"))
    markers = {item.id: item.marker for item in sdk.items()}
    found = {}
    for one in sdk.loaded:
        path = published(one.path)
        name = Path(path).name
        is_named = f"/{name}".encode() in text
        if one.how == "unknown":
            # the name is computed; a bundler that found it wrote the module's code
            inside = {i.marker for i in sdk.modules[one.path].items if i.marker}
            is_found = any(m.encode() in text for m in inside)
            is_named = markers[one.by].encode() in text and not is_found
        if is_named and name not in files:
            found[name] = path
    return found


def run_command(command: list[str], folder: Path) -> None:
    """Run a bundler; raise ToolError with what it says, if it fails."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"no end within {_LIMIT_S:g} s") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
        marks = ("Error: ", "error: ", "rror")  # node first shows the line that threw
        found = [x for mark in marks for x in lines if mark in x]
        raise ToolError((found or lines)[0][:200])
