"""Wall time of ``vtool analyze``: the reference application, and one bundle beside two peers.

    nox -s bench            5 rounds, or: python benchmarks/analysis.py 3

Rounds are interleaved in a random order with a fixed seed; what is printed are medians over the
rounds, and ratios to vtool's cold time on the same bundle. Cold: inputs are fetched and unpacked,
nothing was analyzed before. Warm: everything was. Peers: size-limit 11.2.0 with @size-limit/file
(brotli size of files) and source-map-explorer 2.5.3 (bytes by module, from the source map); both
start node anew each time, as vtool starts Python.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from toolchain.harness.machine import machine
from toolchain.resources import cache_folder
from toolchain.sources.project import open_target
from toolchain.sources.tools import node, tool
from toolchain.sources.tree import Tree

ROOT = Path(__file__).parent.parent
_LIMIT_S = 300
_ROUNDS = 5
_CODE = (".js", ".mjs", ".cjs", ".ts", ".json")


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        bundle = _bundle(home)
        peers = home / "peers"
        _lay_out(open_target(str(ROOT / "benchmarks" / "peers")).tree, peers)
        runs = _runs(home, bundle, peers)
        for run in runs.values():
            run()  # once outside of the count: file caches, bytecode
        seconds: dict[str, list[float]] = {what: [] for what in runs}
        order = list(runs) * rounds
        random.Random(0).shuffle(order)  # noqa: S311 - an order, not a secret
        for what in order:
            seconds[what].append(runs[what]())
    _print(seconds)


def _runs(home: Path, bundle: Path, peers: Path) -> dict[str, Callable[[], float]]:
    application = str(ROOT / "fixtures" / "voice-app")
    scripts = sorted(str(p) for p in bundle.glob("*.js"))
    explorer = peers / "node_modules" / "source-map-explorer" / "bin" / "cli.js"
    limit = peers / "node_modules" / "size-limit" / "bin.js"
    limits = [{"path": "*.js", "limit": "10 MB"}]
    (bundle / "package.json").write_text(
        json.dumps(
            {"name": "bundle", "private": True, "size-limit": limits, "devDependencies": _PLUGINS}
        )
    )
    (bundle / "node_modules").symlink_to(peers / "node_modules")
    measured = home / "measured"
    measured.mkdir()
    for path in bundle.glob("*.js*"):
        shutil.copy(path, measured)
    return {
        "application, vtool cold": lambda: _vtool(application, cold=True),
        "application, vtool warm": lambda: _vtool(application, cold=False),
        "bundle, vtool cold": lambda: _vtool(str(measured), cold=True),
        "bundle, vtool warm": lambda: _vtool(str(measured), cold=False),
        "bundle, size-limit": lambda: _timed([str(node()), str(limit), "--json"], bundle),
        "bundle, source-map-explorer": lambda: _timed(
            [str(node()), str(explorer), "--json", "--no-border-checks", *scripts], bundle
        ),
    }


_PLUGINS = {"size-limit": "11.2.0", "@size-limit/file": "11.2.0"}  # size-limit reads which to load


def _bundle(home: Path) -> Path:
    """Bundle the application's code with esbuild, source maps included."""
    project = home / "project"
    _lay_out(open_target(str(ROOT / "fixtures" / "voice-app")).tree, project, _CODE)
    out = home / "bundle"
    command = [str(tool("esbuild")), "src/main.ts", "--bundle", "--splitting", "--format=esm"]
    command += ["--minify", "--sourcemap", f"--outdir={out}", "--log-level=error"]
    subprocess.run(command, cwd=project, check=True, timeout=_LIMIT_S)
    return out


def _lay_out(tree: Tree, folder: Path, endings: tuple[str, ...] = ("",)) -> None:
    for name, file in tree.files.items():
        if name.endswith(endings):
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file.path, target)


@contextmanager
def _cache(*, cold: bool) -> Iterator[dict[str, str]]:
    """Yield an environment whose cache has all inputs, and for ``cold`` nothing else."""
    if not cold:
        yield dict(os.environ)
        return
    with tempfile.TemporaryDirectory() as name:
        for inputs in cache_folder().iterdir():
            if inputs.name not in {"actions", "store"}:
                (Path(name) / inputs.name).symlink_to(inputs)
        yield {**os.environ, "VTOOL_CACHE": name}


def _vtool(target: str, *, cold: bool) -> float:
    command = [sys.executable, "-c", "from toolchain.cli import main; main()"]
    with _cache(cold=cold) as environment:
        return _timed([*command, "analyze", target, "--json", os.devnull], ROOT, environment)


def _timed(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> float:
    start = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return seconds


def _print(seconds: dict[str, list[float]]) -> None:
    here = machine()
    print(f"{here.cpu}, {here.cores} cores, Python {here.python}")
    print(f"{'what':30} {'median s':>9} {'min s':>7} {'max s':>7} {'to vtool cold':>14}")
    base = statistics.median(seconds["bundle, vtool cold"])
    for what, times in seconds.items():
        ratio = f"{statistics.median(times) / base:.2f}" if what.startswith("bundle") else ""
        figures = (statistics.median(times), min(times), max(times))
        print(f"{what:30} {figures[0]:9.2f} {figures[1]:7.2f} {figures[2]:7.2f} {ratio:>14}")


if __name__ == "__main__":
    main()
