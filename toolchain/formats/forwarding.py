"""A module that is nothing but another one: it loads that one and passes on all its names."""

from __future__ import annotations

import json

from toolchain.formats.javascript import Module, read

_LONGEST = 10_000  # bytes: two addresses of 4096, the longest path of Linux, and the words around


def forwarding(module: Module, path: str, target: str, *, is_typed_module: bool) -> bytes:
    """Return the text of a module at ``path`` that stands for ``target``, a relative address.

    ``is_typed_module``: whether the nearest package.json has ``"type": "module"``. A module with
    ES syntax in a ``.js`` file is one to all bundlers, whatever the package says.
    """
    address = json.dumps(target, ensure_ascii=False)
    if not is_module(module, path, is_typed_module=is_typed_module):
        return f"module.exports = require({address});\n".encode()
    default = f"export {{ default }} from {address};\n" if "default" in module.exports.names else ""
    return f"export * from {address};\n{default}".encode()


def is_module(module: Module, path: str, *, is_typed_module: bool) -> bool:
    """Whether the file at ``path`` is an ES module, and not CommonJS."""
    if path.endswith(".cjs"):
        return False
    return path.endswith(".mjs") or module.is_esm or is_typed_module


def forwarded(data: bytes) -> str | None:
    """Return the address that a module stands for; None where it does anything else."""
    if len(data) > _LONGEST or not data.startswith(
        (b"export * from ", b"module.exports = require(")
    ):
        return None
    module = read(data)
    targets = {mention.target for mention in module.mentions}
    if len(targets) != 1:
        return None
    target = targets.pop()
    made = (
        forwarding(module, "x.cjs", target, is_typed_module=False),
        forwarding(module, "x.mjs", target, is_typed_module=True),
    )
    return target if data in made else None
