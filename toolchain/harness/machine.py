"""Where something is measured: the processor, what of it we may use, and the versions."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from toolchain.ir import Machine

_VERSIONS = ("voice-toolchain", "onnxruntime", "onnx", "numpy", "hibari-tts")
_CGROUP = Path("/sys/fs/cgroup")  # version 2: the limits of this container


@cache
def machine() -> Machine:
    """Return this machine, without its name and without a path."""
    return Machine(
        cpu=_cpu(),
        cores=_cores(),
        memory_bytes=min(psutil.virtual_memory().total, _limit("memory.max") or 2**63),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=tuple((name, found) for name in _VERSIONS if (found := _version(name))),
    )


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores() -> int:
    """Return the cores this process may use: its affinity, and the container's quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    quota = _read("cpu.max").split()  # "200000 100000": microseconds of work in a period
    if len(quota) == len(("quota", "period")) and quota[0].isdigit():
        allowed = min(allowed, max(1, int(quota[0]) // int(quota[1])))
    return allowed


def _limit(name: str) -> int | None:
    text = _read(name)
    return int(text) if text.isdigit() else None


def _read(name: str) -> str:
    try:
        return (_CGROUP / name).read_text("ascii").strip()
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
