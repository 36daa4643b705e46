"""Runs rollup, rolldown, rspack or bun on a staged folder, in a process of its own, under a limit.

What each is told stands in ``bundlers.mjs`` beside this file. A bundler that fails, or does not
end, is a value: the code may be at fault, and there are others.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolchain.errors import FormatError, ToolError
from toolchain.formats.esbuild_build import Import, Output
from toolchain.formats.javascript import read
from toolchain.formats.sourcemap import SourceMap, compose, parse
from toolchain.formats.sourcemap_edits import named, verbatim

OWN = "own"
"""The minifier that is part of the bundler."""
ENGINES = ("rollup", "rolldown", "rspack", "bun")
PLANNABLE = frozenset({"rollup", "rolldown"})
"""The engines that are told which modules make a chunk. rspack could be, too: what it then writes
into each file beside the modules costs more than the requests that are saved."""
MINIFIERS = {"swc": "swc", "oxc": "rolldown", "terser": "terser"}
"""The minifiers beside the bundlers' own, and the tool of the toolbox that brings each."""
SCRIPT = Path(__file__).with_suffix(".mjs")
_KINDS = {"import": "import-statement", "import()": "dynamic-import"}
_ENDING_S = 5.0


@dataclass(frozen=True, slots=True)
class Job:
    """What to bundle: ``entries`` maps the names of bundles to files in ``stage``."""

    engine: str
    minifiers: tuple[str, ...]
    stage: Path
    entries: Mapping[str, str]
    external: Sequence[str]  # imports that stay, exactly as they are written
    required: Sequence[str]  # JSON files that some module asks for with require()
    target: str  # "es2022"
    chunks: Mapping[str, str] = field(default_factory=dict)  # staged module -> name of its chunk
    sourcemap: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """What one engine and minifier made; ``error`` says why there is nothing.

    ``maps`` lead from outputs, by path, to the files of the stage, where maps were asked for;
    ``unmapped`` says why they do not.
    """

    seconds: float
    outputs: tuple[Output, ...] = ()
    error: str = ""
    is_late: bool = False
    maps: Mapping[str, SourceMap] = field(default_factory=dict)
    unmapped: str = ""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the engines are: node, the folder with ``node_modules``, programs by name."""

    node: Path
    folder: Path
    programs: Mapping[str, Path] = field(default_factory=dict)


def bundle(bench: Bench, job: Job, *, limit_s: float) -> dict[str, Made]:
    """Return what ``job`` made, by minifier.

    Errors:
        ToolError: node cannot be started.
    """
    with tempfile.TemporaryDirectory(prefix="vtool-bundle-") as name:
        out = Path(name).resolve()
        start = time.perf_counter()
        error = _run(bench, _asked(bench, job, out), out, limit_s)
        took = round(time.perf_counter() - start, 3)
        answer = out / "answer.json"  # of what was done in time
        done = json.loads(answer.read_bytes())["bundles"] if answer.is_file() else {}
        lost = Made(took, error=error or "it gave no answer", is_late=took >= limit_s)
        return {
            one: _made(done[one], out / one, job) if one in done else lost for one in job.minifiers
        }


def _asked(bench: Bench, job: Job, out: Path) -> bytes:
    asked = {
        "engine": job.engine,
        "minifiers": job.minifiers,
        "stage": str(job.stage),
        "out": str(out),
        "answer": str(out / "answer.json"),
        "entries": dict(job.entries),
        "external": list(job.external),
        "required": list(job.required),
        "target": job.target,
        "chunks": dict(job.chunks),
        "bun": str(bench.programs.get("bun", "")),
        "sourcemap": job.sourcemap,
    }
    return json.dumps(asked).encode()


def _run(bench: Bench, asked: bytes, out: Path, limit_s: float) -> str:
    """Run the script; return what went wrong, empty if nothing did."""
    code = SCRIPT.read_text("utf-8")
    command = [str(bench.node), "--no-warnings", "--input-type=module", "-e", code]
    environment = {"HOME": str(out), "TMPDIR": str(out), "NODE_ENV": "production"}
    if os.name == "nt":  # node does not start without it
        environment["SYSTEMROOT"] = os.environ.get("SYSTEMROOT", "")
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=bench.folder,
            env=environment,
            start_new_session=True,  # bun is a process of its own, which must end with it
        )
    except OSError as error:
        raise ToolError(f"node cannot be started: {error.strerror}") from error
    try:
        _, said = process.communicate(asked, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return f"no end within {limit_s:g} s"
    finally:
        _end(process)
    if process.returncode == 0 and (out / "answer.json").is_file():
        return ""
    lines = said.decode("utf-8", errors="replace").splitlines()
    why = next((line.strip() for line in lines if "rror" in line), "")
    return why[:300] or f"it ended with exit code {process.returncode}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    elif process.poll() is None:
        process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_ENDING_S)


def _made(answer: Mapping[str, Any], folder: Path, job: Job) -> Made:
    if "error" in answer:
        return Made(answer["seconds"], error=_without_paths(answer["error"], job))
    rows = sorted(answer["outputs"], key=lambda row: row["file"])
    names = {row["file"] for row in rows}
    outputs = tuple(_output(row, (folder / row["file"]).read_bytes(), names) for row in rows)
    maps, unmapped = _maps(sorted(names), folder, job) if job.sourcemap else ({}, "")
    return Made(answer["seconds"], outputs, maps=maps, unmapped=unmapped)


def _maps(names: Iterable[str], folder: Path, job: Job) -> tuple[dict[str, SourceMap], str]:
    """Return the maps of the scripts, or why there are none: all of them or nothing."""
    maps: dict[str, SourceMap] = {}
    for name in names:
        try:
            maps[name] = _map(folder / name, job.stage)
        except (FormatError, OSError, ValueError) as error:
            return {}, f"{name}: {_without_paths(str(error), job)}"
    return maps, ""


def _map(script: Path, stage: Path) -> SourceMap:
    """Return the map of a script to the stage, through the minifier if there was one."""
    bundled = parse(_beside(script, ".map").read_bytes())
    is_final = not _beside(script, ".minified.map").is_file()
    if _beside(script, ".marked").is_file():
        text = _text(script if is_final else _beside(script, ".bundled"))
        bundled = named(bundled, _text(_beside(script, ".marked")), text)
    if is_final:
        return bundled
    minified = parse(_beside(script, ".minified.map").read_bytes())
    texts = {s: _text(stage / s) for s in bundled.sources if (stage / s).is_file()}
    origin = verbatim(bundled, _text(_beside(script, ".bundled")), texts)
    return compose(minified, dict.fromkeys(minified.sources, origin))


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="replace")  # line ends as they are


def _beside(script: Path, ending: str) -> Path:
    return script.with_name(script.name + ending)


def _output(row: Mapping[str, Any], data: bytes, names: set[str]) -> Output:
    """Return an output; what it imports says its text, and the engine where that is computed."""
    found = {Import(one["path"], one["kind"], external=False) for one in row["imports"]}
    found = {one for one in found if one.path in names}
    for mention in read(data).mentions:
        if mention.how in _KINDS and not mention.computed:
            path = mention.target.removeprefix("./")
            outside = path not in names
            found.add(Import(mention.target if outside else path, _KINDS[mention.how], outside))
    imports = tuple(sorted(found, key=lambda one: (one.path, one.kind)))
    return Output(row["file"], data, row["modules"], imports, entry=row["entry"])


def _without_paths(text: str, job: Job) -> str:
    return text.replace(f"{job.stage}{os.sep}", "").replace(str(job.stage), ".")
