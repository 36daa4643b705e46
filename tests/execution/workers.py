"""Functions that worker processes run in the tests of the pool."""

import os
import signal
import time

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
