"""One-off JSX transforms with the PyPI package esbuild-py, where it is installed and works.

It has one function, for JSX in plain JavaScript; it cannot be imported on Python 3.12 and later,
returns '' for every error and hangs in a forked process (measured with 0.1.6). So it runs in a
fresh Python of its own that is given up after a while. Bundling is ``formats/esbuild.py``.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from functools import cache

from toolchain.errors import InputError, ToolError

_TIMEOUT_SECONDS = 20.0  # ours: a transform takes 60 ms, start of Python included
_PROBE = b"let probe = <b/>;"

_SCRIPT = """
import sys
import esbuild_py
source = sys.stdin.buffer.read().decode()
sys.stdout.buffer.write(esbuild_py.transform(source).encode())
"""


@cache
def available() -> bool:
    """Return whether esbuild-py is installed and transforms a line of JSX on this Python."""
    if importlib.util.find_spec("esbuild_py") is None:
        return False
    try:
        return bool(_run(_PROBE, _TIMEOUT_SECONDS))
    except ToolError:
        return False


def transform_jsx(source: bytes, *, timeout_seconds: float = _TIMEOUT_SECONDS) -> bytes:
    """Return ``source``, JavaScript with JSX, as calls of ``React.createElement``.

    Errors:
        ToolError: esbuild-py is not there, died, or ran out of time.
        InputError: it gave nothing: a syntax error, or TypeScript, which it does not read.
    """
    if not available():
        raise ToolError(
            "esbuild-py does not work on this Python",
            hint="use formats/esbuild.py, or Python 3.11 with esbuild-py installed",
        )
    code = _run(source, timeout_seconds)
    if not code and source.strip():
        raise InputError(
            "esbuild-py gave nothing for this JSX",
            hint="look for a syntax error; TypeScript is not read",
        )
    return code


def _run(source: bytes, timeout_seconds: float) -> bytes:
    command = [sys.executable, "-I", "-c", _SCRIPT]
    try:
        done = subprocess.run(
            command, input=source, capture_output=True, timeout=timeout_seconds, check=True
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"esbuild-py did not answer within {timeout_seconds:g} s") from error
    except (subprocess.CalledProcessError, OSError) as error:
        raise ToolError(f"esbuild-py died: {error}") from error
    return done.stdout
