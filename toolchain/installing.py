"""Installs a package for a target: the chosen format, stored as the chosen setting wants it."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolchain.emit import MANIFEST
from toolchain.errors import ConfigError
from toolchain.execution.shelf import made_once
from toolchain.formats import execution_format
from toolchain.formats.materializer import materialize
from toolchain.ir import digest_of
from toolchain.quantization import targets
from toolchain.quantization.measuring import optimize_ahead, session_options
from toolchain.quantization.targets import Level, Setting, Target
from toolchain.quantization.trial import Limits
from toolchain.voice.engine import SESSION


@dataclass(frozen=True, slots=True)
class Placed:
    """How a package runs on a target; what ``vtool optimize`` chose, or a person."""

    target: Target
    format: str
    setting: Setting
    by_manifest: bool = False  # chosen by measurement, when the package was made

    @property
    def session(self) -> Mapping[str, Any]:
        """How the result is opened: names of onnxruntime's options, only what is not usual."""
        usual = session_options(Setting("", ""))
        asked = session_options(self.setting)
        return {_NAMES[k]: _said(v) for k, v in asked.items() if v != usual[k]}


_NAMES = {
    "optimization": "graph_optimization_level",
    "arena": "enable_cpu_mem_arena",
    "memory_pattern": "enable_mem_pattern",
    "prepacking": "prepacking",
}


def _said(value: bool | str) -> bool | str:  # noqa: FBT001 - an option's value, not a switch
    levels = {"none": "disabled", "basic": "basic", "extended": "extended", "all": "all"}
    return levels[value] if isinstance(value, str) else value


def chosen(package: Path, name: str, form: str | None, setting: str | None) -> Placed:
    """Return how ``package`` runs on the target ``name``.

    Without a format and a setting those of the manifest beside the package, or above it; without
    one there, "folded" and the target's usual setting.

    Errors:
        ConfigError: no such target, or setting of it.
    """
    target = targets.load(name, package.parent)
    known = {one.name: one for one in target.setting}
    said = _of_manifest(package, name) if form is None and setting is None else {}
    wanted = setting or said.get("setting") or target.setting[0].name
    if wanted not in known:
        raise ConfigError(
            f"the target {name} has no setting {wanted!r}", hint=f"settings: {', '.join(known)}"
        )
    return Placed(target, form or said.get("format", "folded"), known[wanted], bool(said))


def _of_manifest(package: Path, target: str) -> Mapping[str, str]:
    """Return what the nearest manifest says of ``package``; nothing where there is none."""
    path = package.resolve()
    for folder in path.parents:
        if (folder / MANIFEST).is_file():
            document = json.loads((folder / MANIFEST).read_text("utf-8"))
            name = path.relative_to(folder).as_posix()
            rows = [row for row in document["files"] if row["id"] == name]
            found: Mapping[str, str] = rows[0].get("formats", {}).get(target, {}) if rows else {}
            return found
    return {}


def stored(model: bytes, placed: Placed, out: Path) -> tuple[Path, ...]:
    """Write ``model``, in its format, to ``out`` as the setting stores it; return what is there.

    Its weights may go to a file beside it. Both appear when they are whole, the model last.

    Errors:
        UnusableError: onnxruntime cannot optimize it.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".vtool-") as folder:
        plain, made = Path(folder) / "plain.onnx", Path(folder) / "made" / out.name
        plain.write_bytes(model)
        made.parent.mkdir()
        if placed.setting.ahead is Level.NONE:
            plain.replace(made)
        else:
            numbers = placed.target.numbers
            limits = Limits(numbers.seconds, int(numbers.memory_bytes))
            optimize_ahead(plain, placed.setting, made, limits)
        files = sorted(made.parent.iterdir(), key=lambda path: path == made)
        return tuple(path.replace(out.parent / path.name) for path in files)


def installed(package: Path, cache: Path, target: str) -> Path:
    """Return ``package`` as the model that runs best on ``target``, made once in ``cache``.

    Which format and setting that is, the manifest of the package's result says. Beside the model
    lies how it is opened.

    Errors:
        FormatError: it is no package, or damaged.
        UnavailableError: ``cache`` cannot be written.
        UnusableError: onnxruntime cannot optimize it.
    """
    data, placed = package.read_bytes(), chosen(package, target, None, None)
    how = [digest_of(data), placed.format, asdict(placed.setting), versions()]
    home = cache / "installed" / digest_of(json.dumps(how, sort_keys=True).encode())

    def make(folder: Path) -> None:
        out = folder / f"{package.stem}.onnx"
        stored(execution_format.applied(materialize(data), placed.format), placed, out)
        out.with_name(out.name + SESSION).write_text(json.dumps(placed.session), "utf-8")

    return made_once(home, make) / f"{package.stem}.onnx"


def versions() -> str:
    """Return what decides what onnxruntime writes when it optimizes ahead."""
    return f"onnxruntime {version('onnxruntime')} {platform.machine()}"
