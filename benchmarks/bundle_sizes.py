"""How small each bundler makes the same code: voice SDKs, libraries, and the fixture SDK.

    nox -s bundle_sizes                            all entries, all bundlers: some minutes
    nox -s bundle_sizes -- --entry rxjs            one entry; repeatable, as is --bundler bun
    nox -s bundle_sizes -- --docs                  also writes docs/bundle-sizes.md

Bytes are those of all scripts that a bundler wrote, each compressed with brotli 11; what is left to
an import that nobody resolves makes a bundle small and counts as failed. Times are wall times of
one run each. Every bundler is set up for production as its documentation says; vtool is asked for
its passes tree-shake, drop-unreachable and bundle-js, proofs included, without its
cache of results.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from sdk_removal import bundling
from sdk_removal.labels import CONSUMERS
from sdk_removal.rows import open_bench

from toolchain.errors import ConfigError, VtoolError
from toolchain.formats.compression import SHIPPING, Codec, encode
from toolchain.formats.javascript import read
from toolchain.harness.machine import machine
from toolchain.sources.project import open_target

_HERE = Path(__file__).parent
_DOCS = _HERE.parent / "docs" / "bundle-sizes.md"
_BEGIN = "<!-- written by nox -s bundle_sizes: begin -->"
_END = "<!-- written by nox -s bundle_sizes: end -->"
_OURS, _REFERENCE = "vtool", "esbuild"
_LARGE = "three-vector3"  # the row that moves the mean most: the mean is told with and without it


@dataclass(frozen=True, slots=True)
class Cell:
    """What one bundler made of one entry."""

    brotli_bytes: int = 0
    seconds: float = 0.0
    problem: str = ""
    chosen: str = ""  # of vtool: which candidate was kept


@dataclass(frozen=True, slots=True)
class Row:
    """One entry, by bundler."""

    entry: str
    cells: Mapping[str, Cell]

    @property
    def best(self) -> int | None:
        """The smallest that any other bundler made."""
        found = [c.brotli_bytes for n, c in self.cells.items() if n != _OURS and not c.problem]
        return min(found, default=None)

    def ratio(self, other: int | None) -> float | None:
        """Return vtool's bytes by ``other``."""
        ours = self.cells.get(_OURS)
        return ours.brotli_bytes / other if ours and not ours.problem and other else None


def main() -> None:
    """Measure and print."""
    asked = _options()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        known = bundling.bundlers(work / "bundlers")
        if unknown := set(asked.bundler or ()) - set(known):
            raise ConfigError(
                f"no bundler is called {unknown.pop()!r}", hint=f"there are {', '.join(known)}"
            )
        chosen = {n: b for n, b in known.items() if n in (asked.bundler or known)}
        bundling.lay_out(work / "bundlers")
        rows = []
        packages, sdk = _packages(work, chosen, asked.entry), _sdk(work, chosen, asked.entry)
        for row in chain(packages, sdk):
            rows.append(row)
            print(_line(row), file=sys.stderr, flush=True)
    print(_table(rows, "{:<18}", "{:>9}"))
    print("\n".join(_means(rows)))
    if asked.docs:
        _write_docs(rows)


def _packages(
    work: Path, bundlers: Mapping[str, bundling.Bundler], wanted: Sequence[str] | None
) -> Iterator[Row]:
    """Yield the rows of the locked packages."""
    entries = sorted((_HERE / "bundle_inputs" / "entries").glob("*.js"))
    entries = [e for e in entries if not wanted or e.stem in wanted]
    if not entries:
        return
    tree = work / "inputs"
    for name, file in open_target(str(_HERE / "bundle_inputs")).tree.files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.path, tree / name)
        except OSError:
            shutil.copyfile(file.path, tree / name)
    for entry in entries:
        cells = {}
        for name, bundler in bundlers.items():
            out = work / "out" / entry.stem / name
            job = bundling.Job(tree, {"main": f"entries/{entry.name}"}, out, "browser")
            cells[name] = _cell(bundler, job)
        yield Row(entry.stem, cells)


def _cell(bundler: bundling.Bundler, job: bundling.Job) -> Cell:
    job.out.mkdir(parents=True)
    start = time.perf_counter()
    try:
        bundling.run_command(bundler.command(job), job.tree)
    except VtoolError as error:
        return Cell(seconds=time.perf_counter() - start, problem=str(error))
    seconds = time.perf_counter() - start
    folder = job.out / Path(bundler.program).parent
    scripts = {p.name: p.read_bytes() for p in sorted(folder.rglob("*.js"))}
    if outside := _outside(scripts):
        return Cell(seconds=seconds, problem=f"leaves {', '.join(sorted(outside))} outside")
    return Cell(_brotli(scripts), seconds, chosen=_kept(job.out))


def _brotli(scripts: Mapping[str, bytes]) -> int:
    return sum(len(encode(data, Codec.BROTLI, SHIPPING.brotli)) for data in scripts.values())


