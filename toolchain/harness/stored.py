"""Keeps a model in another form in the cache: optimized, with mapped weights or in ORT format."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from toolchain.errors import UnavailableError
from toolchain.execution.cache import library_versions
from toolchain.harness.machine import lasting
from toolchain.harness.session_options import Form
from toolchain.ir import Digest, digest_of
from toolchain.quantization.measuring import optimize_ahead
from toolchain.quantization.targets import Level, Setting
from toolchain.quantization.trial import Limits
from toolchain.tables import dump
from toolchain.voice.engine import SESSION, installed_session
from toolchain.voice.runnable import data_files

_LIMITS = Limits(seconds=90, memory_bytes=4_000_000_000)
"""To write a form; ours, as those of the target native-cpu."""

_OPENED = {"graph_optimization_level": "disabled"}
"""How it is opened: what onnxruntime would do to the graph was done when it was written."""


def model(path: Path, form: Form, cache: Path) -> Path:
    """Return where the model at ``path`` lies in ``form``; made in ``cache`` if it is not there.

    It is optimized as far as this processor allows ("all"), so it is of use on this machine only.

    Errors:
        UnusableError: onnxruntime cannot write it so.
        UnavailableError: ``cache`` cannot be written.
    """
    if form is Form.AS_IT_LIES:
        return path
    beside = installed_session(path)
    of = [digest(path), form, beside, lasting(), library_versions()]
    shelf = cache / "sessions"
    home = shelf / digest_of(json.dumps(dump(of), sort_keys=True).encode())
    name = f"{path.stem}{'.ort' if form is Form.ORT else '.onnx'}"
    setting = Setting(str(form), "", ahead=Level.ALL, external=form is Form.MAPPED)
    try:
        if not home.is_dir():
            shelf.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=shelf, prefix=".new-") as folder:
                made = Path(folder) / "made"
                made.mkdir()
                optimize_ahead(path, setting, made / name, _LIMITS)
                said = json.dumps({**beside, **_OPENED})
                (made / f"{name}{SESSION}").write_text(said, "utf-8")
                with contextlib.suppress(OSError):  # another process was faster
                    made.rename(home)
    except OSError as error:
        raise UnavailableError(
            f"the model cannot be written to the cache: {error.strerror}",
            hint="free 1 GB of disk space or set VTOOL_CACHE to a folder with room",
        ) from error
    return home / name


def digest(path: Path) -> Digest:
    """Return the digest of a model: of its file and of the weights beside it."""
    found = hashlib.sha256()
    for part in data_files(path):
        with part.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return Digest(found.hexdigest())
