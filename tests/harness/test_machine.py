"""A machine is described by what matters for speed, and by nothing that names it."""

import getpass
import os
import platform
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from toolchain.harness.machine import container_limits, governor, lasting, machine
from toolchain.tables import dump


def test_it_has_a_processor_cores_memory_versions_limits_and_load() -> None:
    here = machine()
    assert here.cpu
    assert here.cores >= 1
    assert here.memory_bytes > 100_000_000
    assert here.python == platform.python_version()
    assert {"onnxruntime", "numpy"} <= {name for name, _ in here.versions}
    assert here.limits is not None
    assert (here.load is None) != hasattr(os, "getloadavg")
    assert lasting() == replace(here, load=None)
    assert lasting().load is None


def test_neither_host_nor_user_nor_path_is_in_it() -> None:
    text = str(dump(machine()))
    for secret in (
        socket.gethostname(),
        f"/{getpass.getuser()}",
        str(Path.home()),
        str(Path.cwd()),
    ):
        assert secret not in text


def _written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


ROOM = 512 * 2**20
LIMITS: dict[str, tuple[str, dict[str, str], dict[str, float]]] = {
    "v2, a container": (
        "0::/",
        {"cpu.max": "150000 100000", "memory.max": str(ROOM)},
        {"cpu": 1.5, "memory": ROOM},
    ),
    "v2, no limit": ("0::/", {"cpu.max": "max 100000", "memory.max": "max"}, {}),
    "v2, the group around it is narrower": (
        "0::/pod/app",
        {
            "pod/app/cpu.max": "400000 100000",
            "pod/cpu.max": "200000 100000",
            "cpu.max": "max 100000",
        },
        {"cpu": 2.0},
    ),
    "v2, the path is the host's": ("0::/../elsewhere", {"memory.max": str(ROOM)}, {"memory": ROOM}),
    "v1": (
        "4:memory:/docker/x\n1:cpu,cpuacct:/docker/x\n0::/",
        {
            "memory/docker/x/memory.limit_in_bytes": str(ROOM),
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "cpu/docker/x/cpu.cfs_quota_us": "50000",
            "cpu/docker/x/cpu.cfs_period_us": "100000",
        },
        {"cpu": 0.5, "memory": ROOM},
    ),
    "v1, mounted together": (
        "1:cpu,cpuacct:/",
        {"cpu,cpuacct/cpu.cfs_quota_us": "300000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
        {"cpu": 3.0},
    ),
    "v1, no limit": (
        "4:memory:/\n1:cpu:/",
        {
            "memory/memory.limit_in_bytes": "9223372036854771712",
            "cpu/cpu.cfs_quota_us": "-1",
            "cpu/cpu.cfs_period_us": "100000",
        },
        {},
    ),
    "both": ("0::/", {"unified/memory.max": str(ROOM)}, {"memory": ROOM}),
    "no control groups": ("", {}, {}),
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_containers_limits_are_read_in_both_versions(name: str, tmp_path: Path) -> None:
    membership, files, expected = LIMITS[name]
    assert container_limits(_written(tmp_path, files), membership) == expected


def test_a_governor_that_is_not_shown_is_not_known(tmp_path: Path) -> None:
    assert governor(tmp_path) is None
    cores = ("cpu0", "cpu1", "cpufreq")
    _written(tmp_path, {f"{core}/cpufreq/scaling_governor": "powersave" for core in cores[:2]})
    assert governor(tmp_path) == "powersave"
    _written(tmp_path, {"cpu1/cpufreq/scaling_governor": "performance"})
    assert governor(tmp_path) == "performance, powersave"
