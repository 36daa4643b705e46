"""Runs two models in turn, in fresh processes, and says what one takes of the other."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from model_peers.feeds import few
from model_peers.rows import Taken

from toolchain.errors import UnusableError
from toolchain.quantization import targets
from toolchain.quantization.measuring import Bench, Figures, bench
from toolchain.quantization.targets import Setting

_ROUNDS = 3  # pairs of fresh processes, original and candidate in random order
_PASS_SECONDS = 0.7
HOW = (_ROUNDS, _PASS_SECONDS)
"""Changes when measurements of an earlier run no longer count."""

Pair = tuple[Figures, Figures]


def compared(
    feeds: Path,
    original: tuple[Path, Setting],
    candidate: tuple[Path, Setting],
    target: str = "native-cpu",
) -> Taken:
    """Measure two models in turn, each time in a fresh process."""
    rows = few(feeds)
    with TemporaryDirectory() as folder:
        on = bench(targets.load(target), rows, Path(folder))
        on = replace(on, request={**on.request, "seconds": _PASS_SECONDS})
        try:
            pairs = _pairs(on, original, candidate)
        except UnusableError as error:
            words = str(error).replace(folder, "")
            return Taken(how=candidate[1].name, failed=words[:200])
    return _summary(pairs, len(rows), candidate[1].name)


def _pairs(
    on: Bench, original: tuple[Path, Setting], candidate: tuple[Path, Setting]
) -> list[Pair]:
    paths = [
        (on.prepared(path.read_bytes(), setting, name), setting)
        for name, (path, setting) in (("original", original), ("candidate", candidate))
    ]
    order = random.Random(0)  # noqa: S311 - an order, not a secret
    pairs = []
    for _ in range(_ROUNDS):
        found: dict[int, Figures] = {}
        for side in order.sample((0, 1), 2):
            found[side] = on.figures(*paths[side])
        pairs.append((found[0], found[1]))
    return pairs


def _summary(pairs: Sequence[Pair], calls: int, how: str) -> Taken:
    def middle(figure: Callable[[Figures], float]) -> tuple[float, float]:
        values = [(figure(before), figure(after)) for before, after in pairs]
        ratios = [after / max(before, 1e-9) for before, after in values]
        return statistics.median(after for _, after in values), statistics.median(ratios)

    latency = middle(lambda f: statistics.median(f.latency_ms) / calls)
    load = middle(lambda f: statistics.median(f.load_cpu_ms))
    peak = middle(lambda f: statistics.median(f.peak_bytes))
    return Taken(*latency, *load, int(peak[0]), peak[1], how)
