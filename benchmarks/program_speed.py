"""How long the analysis of a whole program takes, and how much memory, beside bundlers.

    nox -s program_speed                     the fixture SDK x 10; 1,000 to 100,000 plain modules;
                                             2,000 with JSX
    nox -s program_speed -- --scale 50       about 7,000 modules that the entry loads
    nox -s program_speed -- --modules 3000   so many plain modules of 1 kB, seeded; repeatable
    nox -s program_speed -- --tsx 2000       so many of them with JSX
    nox -s program_speed -- --docs           writes the table into docs/tree-shake.md

Each row is one process that starts with nothing in memory or cache: read all files, resolve, find
what every statement does, and what is needed; the fastest of ``--runs``. Beside it esbuild and
rolldown bundle the same entry in the same run. Plain modules form a tree of imports; one of four
functions in each is used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psutil
from sdk_removal import bundling
from sdk_removal.labels import generate
from sdk_removal.program import publish

from toolchain.formats.esbuild import service
from toolchain.harness.machine import machine
from toolchain.sources.tools import tool

_LIMIT_S = 600  # ours: of one row
_RUNS = 5  # ours: the fastest is shown, for others may use the machine
_LONG_S = 15  # ours: what takes longer runs once
_LOOK_S = 0.1  # ours: how often workers are looked at
_BRANCHES = 4  # ours: modules that each plain module imports; 100,000 are nine levels deep
_CHILD = Path(__file__).parent / "sdk_removal" / "program_child.py"
_DOCS = Path(__file__).parent.parent / "docs" / "tree-shake.md"
_RUNTIME = {  # what compilers import into JSX, and what tells them
    "tsconfig.json": '{"compilerOptions": {"jsx": "react-jsx"}}',
    "node_modules/react/package.json": '{"name": "react", "type": "module"}',
    "node_modules/react/jsx-runtime.js": "export const jsx = (type) => type, jsxs = jsx;\n",
}
_MARK = "<!-- nox -s program_speed -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One program and one tool."""

    program: str
    tool: str
    seconds: float
    detail: str = ""


def plain_modules(folder: Path, count: int, ending: str = "mjs", seed: int = 1) -> str:
    """Write ``count`` modules of about 1 kB, with JSX where ``ending`` is tsx; return the entry."""
    drawn = random.Random(seed)  # noqa: S311 - not for secrets
    for number in range(count):
        name = folder / _place(number, ending)
        name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text("".join(_lines(number, count, ending, drawn)), "utf-8")
    if ending == "tsx":
        for path, text in _RUNTIME.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
    return _place(0, ending)


def _place(number: int, ending: str) -> str:
    return f"m{number // 1000}/m{number}.{ending}"


def _lines(number: int, count: int, ending: str, drawn: random.Random) -> Iterator[str]:
    first = number * _BRANCHES + 1
    below = range(first, min(first + _BRANCHES, count))
    for other in below:
        yield f'import {{ f{other} }} from "../{_place(other, ending)}";\n'
    used = " + ".join(f"f{other}(x)" for other in below) or "x"
    yield f"const table{number} = [{', '.join(str(drawn.randrange(999)) for _ in range(8))}];\n"
    yield f"export function f{number}(x) {{\n  return table{number}[x % 8] + {used};\n}}\n"
    if ending == "tsx":
        yield f"export const View{number} = () => <b>{{f{number}(1)}}</b>;\n"
    for letter in "abc":
        typed = ": any" if ending == "tsx" else ""
        factor = drawn.randrange(2, 999)
        yield (
            f"export function {letter}{number}(list{typed}, start = {factor}) {{\n"
            f"  let sum = start;\n  for (const one of list) {{\n"
            f"    if (one > {factor}) sum += one * {factor};\n"
            f"    else sum -= Math.abs(one) % {factor};\n  }}\n"
            f'  return {{ sum, why: "{letter} of {number}: {drawn.random():.9f}" }};\n}}\n'
        )
    if not number:
        yield "console.log(f0(1));\n"


def main() -> None:
    """Measure and print."""
    asked = _options()
    load = os.getloadavg()[0]
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        known = bundling.bundlers(work / "bundlers")
        bundlers = {n: known[n] for n in ("esbuild", "rolldown") if n in known}
        bundling.lay_out(work / "bundlers")
        for program, tree, entry in _programs(work, asked):
            print(f"measuring: {program}", file=sys.stderr)
            rows = [partial(_own, program, tree, entry)]
            rows += [
                partial(_beside, program, title, bundler, tree, entry, work / "out")
                for title, bundler in bundlers.items()
            ]
            found += [_fastest(row, asked.runs) for row in rows]
    text = _table(found, load)
    print(text)
    if asked.docs:
        before, _, rest = _DOCS.read_text("utf-8").partition(_MARK)
        after = rest.partition(_MARK)[2]
        _DOCS.write_text(f"{before}{_MARK}\n{text}\n{_MARK}{after}", "utf-8")


