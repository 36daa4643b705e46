"""What esbuild says is wrong with the code, as an error for people: the place, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolchain.errors import InputError
from toolchain.formats import esbuild
from toolchain.formats.node_resolution import is_builtin


def refusal(errors: Sequence[esbuild.Message], folder: Path) -> InputError:
    """Return the first of ``errors`` of a build in ``folder`` as one of the input."""
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    where = f"{first.where()}: " if first.where() else ""
    text = first.text.replace(f"{folder}/", "")
    hint = f"correct the code: {first.source.strip()[:80]}"
    if text.startswith("Could not resolve"):
        wanted = text.split('"')[1] if '"' in text else ""
        if is_builtin(wanted):
            text = f"{wanted} is a module of Node, which a browser does not have"
            hint = "import it only where Node runs the code, or name it in bundle-js's `external`"
            return InputError(f"{where}{text}{more}", hint=hint)
        hint = "install the package, correct the import, or name it in bundle-js's `external`"
    return InputError(f"{where}{text}{more}", hint=hint)
