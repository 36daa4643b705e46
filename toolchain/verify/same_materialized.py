"""Proves that a package gives back the model that was packed.

What it does
    Materializes the package, as an installation would, and compares.

When it holds
    The result is the model, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping

from toolchain.errors import InputError
from toolchain.formats.materializer import materialize
from toolchain.ir import Proof
from toolchain.units import show_bytes


def prove(before: bytes, after: bytes, options: Mapping[str, object]) -> Proof:
    """Compare ``before`` with what the package ``after`` makes."""
    del options  # there are none
    try:
        made = materialize(after)
    except InputError as error:
        return Proof("same-materialized", holds=False, detail=str(error))
    holds = made == before
    detail = (
        f"the same {show_bytes(len(before))}, byte for byte"
        if holds
        else f"{show_bytes(len(made))} that are not the {show_bytes(len(before))} packed"
    )
    return Proof("same-materialized", holds=holds, detail=detail)
