"""Optimize WebAssembly with binaryen's wasm-opt, where the download becomes smaller.

What it does
    Runs ``wasm-opt`` at ``level`` on each module and keeps the result if it is smaller both as it
    lies there and compressed with brotli.

Why
    Modules that their authors did not optimize lose a tenth and more. Most were optimized when they
    were linked: then brotli makes the rewritten module as large or larger, and it is dropped.

Keeps
    Imports and exports under their names and types. What a module computes: wasm-opt gets no flag
    that allows less. Modules larger than ``most_bytes`` stay as they are, and so does everything
    where binaryen is not installed: the ledger says how to get it.

Source
    binaryen, https://github.com/WebAssembly/binaryen; its features are listed in
    ``formats/binaryen.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from toolchain.errors import UnavailableError
from toolchain.formats.binaryen import HOW_TO_GET, Program, find, optimize
from toolchain.formats.compression import Codec, encode
from toolchain.ir import Kind
from toolchain.passes.base import ArtifactPass, Rewritten
from toolchain.units import Bytes, show_bytes

_BEST_BYTES = 4_000_000  # up to here brotli's best level, about 2 CPU s a MB; above, level 9


@dataclass(frozen=True)
class OptimizeWasm(ArtifactPass):
    """Rewrite modules with ``wasm-opt -LEVEL``; each may take ``seconds``."""

    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.WASM})
    proof: ClassVar[str] = "same-calls"

    level: str = "Oz"
    most_bytes: int = 20_000_000
    seconds: int = 120
    binaryen: str = ""

    def installed(self) -> tuple[str, ...]:
        """Return the version of wasm-opt.

        Errors:
            UnavailableError: it is not installed.
        """
        return (self._program().version,)

    def _program(self) -> Program:
        found = find("wasm-opt", self.binaryen)
        if found is None:
            where = f"in {self.binaryen}" if self.binaryen else "on the PATH"
            raise UnavailableError(
                f"there is no wasm-opt {where}", hint=f"get it with {HOW_TO_GET}"
            )
        return found

    def rewrite(self, data: bytes) -> bytes:
        """Return the optimized module; errors as ``rewritten``."""
        return self.rewritten(data).data

    def rewritten(self, data: bytes) -> Rewritten:
        """Return the optimized module, or ``data`` itself and why.

        Errors:
            InputError: wasm-opt cannot read the module.
            ToolError: wasm-opt fails or takes too long.
        """
        if len(data) > self.most_bytes:
            return Rewritten(data, note=f"larger than {show_bytes(Bytes(self.most_bytes))}")
        made = optimize(self._program(), data, [f"-{self.level}"], timeout_s=self.seconds)
        before, after = _travels(data), _travels(made)
        if len(made) < len(data) and after < before:
            return Rewritten(made)
        sizes = f"{show_bytes(Bytes(before))} in brotli became {show_bytes(Bytes(after))}"
        return Rewritten(data, note=f"nothing gained: {sizes}")


def _travels(data: bytes) -> int:
    return len(encode(data, Codec.BROTLI, 11 if len(data) <= _BEST_BYTES else 9))
