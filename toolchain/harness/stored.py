"""Keeps a model in another form in the cache: optimized, with mapped weights or in ORT format."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from toolchain.execution.cache import library_versions, source_digest
from toolchain.execution.shelf import made_once
from toolchain.harness.machine import lasting
from toolchain.harness.session_options import Form
from toolchain.ir import Digest, digest_of
from toolchain.quantization import measuring
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
    code = source_digest(measuring.__name__)
    of = [digest(path), form, beside, lasting(), library_versions(), code]
    home = cache / "sessions" / digest_of(json.dumps(dump(of), sort_keys=True).encode())
    name = f"{path.stem}{'.ort' if form is Form.ORT else '.onnx'}"
    setting = Setting(str(form), "", ahead=Level.ALL, external=form is Form.MAPPED)

    def make(folder: Path) -> None:
        measuring.optimize_ahead(path, setting, folder / name, _LIMITS)
        said = json.dumps({**beside, **_OPENED})
        (folder / f"{name}{SESSION}").write_text(said, "utf-8")

    return made_once(home, make) / name


def digest(path: Path) -> Digest:
    """Return the digest of a model: of its file and of the weights beside it."""
    found = hashlib.sha256()
    for part in data_files(path):
        with part.open("rb") as file:
            found.update(hashlib.file_digest(file, "sha256").digest())
    return Digest(found.hexdigest())
