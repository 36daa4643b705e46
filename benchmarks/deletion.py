"""Check every label of the fixture SDK by deletion: live items one by one, dead ones in groups.

    nox -s deletion                        all consumers: 1,250 programs are run
    nox -s deletion -- --consumer vad      one consumer; repeatable
    nox -s deletion -- --alone             dead items one by one too: 3,000 more

Exits with 1 if a label is contradicted: something live that changes nothing, or something dead
whose deletion changes what the program prints, or stops it from being built.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from sdk_removal import deletion
from sdk_removal.labels import CONSUMERS, LIVE, generate
from sdk_removal.program import publish

from toolchain.formats.esbuild import service
from toolchain.sources.tools import tool

_STEP = 20  # items between two words of progress


def main() -> None:
    """Check and print."""
    asked = _options()
    doubts = []
    with tempfile.TemporaryDirectory() as name, service(tool("esbuild")) as esbuild:
        work = Path(name).resolve()
        sdk = generate(work / "sdk", seed=asked.seed)
        tree = publish(sdk, work / "published", esbuild)
        for consumer in asked.consumer or CONSUMERS:
            check = deletion.start(sdk, consumer, tree, work / consumer, esbuild)
            items = [i for i in sdk.items() if i.labels[consumer] != "unknown"]
            live = [i for i in items if i.labels[consumer] in LIVE]
            dead = [i for i in items if i.labels[consumer] not in LIVE]
            groups = [[i] for i in dead] if asked.alone else [dead]
            found = [d for group in groups for d in check.doubts(group)]
            for at in range(0, len(live), _STEP):
                print(f"{consumer}: {at} of {len(live)} live items", file=sys.stderr, flush=True)
                found += check.doubts(live[at : at + _STEP])
            print(f"{consumer:12} {len(live):4} live {len(dead):4} dead {len(found):3} doubts")
            doubts += found
    for doubt in doubts:
        print(f"{doubt.consumer}: {doubt.item} is {doubt.label}, but: {doubt.seen}")
    raise SystemExit(1 if doubts else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--consumer", action="append", choices=CONSUMERS)
    parser.add_argument("--alone", action="store_true", help="dead items one by one too")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
