"""Functions that worker processes run in the tests of the pool."""

import os
import signal
import time

from toolchain import progress
from toolchain.errors import InputError


def work(item: str) -> str:
    """Do what ``item`` says."""
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "leave":
        os._exit(7)
    if item == "refuse":
        raise InputError("this file is cut", hint="fetch it again")
    if item == "bug":
        raise ZeroDivisionError(item)
    if item == "hang":
        time.sleep(60)
    return item.upper()


def long_work(item: int) -> int:
    for done in range(3):
        progress.here().update("searching", done + 1, 3)
        time.sleep(0.3)
    return item
