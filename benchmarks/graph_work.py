"""Lossless graph work on one model: CPU seconds and peak memory of each pass and its proof.

    nox -s graph_work                       the voice of 63 MB
    nox -s graph_work -- --model akiki      another model of models.toml; repeatable

Each pass has a process of its own, like a worker of vtool: it reads the model, rewrites it and
proves the result. Passes follow one another as in the pipeline ``model``.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from model_peers import bench
from rich.console import Console
from rich.table import Table

from toolchain import plugins
from toolchain.passes.base import ArtifactPass, make_pass

_PASSES = ("fold-constants", "drop-unused", "share-tensors", "store-fp16-exact")
_SECONDS, _BYTES = 60.0, 600_000_000  # the goal's, for all passes on the voice
_TIMEOUT_S = 600


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--pass"]:
        print(json.dumps(_worked(*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="of models.toml; repeatable")
    asked = parser.parse_args().model or ["piper joe"]
    run = bench.open_run(lambda _: None, latency=False)
    table = Table("model", "pass", "CPU s", "peak MB", "bytes", "proof")
    for model in (m for m in run.catalogue.model if m.name in asked):
        with TemporaryDirectory() as folder:
            rows = [*_rows(run.original(model), Path(folder))]
        for row in rows:
            figures = (f"{row['seconds']:.1f}", f"{row['peak'] / 1e6:.0f}", f"{row['bytes']:,}")
            table.add_row(model.name, row["pass"], *figures, row["proof"])
        seconds, peak = sum(r["seconds"] for r in rows), max(r["peak"] for r in rows)
        held = seconds <= _SECONDS and peak <= _BYTES
        goal = f"{'within' if held else 'NOT within'} {_SECONDS:.0f} s and {_BYTES / 1e6:.0f} MB"
        table.add_row(model.name, "all", f"{seconds:.1f}", f"{peak / 1e6:.0f}", "", goal)
        table.add_section()
    Console(width=130).print(table)


def _rows(original: Path, folder: Path) -> list[dict[str, Any]]:
    rows, path = [], original
    for number, name in enumerate(_PASSES):
        out = folder / f"{number}.onnx"
        command = [sys.executable, __file__, "--pass", name, str(path), str(out)]
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        path = out
    return rows


def _worked(name: str, path: str, out: str) -> dict[str, Any]:
    """Run in a child: one pass and its proof."""
    begin = time.process_time()
    one = make_pass(name, {})
    assert isinstance(one, ArtifactPass)  # noqa: S101 - for the type checker
    before = Path(path).read_bytes()
    after = one.rewrite(before)
    said = "nothing to do"
    if after != before:
        proof = plugins.find("verify", one.proof).prove(before, after, {})
        said = f"{one.proof}: {proof.detail}" if proof.holds else f"FAILED: {proof.detail}"
    Path(out).write_bytes(after)
    own, child = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return {
        "pass": name,
        "seconds": time.process_time() - begin + child.ru_utime + child.ru_stime,
        "peak": max(own.ru_maxrss, child.ru_maxrss) * 1024,
        "bytes": len(after),
        "proof": said,
    }


if __name__ == "__main__":
    main()
