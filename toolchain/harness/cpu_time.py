"""How much processor time a process and those it has started took: what a busy machine cannot add.

On Linux every process has a clock of its own that counts nanoseconds in which it really ran, all
its threads together; elsewhere the system's accounting is read, which may be as coarse as 10 ms.
"""

from __future__ import annotations

import sys
import time

import psutil

_OF_A_PROCESS = 2
"""CPUCLOCK_SCHED in the kernel's include/linux/posix-timers.h: the time a process was scheduled."""


def cpu_ms() -> float:
    """Return the milliseconds of this process and of all that it has started and that still run."""
    started = psutil.Process().children(recursive=True)
    return 1000 * (time.process_time() + sum(_cpu_s(one) for one in started))


def _cpu_s(process: psutil.Process) -> float:
    try:
        if sys.platform == "linux":
            return time.clock_gettime(~process.pid << 3 | _OF_A_PROCESS)
        times = process.cpu_times()
        return float(times.user + times.system)
    except (OSError, psutil.Error):  # it has ended
        return 0.0
