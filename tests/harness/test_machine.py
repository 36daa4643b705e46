"""A machine is described by what matters for speed, and by nothing that names it."""

import getpass
import platform
import socket
from pathlib import Path

from toolchain.harness.machine import machine
from toolchain.tables import dump


def test_it_has_a_processor_cores_memory_and_versions() -> None:
    here = machine()
    assert here.cpu
    assert here.cores >= 1
    assert here.memory_bytes > 100_000_000
    assert here.python == platform.python_version()
    assert {"onnxruntime", "numpy"} <= {name for name, _ in here.versions}


def test_neither_host_nor_user_nor_path_is_in_it() -> None:
    text = str(dump(machine()))
    for secret in (
        socket.gethostname(),
        f"/{getpass.getuser()}",
        str(Path.home()),
        str(Path.cwd()),
    ):
        assert secret not in text
