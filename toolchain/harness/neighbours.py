"""Other programs that keep the machine busy while something is measured; ended by us."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from toolchain.errors import ToolError

_COMMAND = (sys.executable, "-P", "-m", "toolchain.harness.neighbours")
_GRACE_S = 10  # to a killed process, until the system has buried it
_BYTES = 8_000_000  # moved again and again: a neighbour takes caches and memory too, not only time
_LONGEST_S = 48 * 3600
"""Ours: a neighbour ends by itself after that, where the system does not show that its parent has.
A self-test on a project may take a night."""


@contextmanager
def busy(count: int) -> Iterator[tuple[int, ...]]:
    """Keep ``count`` processes computing during the block; yield their ids. All are gone after it.

    Errors:
        ToolError: one has ended before the block: what was measured had fewer neighbours.
    """
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(count):
            started.append(subprocess.Popen([*_COMMAND, str(os.getpid())]))  # noqa: PERF401 - one that fails must not lose the others
        yield tuple(one.pid for one in started)
        if ended := sum(one.poll() is not None for one in started):
            raise ToolError(
                f"{ended} of {count} busy neighbour processes ended too early",
                hint="something ended them, perhaps for want of memory; measure again",
            )
    finally:
        for one in started:
            one.kill()
        for one in started:
            one.wait(timeout=_GRACE_S)


def burn(parent: int, longest_s: float = _LONGEST_S) -> None:
    """Compute without a pause until ``parent`` is gone, at most ``longest_s``."""
    ends, block = time.monotonic() + longest_s, bytearray(_BYTES)
    while time.monotonic() < ends and os.getppid() == parent:
        sum(number * number for number in range(20_000))
        block = bytearray(block)


if __name__ == "__main__":
    burn(int(sys.argv[1]))