def _fastest(row: Callable[[], Row], runs: int) -> Row:
    """Return the fastest of some runs; of what takes long one run says enough."""
    best = row()
    for _ in range(runs - 1):
        if best.seconds < _LONG_S:
            best = min(best, row(), key=lambda one: one.seconds)
    return best


def _programs(work: Path, asked: argparse.Namespace) -> Iterator[tuple[str, Path, str]]:
    is_asked = bool(asked.scale or asked.modules or asked.tsx)
    for scale in asked.scale or ([] if is_asked else [10]):
        sdk = generate(work / f"sdk-{scale}", scale=scale)
        with service(tool("esbuild")) as esbuild:
            tree = publish(sdk, work / f"published-{scale}", esbuild)
        yield f"fixture SDK x {scale}", tree, "consumers/everything/main.js"
    for count in asked.modules or ([] if is_asked else [1000, 10_000, 100_000]):
        tree = work / f"plain-{count}"
        yield f"plain modules, {count:,}", tree, plain_modules(tree, count)
    for count in asked.tsx or ([] if is_asked else [2000]):
        tree = work / f"tsx-{count}"
        yield f"modules with JSX, {count:,}", tree, plain_modules(tree, count, "tsx")


def _own(program: str, tree: Path, entry: str) -> Row:
    command = [sys.executable, str(_CHILD), str(tree), entry]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        workers = _watched(child, begun + _LIMIT_S)
        text = child.stdout.read() if child.stdout is not None else ""
    if child.returncode:
        return Row(program, "vtool", time.perf_counter() - begun, "stopped: took too long")
    told = json.loads(text)
    parts = ", ".join(f"{what} {seconds:.1f}" for what, seconds in told["parts"].items())
    busy = f"{told['cpu'] + workers.cpu:.1f} CPU s in all processes"
    largest = f"the largest worker {workers.most / 1e6:.0f} MB" if workers.most else "no workers"
    memory = f"{told['peak_mb']:.0f} MB, {largest}"
    held = f"{told['module_bytes'] / 1000:.1f} kB held per module"
    detail = f"{told['modules']:,} modules; {parts}; {busy}; {memory}; {held}"
    return Row(program, "vtool", told["seconds"], detail)


@dataclass
class _Workers:
    """What the workers of a process took: bytes of the largest, and seconds."""

    most: int = 0
    seconds: dict[int, float] = field(default_factory=dict)  # by process

    @property
    def cpu(self) -> float:
        return sum(self.seconds.values())

    def look(self, parent: int) -> None:
        for one in psutil.Process(parent).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                times = one.cpu_times()
                self.seconds[one.pid] = times.user + times.system
                self.most = max(self.most, one.memory_info().rss)


def _watched(child: subprocess.Popen[str], until: float) -> _Workers:
    """Wait for a process; return what its workers took."""
    workers = _Workers()
    while child.poll() is None:
        if time.perf_counter() > until:
            child.kill()
        with contextlib.suppress(psutil.Error):
            workers.look(child.pid)
        time.sleep(_LOOK_S)
    return workers


def _beside(  # noqa: PLR0913, PLR0917 - a bundler of a program, somewhere
    program: str, title: str, bundler: bundling.Bundler, tree: Path, entry: str, out: Path
) -> Row:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = bundler.command(bundling.Job(tree, {"main": entry}, out))
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            command, cwd=tree, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return Row(program, title, _LIMIT_S, "stopped: took too long")
    seconds = time.perf_counter() - begun
    problem = f"fails: {done.stderr.strip().splitlines()[0][:80]}" if done.returncode else ""
    return Row(program, title, seconds, problem or "a bundle, minified and written")


def _table(rows: list[Row], load: float) -> str:
    about = machine()
    lines = [
        f"{about.cpu}, {about.cores} cores; load before the first row {load:.1f}",
        "",
        "| program | tool | s | |",
        "|---|---|---|---|",
    ]
    lines += [f"| {r.program} | {r.tool} | {r.seconds:.1f} | {r.detail} |" for r in rows]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=int, action="append")
    parser.add_argument("--modules", type=int, action="append")
    parser.add_argument("--tsx", type=int, action="append")
    parser.add_argument("--runs", type=int, default=_RUNS)
    parser.add_argument("--docs", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
