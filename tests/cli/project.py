"""Small projects on disk, hostile archives, and the real command line run on them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import resource
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

COMMAND = (sys.executable, "-c", "from toolchain.cli import main; main()")
_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
TIMEOUT_S = (
    240  # a model of 2 GB takes six seconds of a quiet machine, and two minutes of a busy one
)
_STAGING = ".vtool-staging-*"

MANIFEST = 'name = "small"\nentries = ["src/main.js"]\npipeline = "web"\nbudgets = "web"\n'
BUNDLE = '[[step]]\nrun = "bundle-js"\nwhy = "one file"\n'
BUDGET = (
    '[[budget]]\nmeasure = "core.brotli"\nunit = "byte"\nlimit = 1_000_000\nwhy = "first load"\n'
)


@dataclass(frozen=True)
class Ran:
    """What one run of vtool left behind."""

    code: int
    out: str
    err: str

    def refuses(self, code: int, *words: str) -> None:
        """Check that this is one clean error: exit code, one error line, one hint, no traceback."""
        said = f"exit {self.code}\n{self.err}\n{self.out}"
        lines = self.err.splitlines()
        errors = [line for line in lines if line.startswith("error:")]
        hints = [line for line in lines if line.startswith(" hint:")]
        assert (len(errors), len(hints)) == (1, 1), said
        assert self.code == code, said
        assert "Traceback" not in self.err + self.out, said
        assert "a defect of vtool" not in self.err, said
        assert errors[0] != "error: ", said
        assert hints[0].removeprefix(" hint:").strip(), said
        for word in words:
            assert word in errors[0] + hints[0], f"{word!r} is not in\n{said}"


def vtool(
    *arguments: str | Path,
    cwd: Path | None = None,
    file_limit: int | None = None,
    **environment: str,
) -> Ran:
    """Run the command line; ``file_limit`` is the largest file, in bytes, the disk takes."""

    def limit() -> None:
        assert file_limit is not None
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        check=False,
        cwd=cwd,
        encoding="utf-8",
        env=os.environ | environment,
        preexec_fn=limit if file_limit is not None else None,
        timeout=TIMEOUT_S,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def at_once(*runs: Callable[[], Ran]) -> list[Ran]:
    """Return what all of ``runs`` left, in order; two run at a time: most of a run is waiting."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda run: run(), runs))


def start(*arguments: str | Path, **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a process group of its own, where Ctrl-C works.

    A shell that starts the tests in the background has them ignore it, and children inherit that.
    """
    return subprocess.Popen(
        [sys.executable, "-c", _CTRL_C + COMMAND[-1], *map(str, arguments)],
        encoding="utf-8",
        env=os.environ | environment,
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write ``files`` below ``folder`` and return it."""
    for name, contents in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
    return folder


def project(
    folder: Path,
    files: Mapping[str, str | bytes] | None = None,
    *,
    steps: str = BUNDLE,
    budgets: str = BUDGET,
    more: str = "",
) -> Path:
    """Write a project that brings its own packs; ``more`` are further lines of vtool.toml."""
    own: dict[str, str | bytes] = {
        "vtool.toml": MANIFEST + more,
        "rules/pipelines/web.toml": steps,
        "rules/budgets/web.toml": budgets,
        "src/main.js": "export const answer = () => 42;\n",
    }
    return write(folder, own | dict(files or {}))


def snapshot(folder: Path) -> dict[str, str]:
    """Return the digest of every file below ``folder``; what is no file is named by its kind."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


def leftovers(folder: Path) -> list[str]:
    """Return what a run left half-written beside its output."""
    return sorted(p.name for p in folder.glob(_STAGING))


def package(name: str = "dep", **fields: object) -> str:
    """Return a package.json."""
    return json.dumps({"name": name, "version": "1.0.0", **fields})


def tgz(members: Mapping[str | tarfile.TarInfo, bytes]) -> bytes:
    """Pack ``members``; a ``TarInfo`` instead of a name is taken as it is."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in members.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            if info.isreg():
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """Return a member that is no plain file."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(members: Mapping[str | zipfile.ZipInfo, bytes]) -> bytes:
    """Pack ``members`` as a zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def zip_link(name: str) -> zipfile.ZipInfo:
    """Return a zip member that is a symbolic link; its data are the target."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3  # Unix: the mode is in the upper half of external_attr
    info.external_attr = 0o120777 << 16
    return info


def hostile_archives() -> Iterator[tuple[str, str, bytes]]:
    """Yield name, a word of the refusal, and the bytes of archives nobody should unpack."""
    plain = tgz({"package/a.js": b"export const a = 1;\n" * 400})
    yield "cut.tgz", "truncated", plain[: len(plain) // 2]
    yield "cut.zip", "truncated", zipped({"a.js": b"1" * 500})[:-30]
    yield "empty.tgz", "empty", b""
    yield "up.tgz", "outside", tgz({"../../up.js": b"1"})
    yield "up.zip", "outside", zipped({"../../up.js": b"1"})
    yield "absolute.tgz", "outside", tgz({"/etc/absolute.js": b"1"})
    yield "link.tgz", "link out", tgz({special("out", tarfile.SYMTYPE, "../../etc/passwd"): b""})
    yield "link.zip", "link out", zipped({zip_link("out"): b"/etc/passwd"})
    yield "device.tgz", "device", tgz({special("null", tarfile.CHRTYPE): b""})
    yield "pipe.tgz", "device", tgz({special("pipe", tarfile.FIFOTYPE): b""})
    yield "ratio.tgz", "200 times", tgz({"zeros": bytes(70 << 20)})
    yield "ratio.zip", "200 times", zipped({"zeros": bytes(70 << 20)})
