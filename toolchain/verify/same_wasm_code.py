"""Prove that two WebAssembly modules run the same code.

By structure: all sections an engine reads are byte for byte the same and in the same order, and
nothing but debug-only custom sections is gone. By running: node's engine accepts the result if
it accepts the original.

Source: WebAssembly Core Specification 3.0, 5.5.3: custom sections are ignored by the semantics.
"""

from __future__ import annotations

from collections.abc import Sequence

from toolchain.errors import FormatError, VtoolError
from toolchain.formats import wasm, wasm_engine
from toolchain.formats.wasm_debug import is_debug_only
from toolchain.ir import Proof
from toolchain.units import show_bytes

_NAME = "same-wasm-code"


def prove(before: bytes, after: bytes, _options: object = None) -> Proof:
    """Return whether an engine sees no difference between ``before`` and ``after``."""
    try:
        old = wasm.sections(before)
        difference = _difference(old, before, after)
    except FormatError as error:
        return Proof(_NAME, holds=False, detail=str(error))
    if difference:
        return Proof(_NAME, holds=False, detail=difference)
    engine, accepted = _engine(before, after)
    code = [s.end - s.start for s in old if s.id != wasm.CUSTOM]
    same = f"{len(code)} sections ({show_bytes(sum(code))}) identical"
    return Proof(_NAME, holds=accepted, detail=f"{same}; {engine}")


def _difference(old: Sequence[wasm.Section], before: bytes, after: bytes) -> str:
    """Name the first section that is not as it should be; empty if all are.

    Walks both modules at once: a section of ``before`` is either the next one of ``after`` or
    may be missing there.
    """
    was, now = memoryview(before), memoryview(after)
    left = list(reversed(wasm.sections(after)))
    for section in old:
        if left and now[left[-1].start : left[-1].end] == was[section.start : section.end]:
            left.pop()
        elif section.id != wasm.CUSTOM or wasm.is_relocatable(old):
            return f"section {section.label} changed"
        elif not is_debug_only(section.name):
            return f"section {section.label} is gone, and something may read it"
    return f"section {left[-1].label} was not there before" if left else ""


def _engine(before: bytes, after: bytes) -> tuple[str, bool]:
    """Return what node's engine says about both modules, and whether the result is as good."""
    from toolchain.sources import tools  # noqa: PLC0415 - node is only looked for where it is run

    try:
        answer = wasm_engine.accepts(tools.node(), [before, after])
    except VtoolError as error:
        return f"not run: {error}", False
    if answer == (True, True):
        return "node accepts it", True
    if answer == (False, False):
        return "node accepts neither the original nor the result", True
    said = "accepts the original, not the result" if answer[0] else "failed"
    return f"node {said}", False
