"""How much of what nobody needs each bundler removes: the fixture SDK, with a label for everything.

    nox -s removal                             all bundlers, all consumers: some minutes
    nox -s removal -- --consumer voice         one consumer; repeatable, as is --bundler esbuild
    nox -s removal -- --json out.json          the figures as JSON; --docs writes docs/removal.md
    nox -s removal -- --scale 10               ten times the modules

removed: bytes of dead items that are gone, by the bytes of all that are labelled dead; inside: the
same in modules of which something is needed. lost: live items that are gone. runs as: in node, the
program prints what it prints unbundled, or not. All bundlers get the same compiled tree, as
packages are published. Times are of one run each.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sdk_removal import bundling, page
from sdk_removal.labels import CONSUMERS
from sdk_removal.rows import Row, open_bench, rows

from toolchain.errors import ConfigError, VtoolError
from toolchain.harness.machine import machine
from toolchain.ir import Machine
from toolchain.tables import dump, table


@table
class Result:
    """What ``--json`` writes."""

    machine: Machine
    rows: tuple[Row, ...]


_DOCS = Path(__file__).parent.parent / "docs" / "removal.md"


def main() -> None:
    """Measure and print."""
    asked = _options()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name).resolve()
        known = bundling.bundlers(work / "bundlers")
        unknown = set(asked.bundler or ()) - set(known)
        if unknown:
            raise ConfigError(
                f"no bundler is called {unknown.pop()!r}", hint=f"there are {', '.join(known)}"
            )
        chosen = {n: b for n, b in known.items() if n in (asked.bundler or known)}
        if any(bundler.is_fetched for bundler in chosen.values()):
            bundling.lay_out(work / "bundlers")
        bench = open_bench(work, scale=asked.scale, seed=asked.seed)
        found = rows(bench, chosen, asked.consumer or CONSUMERS, _say)
    print(page.text(found))
    if asked.json:
        asked.json.write_text(json.dumps(dump(Result(machine(), tuple(found))), indent=1), "utf-8")
    if asked.docs:
        _write_docs(found)


def _write_docs(found: list[Row]) -> None:
    here = machine()
    load = f", load {here.load:.1f} at the end" if here.load is not None else ""
    about = f"{here.cpu}, {here.cores} cores{load}"
    before, _, rest = _DOCS.read_text("utf-8").partition(page.BEGIN)
    after = rest.partition(page.END)[2]
    written = page.markdown(found, about, datetime.now(UTC).date().isoformat())
    _DOCS.write_text(f"{before}{page.BEGIN}\n\n{written}\n{page.END}{after}", "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--consumer", action="append", choices=CONSUMERS)
    parser.add_argument("--bundler", action="append")
    parser.add_argument("--scale", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", action="store_true", help="write docs/removal.md anew")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except VtoolError as error:
        print(f"error: {error}\n hint: {error.hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
