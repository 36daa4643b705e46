"""What esbuild says is wrong with the code, as an error for people: the place, and what to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from posixpath import dirname, join, normpath

from toolchain.errors import InputError
from toolchain.formats import esbuild
from toolchain.formats.node_resolution import is_builtin

_LEGAL = "Cannot assign to "  # a constant or an import: it throws when it runs, as it should


class LegalError(InputError):
    """A program that runs as it is, and that the bundler does not take."""


def refusal(errors: Sequence[esbuild.Message], folder: Path, files: Collection[str]) -> InputError:
    """Return the first of ``errors`` of a build in ``folder`` as one of the input.

    ``files`` are those of the project, also what is no code.
    """
    if all(one.text.startswith(_LEGAL) for one in errors):
        said = "; ".join(f"{one.where()}: {one.text}" for one in errors)
        return LegalError(said, hint="leave the assignment out if a bundle is wanted")
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
        beside = normpath(join(dirname(first.file), wanted))
        if beside in files:
            return _no_code(first, wanted, where, more)
        hint = "install the package, correct the import, or name it in bundle-js's `external`"
    return InputError(f"{where}{text}{more}", hint=hint)


def _no_code(first: esbuild.Message, wanted: str, where: str, more: str) -> InputError:
    """Return the error about a file that is there, and that no bundler reads as code."""
    if first.file.endswith(".css"):
        text = f"{wanted} is loaded by a style sheet, which bundle-js cannot follow"
        hint = "set the address in a script, or name it in bundle-js's `external`: it stays as is"
    else:
        text = f"{wanted} is no code, so nobody says what importing it gives"
        hint = f'ask for its address: new URL("{wanted}", import.meta.url).href'
    return InputError(f"{where}{text}{more}", hint=hint)
