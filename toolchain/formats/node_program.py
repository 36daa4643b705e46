"""Runs a program of a project in node, and records what its WebAssembly modules did.

The files are laid out under their own names in a new folder: code is copied, since node takes the
place that a link leads to for a module's address; the rest is linked.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from toolchain.errors import InputError, ToolError, UnavailableError
from toolchain.ir import Artifact, DirectoryStore, Store

RECORDER = Path(__file__).with_name("wasm_split_recorder.mjs")
_CODE = frozenset({".js", ".mjs", ".cjs", ".json"})
# how node prints what was thrown: "TypeError: ...", "Error [ERR_MODULE_NOT_FOUND]: ..."
_IS_ERROR = re.compile(r"(Uncaught )?\w*Error( \[\w+\])?:").match
_SHOWN = 300  # characters of what a failing program printed


@dataclass(frozen=True, slots=True)
class Run:
    """What a program printed and how it ended; what its modules did."""

    printed: str
    code: int
    complaint: str  # the error it wrote to standard error, without this machine's paths
    profiles: tuple[bytes, ...]  # one for each instance of an instrumented module
    instances: int  # of split modules
    misses: int  # calls that found their function not loaded


def contents(artifacts: Iterable[Artifact], store: Store) -> dict[str, bytes | Path]:
    """Return what ``run`` lays out for ``artifacts``: of a store on disk, the files themselves."""
    if isinstance(store, DirectoryStore):
        return {a.id: store.path(a.digest) for a in artifacts}
    return {a.id: store.get(a.digest) for a in artifacts}


def run(
    node: Path,
    program: str,
    files: Mapping[str, bytes | Path],
    *,
    conditions: Sequence[str] = (),
    timeout_s: float,
) -> Run:
    """Run the module ``program``, one of ``files``, in a new folder with all of them.

    ``conditions`` are those of package.json's ``exports``, besides node's own.

    Errors:
        InputError: a file's name leads out of the folder, or ``program`` is none of them.
        UnavailableError: the folder cannot be written.
        ToolError: node cannot be started, or the program does not end in ``timeout_s`` seconds.
    """
    if program not in files:
        raise InputError(
            f"there is no program {program}", hint="name it in `profiles` of vtool.toml"
        )
    with tempfile.TemporaryDirectory(prefix="vtool-run-") as name:
        root = Path(name).resolve()
        folder, record = root / "program", root / "record"
        record.mkdir()
        lay_out(folder, files)
        command = [str(node), "--no-warnings", f"--import={RECORDER.as_uri()}"]
        command += [*(f"--conditions={c}" for c in conditions), str(folder / program)]
        done = _ended(command, folder, record, timeout_s)
        lines = done.stderr.replace(str(folder), ".").splitlines()
        complaint = next((line for line in lines if _IS_ERROR(line)), " ".join(lines[-1:]))
        return Run(
            done.stdout.replace(str(folder), "."),
            done.returncode,
            complaint.strip()[:_SHOWN],
            tuple(path.read_bytes() for path in sorted(record.glob("profile-*"))),
            *_counts(sorted(record.glob("split-*.json"))),
        )


def lay_out(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write ``files`` below ``folder`` under their names: code copied, the rest linked.

    Errors:
        InputError: a file's name leads out of the folder.
        UnavailableError: the folder cannot be written.
    """
    for name, content in files.items():
        _place(folder, name, content)


def _place(folder: Path, name: str, content: bytes | Path) -> None:
    path = folder / name
    if name.startswith("/") or ".." in PurePosixPath(name).parts:
        raise InputError(f"{name} lies outside the project")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path) and path.suffix in _CODE:
            content = content.read_bytes()
        if isinstance(content, Path):
            path.symlink_to(content.resolve())
        else:
            path.write_bytes(content)
    except OSError as error:
        raise UnavailableError(
            f"cannot lay out {name} to be run: {error.strerror}",
            hint="free some space in the folder for temporary files",
        ) from error


def _ended(
    command: Sequence[str], folder: Path, record: Path, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    # without NODE_OPTIONS and credentials of whoever runs vtool: a program of the project gets none
    environment = {"PATH": os.environ.get("PATH", ""), "VTOOL_RECORD": str(record)}
    try:
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            timeout=timeout_s,
            cwd=folder,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolError(
            f"the program did not end in {timeout_s:g} s", hint="give the pass more `seconds`"
        ) from error
    except OSError as error:
        raise ToolError(f"node cannot be started: {error.strerror}") from error


def _counts(paths: Sequence[Path]) -> tuple[int, int]:
    counts = [json.loads(path.read_bytes()) for path in paths]
    return sum(c["instances"] for c in counts), sum(c["misses"] for c in counts)
