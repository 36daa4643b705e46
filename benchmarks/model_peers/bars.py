"""The goal's bars: reached or not, with the figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from model_peers.rows import ORIGINAL, STRICT, VTOOL, Row, smallest

_DOWNLOAD, _MEMORY, _LOAD, _LATENCY, _FASTER, _WITHIN = 0.75, 0.60, 0.35, 1.05, 0.50, 1.05


@dataclass(frozen=True)
class Bar:
    """One bar on one model; ``reached`` is None where a figure is missing."""

    model: str
    what: str
    figures: str
    reached: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        return {True: "reached", False: "NOT reached", None: "not measured"}[self.reached]


def bars(rows: Sequence[Row], limits: Mapping[str, int], products: frozenset[str]) -> list[Bar]:
    """Judge vtool's rows; ``limits`` are downloads by model, ``products`` matrix-heavy models."""
    found: list[Bar] = []
    for model in dict.fromkeys(row.model for row in rows):
        of = {row.tool: row for row in rows if row.model == model}
        ours = of.get(VTOOL)
        if ours is None:
            continue
        if model in limits:
            found.append(_size(ours, limits[model]))
        peers = [r for t, r in of.items() if t not in {ORIGINAL, VTOOL, STRICT}]
        found.append(_against_peers(ours, of.get(STRICT), peers))
        found += _running(ours, heavy=model in products)
    return found


def _size(ours: Row, limit: int) -> Bar:
    size = ours.made.download_bytes
    held = ours.usable and size <= limit
    what = f"download <= {limit / 1e6:.2f} MB"
    return Bar(ours.model, what, f"{size / 1e6:.3f} MB, {_quality(ours)}", held)


def _against_peers(ours: Row, strict: Row | None, peers: Sequence[Row]) -> Bar:
    """Compare with the smallest download among the peers' outputs that keep the limit.

    Where its error is smaller than ours, the search was asked to keep to that: ``strict``. What
    has no error at all is the input, written anew: nothing lossy is compared with its error.
    """
    what = f"download <= {_DOWNLOAD} of the best peer's at equal or better error"
    best = smallest(peers)
    if best is None or best.scored is None:
        return Bar(ours.model, what, "no peer's output keeps the limit", None)
    one = strict or ours
    if not one.usable or one.scored is None:
        return Bar(ours.model, what, _quality(one), reached=False)
    ratio = one.made.download_bytes / best.made.download_bytes
    lossless = best.scored.error == 0
    figures = (
        f"{ratio:.3f} of {best.tool}'s {best.made.download_bytes / 1e6:.3f} MB; error"
        f" {one.scored.error:.4g}, its {best.scored.error:.4g}"
    )
    if lossless:
        figures += " (no peer that loses anything keeps the limit in fewer bytes)"
    held = lossless or one.scored.error <= best.scored.error
    return Bar(ours.model, what, figures, held and ratio <= _DOWNLOAD)


def _running(ours: Row, *, heavy: bool) -> Iterator[Bar]:
    taken = ours.taken
    names = {
        "memory": f"peak session memory <= {_MEMORY} within {_WITHIN} of the latency",
        "load": f"load CPU time <= {_LOAD}",
        "latency": f"latency <= {_LATENCY}",
        "faster": f"latency <= {_FASTER} where matrix products take the time",
    }
    if taken is None or taken.failed:
        yield Bar(ours.model, names["latency"], taken.failed if taken else "", None)
        return
    how = f" ({taken.how})"
    memory = taken.peak_ratio <= _MEMORY and taken.latency_ratio <= _WITHIN
    yield Bar(ours.model, names["memory"], f"{taken.peak_ratio:.2f}{how}", memory)
    yield Bar(ours.model, names["load"], f"{taken.load_ratio:.2f}{how}", taken.load_ratio <= _LOAD)
    slow = f"{taken.latency_ratio:.2f}{how}"
    yield Bar(ours.model, names["latency"], slow, taken.latency_ratio <= _LATENCY)
    if heavy:
        yield Bar(ours.model, names["faster"], slow, taken.latency_ratio <= _FASTER)


def _quality(row: Row) -> str:
    if row.made.failed:
        return row.made.failed
    if row.scored is None:
        return "not asked"
    if row.scored.stage:
        return row.scored.stage
    return (
        row.scored.problem or f"error {row.scored.error:.4g}, {row.scored.agreement:.2%} the same"
    )
