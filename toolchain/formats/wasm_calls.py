"""Calls what a module exports, with stand-ins for what it imports, and tells what came of it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from toolchain.errors import ToolError
from toolchain.formats import wasm_signatures

_SCRIPT = Path(__file__).with_name("wasm_calls.mjs")
_GRACE = 3.0  # times the limit: for a call that was begun in time
_START_S = 2.0  # for node itself, on a busy machine
_UNSTABLE = "RangeError: Maximum call stack"  # how deep the stack goes is no promise of a module


def lines(node: Path, data: bytes, *, seconds: float) -> list[str]:
    """Return what came of instantiating ``data`` and of each call, a line each.

    Each exported function is called four times, each time in a new instance. Calls end after
    ``seconds``, and earlier where one never ends; how many there were depends on the machine.

    Errors:
        FormatError: the module imports something that has no stand-in.
        ToolError: node cannot be started, or fails.
    """
    imports, exports = wasm_signatures.described(data)
    plan = {"imports": imports, "exports": exports, "seconds": seconds}
    with tempfile.TemporaryDirectory(prefix="vtool-calls-") as name:
        module, written = Path(name) / "module.wasm", Path(name) / "plan.json"
        module.write_bytes(data)
        written.write_text(json.dumps(plan), "utf-8")
        command = [str(node), "--no-warnings", str(_SCRIPT), str(module), str(written)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                check=False,
                timeout=_GRACE * seconds + _START_S,
                env={},
            )
            printed, code = done.stdout, done.returncode
        except subprocess.TimeoutExpired as error:
            printed, code = error.stdout or b"", 0
        except OSError as error:
            raise ToolError(f"node cannot be started: {error.strerror}") from error
    if code != 0:
        raise ToolError(f"node failed with exit code {code}")
    text = printed.decode(errors="replace")
    return text.splitlines()[: text.count("\n")]


def difference(before: Sequence[str], after: Sequence[str]) -> str:
    """Return the first line in which two modules differ, as both have it; empty if none does."""
    for was, now in zip(before, after, strict=False):
        if was != now and _UNSTABLE not in was + now:
            return f"{was[:120]} became {now[:120]}"
    return ""
