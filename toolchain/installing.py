"""Installs a package for a target: the chosen format, stored as the chosen setting wants it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from toolchain.emit import MANIFEST
from toolchain.errors import ConfigError
from toolchain.quantization import targets
from toolchain.quantization.measuring import optimize_ahead, session_options
from toolchain.quantization.targets import Level, Setting, Target
from toolchain.quantization.trial import Limits


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
