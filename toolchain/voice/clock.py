"""The time of a session: work takes as long as it takes; where everybody waits, time may jump."""

from __future__ import annotations

import time


class Clock:
    """Milliseconds since the session began.

    Work takes the wall time that it really takes (``perf_counter``). Before the next frame arrives
    nobody may have anything to do: a clock in ``real_time`` then sleeps, any other is set forward
    to the arrival. No other time is assumed, added or left out.
    """

    def __init__(self, *, real_time: bool = False) -> None:
        self.real_time = real_time
        self._zero_s = time.perf_counter()

    def now_ms(self) -> float:
        """Return the milliseconds since the session began."""
        return 1000 * (time.perf_counter() - self._zero_s)

    def arrive(self, at_ms: float) -> None:
        """Wait for what arrives at ``at_ms``, unless it has; only while nobody works."""
        ahead_s = at_ms / 1000 - (time.perf_counter() - self._zero_s)
        if ahead_s <= 0:
            return
        if self.real_time:
            time.sleep(ahead_s)
        else:
            self._zero_s -= ahead_s
