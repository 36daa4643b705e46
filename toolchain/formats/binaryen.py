"""Binaryen's programs: what is installed, and WebAssembly modules through them.

Debian, Ubuntu, Fedora, Arch and Homebrew package them as ``binaryen``; npm's ``binaryen`` has no
``wasm-split``. They are looked for in a given folder, else on the ``PATH``; nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from toolchain.errors import InputError, ToolError

HOW_TO_GET = "`apt install binaryen`, `brew install binaryen`, or name its folder in `binaryen`"
_VERSION_TIMEOUT_S = 30.0
# Features that engines had in 2023 and that version 108 knows; a module without them is not given
# any by this. Not garbage collection and typed references: 108 writes the encoding of a draft.
_FEATURES = (
    "threads", "simd", "bulk-memory", "mutable-globals", "nontrapping-float-to-int", "sign-ext",
    "reference-types", "multivalue", "exception-handling", "extended-const", "relaxed-simd",
    "tail-call",
)  # fmt: skip


@dataclass(frozen=True)
class Program:
    """One of binaryen's programs on this machine."""

    name: str
    path: Path
    version: str  # as it says: "wasm-split version 108"


@dataclass(frozen=True, slots=True)
class Split:
    """What a module was split into."""

    primary: bytes
    deferred: bytes


@cache
def find(name: str, folder: str = "") -> Program | None:
    """Return the program ``name`` in ``folder``, or on the ``PATH``; None if there is none."""
    path = shutil.which(name, path=folder or None)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_VERSION_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return Program(name, Path(path), done.stdout.strip())


def instrument(program: Program, data: bytes, *, timeout_s: float) -> bytes:
    """Return ``data`` with an export ``__write_profile(address, room) -> bytes needed``.

    Errors: as ``optimize``.
    """
    (made,) = _run(program, data, ["--instrument"], ("-o",), timeout_s)
    return made


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a module is to be split, and how the two modules name each other.

    ``kept`` are the functions that the first module has, each by its place among those that the
    whole module defines: so binaryen calls a function without a name. ``again`` writes these names
    into the first module, so that it can be split once more.
    """

    kept: Collection[int]
    placeholders: str  # from which the first module imports what it lacks
    primary: str  # from which the second imports what the first has
    again: bool = False


def split(program: Program, data: bytes, cut: Cut, *, timeout_s: float) -> Split:
    """Return ``data`` as two modules.

    Errors: as ``optimize``.
    """
    with tempfile.TemporaryDirectory(prefix="vtool-wasm-") as folder:
        listed = Path(folder) / "kept"
        listed.write_text("".join(f"{number}\n" for number in sorted(cut.kept)), "utf-8")
        flags = [
            f"--keep-funcs=@{listed}",
            f"--placeholder-namespace={cut.placeholders}",
            f"--import-namespace={cut.primary}",
            f"--export-prefix={cut.placeholders}%",
            *(["--debuginfo"] if cut.again else []),
        ]
        first, second = _run(program, data, ["--split", *flags], ("-o1", "-o2"), timeout_s)
    return Split(first, second)


def optimize(program: Program, data: bytes, flags: Sequence[str], *, timeout_s: float) -> bytes:
    """Return ``data`` as ``wasm-opt`` with ``flags`` rewrites it.

    Errors:
        InputError: binaryen cannot read the module.
        ToolError: it cannot be started, died, or took longer than ``timeout_s`` seconds.
    """
    (made,) = _run(program, data, flags, ("-o",), timeout_s)
    return made


def _run(
    program: Program, data: bytes, flags: Sequence[str], outputs: Sequence[str], timeout_s: float
) -> list[bytes]:
    with tempfile.TemporaryDirectory(prefix="vtool-wasm-") as name:
        folder = Path(name)
        source = folder / "in.wasm"
        source.write_bytes(data)
        made = [folder / f"out{number}.wasm" for number in range(len(outputs))]
        command = [str(program.path), str(source), *flags, *(f"--enable-{f}" for f in _FEATURES)]
        for flag, path in zip(outputs, made, strict=True):
            command += [flag, str(path)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                check=False,
                timeout=timeout_s,
                env={"PATH": os.environ.get("PATH", ""), "BINARYEN_CORES": "1"},
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"{program.name} did not finish in {timeout_s:g} s",
                hint="give the pass a larger `seconds`",
            ) from error
        except OSError as error:
            raise ToolError(f"{program.name} cannot be started: {error.strerror}") from error
        if done.returncode != 0 or not all(path.is_file() for path in made):
            raise _refusal(program, done.returncode, done.stderr.decode(errors="replace"))
        return [path.read_bytes() for path in made]


def _refusal(program: Program, code: int, said: str) -> InputError | ToolError:
    lines = [line for line in said.splitlines() if line.strip()]
    last = lines[-1][:200] if lines else f"exit code {code}"
    if code < 0:
        return ToolError(f"{program.version} died of signal {-code}: {last}")
    return InputError(f"{program.version} cannot rewrite it: {last}")
