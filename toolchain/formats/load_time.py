"""Compares how much processor time two models take to be opened."""

from __future__ import annotations

import time

from toolchain.formats.onnx_session import session

_ROUNDS = 5  # ours: the least of five is within 10 % on a busy machine


def load_ratio(before: bytes, after: bytes) -> float:
    """Return the time to open ``after`` as a share of that of ``before``.

    Both are opened in turns, so that a busy moment hits both; the least time of each counts.

    Errors:
        UnusableError: onnxruntime refuses one.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for model, taken in zip((before, after), times, strict=True):
            start = time.process_time()
            session(model)
            taken.append(time.process_time() - start)
    return min(times[1]) / min(times[0])
