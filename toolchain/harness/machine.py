"""Where something is measured: the processor, what of it we may use, and the versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath

import psutil

from toolchain.ir import Machine

_VERSIONS = ("voice-toolchain", "onnxruntime", "onnx", "numpy", "hibari-tts")
_CGROUPS = Path("/sys/fs/cgroup")  # the limits of containers: one tree (v2), or one a kind (v1)
_MEMBERSHIP = Path("/proc/self/cgroup")
_GOVERNORS = Path("/sys/devices/system/cpu")
_UNLIMITED = 2**60
"""Bytes: version 1 writes "no limit" as the largest number of pages, 2**63 less a page."""


def machine() -> Machine:
    """Return this machine as it is now, without its name and without a path.

    The load is of the last minute: ask before measuring, or it is the measurement's own.
    """
    return replace(lasting(), load=_load())


@cache
def lasting() -> Machine:
    """Return what of this machine stays as it is while a process runs: all but the load."""
    limits = container_limits(_CGROUPS, _read(_MEMBERSHIP))
    return Machine(
        cpu=_cpu(),
        cores=_cores(limits.get("cpu")),
        memory_bytes=int(min(psutil.virtual_memory().total, limits.get("memory", _UNLIMITED))),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=tuple((name, found) for name in _VERSIONS if (found := _version(name))),
        governor=governor(_GOVERNORS),
        limits=tuple(limits.items()),
    )


def container_limits(root: Path, membership: str) -> dict[str, float]:
    """Return the limits of the container: "cpu" in cores, "memory" in bytes; empty without one.

    ``root`` is where the kernel shows its control groups, ``membership`` what
    ``/proc/self/cgroup`` says. A group is limited by all groups that it lies in.

    Source: the kernel's Documentation/admin-guide/cgroup-v2.rst, cpu.max and memory.max;
    scheduler/sched-bwc.rst and cgroup-v1/memory.rst for version 1.
    """
    cpu, memory = [], []
    for folder in _groups(root, membership):
        quota, period = [*_read(folder / "cpu.max").split(), "", ""][:2]
        cpu.append((quota, period))
        old = (_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))
        cpu.append(old)  # -1 is no limit
        memory += [_read(folder / "memory.max"), _read(folder / "memory.limit_in_bytes")]
    cores = [int(q) / int(p) for q, p in cpu if q.isdigit() and p.isdigit() and int(p)]
    room = [int(text) for text in memory if text.isdigit() and int(text) < _UNLIMITED]
    return {name: min(found) for name, found in (("cpu", cores), ("memory", room)) if found}


def _groups(root: Path, membership: str) -> Iterator[Path]:
    """Yield the folders of the groups this process is in, and of those around them.

    A line is ``id:controllers:path``; without controllers it is the one tree of version 2, which
    lies under "unified" where version 1 is there too.
    Inside a container the path may be that of the host, which is not there: then the tree's top.
    """
    for line in membership.splitlines() or ["0::/"]:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        for tree in (root / one for one in (controllers, *(controllers or "unified").split(","))):
            inner = PurePosixPath(path.lstrip("/"))
            yield from (tree / part for part in (inner, *inner.parents))


def governor(root: Path) -> str | None:
    """Return how the clock rates of the processors in ``root`` are chosen; None if not shown."""
    found = {_read(path) for path in root.glob("cpu[0-9]*/cpufreq/scaling_governor")}
    return ", ".join(sorted(found)) or None


def _load() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def _cpu() -> str:
    lines = _read(Path("/proc/cpuinfo")).splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _cores(quota: float | None) -> int:
    """Return the cores this process may use: its affinity, and the container's quota."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return allowed if quota is None else min(allowed, max(1, int(quota)))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
