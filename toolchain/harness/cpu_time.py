"""How much processor time a process and those it has started took: what a busy machine cannot add.

On Linux every process has a clock of its own that counts the nanoseconds in which it really ran,
all its threads together; elsewhere the system's accounting is read, which may be as coarse as
10 ms.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence

_OF_A_PROCESS = 2
"""CPUCLOCK_SCHED in the kernel's include/linux/posix-timers.h: the time a process was scheduled."""


def cpu_ms(started: Sequence[int] = ()) -> float:
    """Return the milliseconds of this process and of those ``started`` (ids) that still run."""
    return 1000 * (time.process_time() + sum(_cpu_s(process) for process in started))


def _cpu_s(process: int) -> float:
    if platform.system() == "Linux":
        try:
            return time.clock_gettime(~process << 3 | _OF_A_PROCESS)
        except OSError:  # it has ended
            return 0.0
    import psutil  # noqa: PLC0415 - 30 ms that the known work does not need

    try:
        times = psutil.Process(process).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)
