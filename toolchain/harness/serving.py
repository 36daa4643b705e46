"""The measured side of a comparison: does a piece of work each time it is asked, and says its cost.

Reads one request a line, as JSON, until there are no more; answers each with one line.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from toolchain.harness.cpu_time import cpu_ms

Say = Callable[[Mapping[str, Any]], None]
Work = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def serve(work: Work, requests: Iterable[str], say: Say, started: Sequence[int] = ()) -> None:
    """Say that we are ready, and answer ``requests`` with what ``work`` returns and took.

    ``started`` are processes that work for this one: their time counts too. What an earlier piece
    of work has left to the garbage collector is not charged to a later one.
    """
    say({"result": "ready"})
    for line in requests:
        request = json.loads(line)
        gc.collect()
        begun, begun_ms = time.perf_counter(), cpu_ms(started)
        facts = work(request)
        spent_ms, wall_ms = cpu_ms(started) - begun_ms, 1000 * (time.perf_counter() - begun)
        say({"result": {"cpu_ms": spent_ms, "wall_ms": wall_ms, "facts": facts}})
