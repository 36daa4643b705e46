"""Asks node's WebAssembly engine: does it accept a module, and what does it compile to.

Source: WebAssembly JavaScript Interface, ``WebAssembly.validate``.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from toolchain.errors import ToolError

_TIMEOUT_S = 120  # ours: V8 validates 28 MB in under a second
_VALIDATE = (
    'const fs = require("node:fs");'
    "const ok = process.argv.slice(1).map((f) => WebAssembly.validate(fs.readFileSync(f)));"
    "process.stdout.write(JSON.stringify(ok));"
)


def accepts(node: Path, modules: Sequence[bytes]) -> tuple[bool, ...]:
    """Return of each module whether the engine of ``node`` accepts it.

    Errors:
        ToolError: node cannot be started, fails, or does not answer in time.
    """
    with tempfile.TemporaryDirectory(prefix="vtool-wasm-") as folder:
        paths = [Path(folder) / f"{number}.wasm" for number in range(len(modules))]
        for path, data in zip(paths, modules, strict=True):
            path.write_bytes(data)
        try:
            done = subprocess.run(
                [str(node), "-e", _VALIDATE, *map(str, paths)],
                capture_output=True,
                text=True,
                check=False,
                timeout=_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolError(f"node did not answer: {type(error).__name__}") from error
    try:
        return tuple(bool(answer) for answer in json.loads(done.stdout))
    except ValueError as error:
        raise ToolError(f"node failed with exit code {done.returncode}") from error
