"""A process whose work is a known number of equal units: what the clock is tested with.

A unit loads a processor as a voice application does, in small: C code on numbers that fit its
caches, a pass over a megabyte that does not, and Python between them. Eleven units are ten percent
more work than ten, by doing it. It speaks as ``child`` does and needs no models; it imports so
little that it starts in a moment, since each round starts it anew.
"""

from __future__ import annotations

import json
import os
import sys
import zlib
from collections.abc import Mapping
from typing import Any

from toolchain.harness.serving import serve

_TEXT = b"".join(b"%d words were said; " % (number * number) for number in range(1_000))
_WEIGHTS = bytes(range(256)) * 4_096  # 1 MB: as large as the second cache of most processors
_TURNED = bytes(reversed(range(256)))


def work(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Do ``units`` units; return their sum, so that nothing of them can be left out."""
    return {"sum": sum(_unit() for _ in range(request["units"]))}


def _unit() -> int:
    """Do one unit: about 2 ms of a processor of 2023."""
    packed = len(zlib.compress(_TEXT, 6))
    turned = zlib.crc32(_WEIGHTS.translate(_TURNED))
    counts: dict[bytes, int] = {}
    for word in _TEXT.split():
        counts[word[:1]] = counts.get(word[:1], 0) + 1
    return packed + turned + sum(counts.values())


def main() -> int:
    """Serve until the other end closes."""
    line = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # as in ``child``: only our lines

    def say(message: Mapping[str, Any]) -> None:
        line.write(json.dumps(message) + "\n")
        line.flush()

    sys.stdin.readline()  # the request that opens; there is nothing to choose
    serve(work, sys.stdin, say)
    return 0


if __name__ == "__main__":
    sys.exit(main())
