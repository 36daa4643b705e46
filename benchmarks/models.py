"""Every model beside every tool: what becomes of it, how large, how far off, how fast.

    nox -s models                          everything; hours the first time, then from the cache
    nox -s models -- --model hibari        one model; repeatable, as is --tool onnxslim
    nox -s models -- --quick               no latency, load time and memory
    nox -s models -- --known               what was measured last, without running anything
    nox -s models -- --json out.json       the figures as JSON; --docs writes docs/models.md

Each tool and each question runs in a process of its own within limits of time and memory: a crash
is a row, not the end. Everything measured is kept in the user's cache under the digests of what it
depends on, so that a run that was stopped goes on where it was. Needs the packages of the group
``peers``; a tool that is not installed has no row.
"""

# ruff: noqa: PLC0415 - children import as little as they can: a tool's memory is its own

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from model_peers import child

_DOCS = Path(__file__).parent.parent / "docs" / "models.md"


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        child.serve(sys.argv[2])
        return
    options = _options()
    from model_peers import bench, page, probes, result
    from model_peers.bars import bars
    from model_peers.peers import PEERS, missing
    from model_peers.rows import VTOOL, Row
    from model_peers.traps import traps

    from toolchain.tables import dump

    run = bench.open_run(_say, latency=not options.quick)
    absent = sorted(name for name, peer in PEERS.items() if missing(peer))
    every = list(PEERS) if options.peers_only else [*PEERS, VTOOL]
    tools = [t for t in every if t not in absent and t in (options.tool or every)]
    models = [m for m in run.catalogue.model if m.name in (options.model or [m.name])]
    rows: list[Row] = []
    for model in models:
        rows += run.known(model) if options.known else run.rows(model, tools)
    found = result.result(
        run.catalogue, models, rows, probes.probed(run) if options.probes else probes.known(run)
    )
    limits = {m.name: m.bar_bytes for m in models if m.bar_bytes}
    judged = bars(rows, limits, frozenset(m.name for m in models if m.products))
    known = traps(rows, found.probes)
    print(page.text(found, judged, known))
    if absent:
        print(f"not installed: {', '.join(absent)}")
    if options.json:
        document = {**dump(found), "bars": dump(judged), "traps": dump(known)}
        options.json.write_text(json.dumps(document, indent=1), "utf-8")
    if options.docs:
        page.put(_DOCS, page.markdown(found, judged, known))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", action="append", help="only this model; repeatable")
    parser.add_argument("--tool", action="append", help="only this tool; repeatable")
    parser.add_argument("--peers-only", action="store_true", help="without vtool's searches")
    parser.add_argument("--known", action="store_true", help="print the last figures, run nothing")
    parser.add_argument("--quick", action="store_true", help="no latency, load time and memory")
    parser.add_argument("--probes", action="store_true", help="also measure the other traps")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--docs", action="store_true", help="write the tables to docs/models.md")
    return parser.parse_args()


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
