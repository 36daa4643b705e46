"""Proves that a rewritten WebAssembly module does what the original does.

By structure: imports and exports are the same, with their kinds; of functions also the types.
By running: node's engine accepts both; both are instantiated with the same stand-ins for what they
import, and each exported function is called with the same arguments: the results, or how they
failed, the calls of imports and every byte of a memory that can be seen must be the same.
"""

from __future__ import annotations

from toolchain.errors import FormatError, ToolError, VtoolError
from toolchain.formats import wasm, wasm_calls, wasm_engine, wasm_signatures
from toolchain.ir import Proof

_NAME = "same-calls"
_SECONDS = 20.0  # for the calls of one module; the smallest that we know have 12 exports
_LEAST = 2  # lines: instantiated, and one call


def prove(before: bytes, after: bytes, _options: object = None) -> Proof:
    """Return whether ``after`` has the interface of ``before`` and answers like it."""
    from toolchain.sources import tools  # noqa: PLC0415 - node is only looked for where it is run

    try:
        if problem := _interface(before, after):
            return Proof(_NAME, holds=False, detail=problem)
        node = tools.node()
        if wasm_engine.accepts(node, [before, after]) != (True, True):
            return Proof(_NAME, holds=False, detail="node's engine does not accept both modules")
        was, now = (wasm_calls.lines(node, data, seconds=_SECONDS) for data in (before, after))
    except (FormatError, ToolError, VtoolError) as error:
        return Proof(_NAME, holds=False, detail=str(error))
    if difference := wasm_calls.difference(was, now):
        return Proof(_NAME, holds=False, detail=difference)
    compared = min(len(was), len(now))
    if compared < _LEAST:
        return Proof(_NAME, holds=False, detail="no call could be compared")
    kept = len(wasm.read(after).exports)
    detail = f"the same {kept} exports; instantiated, {compared - 1} calls with equal outcome"
    return Proof(_NAME, holds=True, detail=detail)


def _interface(before: bytes, after: bytes) -> str:
    was, now = wasm_signatures.described(before), wasm_signatures.described(after)
    for what, old, new in zip(("imports", "exports"), was, now, strict=True):
        # a function's type may have another number now
        left = [{k: v for k, v in one.items() if k != "number"} for one in old]
        right = [{k: v for k, v in one.items() if k != "number"} for one in new]
        if sorted(left, key=str) != sorted(right, key=str):
            return f"the {what} are not the same"
    if {e[:2] for e in wasm.read(before).exports} != {e[:2] for e in wasm.read(after).exports}:
        return "the exports are not the same"
    return ""