def _outside(scripts: Mapping[str, bytes]) -> set[str]:
    """Return the packages that bundles import."""
    found = (m for data in scripts.values() for m in read(data).mentions)
    return {m.target for m in found if m.how == "import" and not m.target.startswith(".")}


def _kept(out: Path) -> str:
    account = out / "vtool-candidates.json"
    rows = json.loads(account.read_bytes()) if account.is_file() else []
    return next((row["name"] for row in rows if row["fate"] == "kept"), "")


def _sdk(
    work: Path, bundlers: Mapping[str, bundling.Bundler], wanted: Sequence[str] | None
) -> Iterator[Row]:
    """Yield the rows of the fixture SDK's consumers."""
    consumers = [c for c in CONSUMERS if not wanted or f"sdk-{c}" in wanted]
    if not consumers:
        return
    bench = open_bench(work, scale=1, seed=1)
    for consumer in consumers:
        cells = {}
        for name, bundler in bundlers.items():
            out = work / "out" / f"sdk-{consumer}" / name
            made = bundling.bundle(bundler, bench.sdk, bench.tree, consumer, out)
            scripts = {n: data for n, data in made.files.items() if n.endswith(".js")}
            cells[name] = Cell(_brotli(scripts), made.seconds, made.problem, _kept(out))
        yield Row(f"sdk-{consumer}", cells)


def _line(row: Row) -> str:
    cells = (f"{n} {c.problem or c.brotli_bytes} ({c.seconds:.1f} s)" for n, c in row.cells.items())
    return f"{row.entry}: {'; '.join(cells)}"


def _table(rows: Sequence[Row], first: str, other: str) -> str:
    """Return the table: bytes by bundler, vtool's choice, and its ratio to the best of the rest."""
    names = list(rows[0].cells) if rows else []
    head = ["entry", *names, "kept", "by best"]
    lines = [[row.entry, *(_bytes(row.cells[n]) for n in names), *_judged(row)] for row in rows]
    took = ["seconds", *(f"{sum(r.cells[n].seconds for r in rows):.1f}" for n in names), "", ""]
    shown = []
    for line in (head, *lines, took):
        cells = [first.format(line[0]), *(other.format(c) for c in line[1:-2])]
        shown.append(" ".join([*cells, f"{line[-2]:>13}", f"{line[-1]:>8}"]))
    return "\n".join(shown)


def _bytes(cell: Cell) -> str:
    return "failed" if cell.problem else str(cell.brotli_bytes)


def _judged(row: Row) -> list[str]:
    ratio = row.ratio(row.best)
    kept = row.cells[_OURS].chosen if _OURS in row.cells else ""
    return [kept, f"{ratio:.3f}" if ratio else "-"]


def _means(rows: Sequence[Row]) -> Iterator[str]:
    """Yield vtool's geometric mean against esbuild, with and without the row that moves it most."""
    for title, chosen in (
        ("all entries", rows),
        (f"without {_LARGE}", [r for r in rows if r.entry != _LARGE]),
    ):
        cells = [(r, r.cells.get(_REFERENCE)) for r in chosen]
        found = [r.ratio(c.brotli_bytes) for r, c in cells if c and not c.problem]
        logs = [math.log(ratio) for ratio in found if ratio]
        if logs:
            mean = math.exp(sum(logs) / len(logs))
            yield f"{title}: vtool by {_REFERENCE}, geometric mean of {len(logs)}: {mean:.3f}"


def _problems(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        for name, cell in row.cells.items():
            if cell.problem:
                yield f"{row.entry}: {name} failed: {cell.problem}"


def _write_docs(rows: Sequence[Row]) -> None:
    here = machine()
    load = f", load {here.load:.1f} at the end" if here.load is not None else ""
    about = f"{here.cpu}, {here.cores} cores{load}; {datetime.now(UTC).date().isoformat()}."
    parts = [about, _piped(rows), "Wall seconds of one run each:", _times(rows)]
    parts += ["\n".join(f"- {line}" for line in (*_means(rows), *_problems(rows)))]
    before, _, rest = _DOCS.read_text("utf-8").partition(_BEGIN)
    written = "\n\n".join([_BEGIN, *parts, _END])
    _DOCS.write_text(before + written + rest.partition(_END)[2], "utf-8")


def _piped(rows: Sequence[Row]) -> str:
    names = list(rows[0].cells)
    lines = [["entry", *names, "kept", "vtool by the best other"]]
    lines += [["---", *["---:"] * (len(names) + 2)]]
    lines += [[r.entry, *(_bytes(r.cells[n]) for n in names), *_judged(r)] for r in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _times(rows: Sequence[Row]) -> str:
    names = list(rows[0].cells)
    lines = [["entry", *names], ["---", *["---:"] * len(names)]]
    lines += [[r.entry, *(f"{r.cells[n].seconds:.1f}" for n in names)] for r in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entry", action="append")
    parser.add_argument("--bundler", action="append")
    parser.add_argument("--docs", action="store_true", help="write docs/bundle-sizes.md anew")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except VtoolError as error:
        print(f"error: {error}\n hint: {error.hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
