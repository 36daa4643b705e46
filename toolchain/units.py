"""Numbers with units, and how they are written for people."""

from __future__ import annotations

from typing import NewType

Bytes = NewType("Bytes", int)
Milliseconds = NewType("Milliseconds", float)
Seconds = NewType("Seconds", float)

_STEP = 1000  # decimal units: what registries, browsers and disks print


def show_bytes(count: int) -> str:
    """Write a byte count with three significant digits and a decimal unit.

    >>> show_bytes(2_327_524), show_bytes(999), show_bytes(-1_500)
    ('2.33 MB', '999 B', '-1.50 kB')
    """
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(value) < _STEP or unit == "GB":
            break
        value /= _STEP
    return f"{count} B" if unit == "B" else f"{_three_digits(value)} {unit}"


def _three_digits(value: float) -> str:
    size = abs(value)
    return f"{value:.2f}" if size < 10 else f"{value:.1f}" if size < 100 else f"{value:.0f}"  # noqa: PLR2004 - powers of ten


def show_share(part: float, whole: float) -> str:
    """Write ``part`` of ``whole`` as a percentage; ``-`` where there is no whole.

    >>> show_share(1, 8), show_share(1, 0)
    ('12.5 %', '-')
    """
    return f"{100 * part / whole:.1f} %" if whole else "-"


def show_range(low: float | None, high: float | None, unit: str) -> str:
    """Write between which values a measured value lies; ``?`` where nobody knows.

    >>> show_range(440.0, 471.6, "ms"), show_range(440.0, None, "ms"), show_range(9e5, 2e6, "byte")
    ('440 .. 472 ms', '440 .. ? ms', '900 kB .. 2.00 MB')
    """
    shown = [None if end is None else show_quantity(end, unit) for end in (low, high)]
    units = [text.partition(" ")[2] for text in shown if text]
    if not units:
        return "?"
    if len(set(units)) > 1:
        return " .. ".join(str(text) for text in shown)
    numbers = ("?" if text is None else text.partition(" ")[0] for text in shown)
    return f"{' .. '.join(numbers)} {units[0]}".rstrip()


def show_quantity(value: float, unit: str) -> str:
    """Write a measured value with its unit.

    >>> show_quantity(4_000_000, "byte"), show_quantity(0.713, "ratio"), show_quantity(394.2, "ms")
    ('4.00 MB', '71.3 %', '394 ms')
    >>> show_quantity(0.00052, "nats"), show_quantity(3, "count"), show_quantity(33.3, "tokens/s")
    ('0.0005 nats', '3', '33.3 t/s')
    """
    if unit == "byte":
        return show_bytes(round(value))
    if unit == "ratio":
        return f"{round(100 * value, 1) + 0.0:.1f} %"  # + 0.0: no minus before a zero
    if unit == "nats":
        return f"{value:.4f} nats"  # what matters are hundredths and less
    if unit == "count" and value == round(value):
        return f"{round(value):,}"
    number = _three_digits(value) if abs(value) < _STEP else f"{value:,.0f}"
    return f"{number} {_SHORT.get(unit, unit)}".rstrip()


_SHORT = {"count": "", "tokens/s": "t/s"}  # columns are narrow; what is counted, its name says
