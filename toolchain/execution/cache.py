"""What was already done: small documents by the digest of everything they depend on."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from toolchain.ir import Digest, digest_of
from toolchain.tables import dump


@dataclass(frozen=True)
class ActionCache:
    """A folder of JSON documents; entries appear by atomic rename, a broken one counts as none."""

    root: Path

    def get(self, key: Digest) -> Any:  # noqa: ANN401 - JSON
        """Return the document under ``key``, or None."""
        try:
            return json.loads(self._path(key).read_bytes())
        except (OSError, ValueError):
            return None

    def put(self, key: Digest, document: object) -> None:
        """Keep ``document`` under ``key``; a full disk only costs the next run its cache."""
        path = self._path(key)
        data = json.dumps(dump(document), separators=(",", ":")).encode()
        part = path.with_name(f".put-{path.stem}-{os.getpid()}")
        with contextlib.suppress(OSError):
            try:
                try:
                    part.write_bytes(data)
                except FileNotFoundError:
                    part.parent.mkdir(parents=True, exist_ok=True)
                    part.write_bytes(data)
                part.replace(path)
            except OSError:
                part.unlink(missing_ok=True)

    def _path(self, key: Digest) -> Path:
        return self.root / key[:2] / f"{key[2:]}.json"


def action_key(action: str, *inputs: object) -> Digest:
    """Return the key of ``action`` on ``inputs`` (anything JSON can say)."""
    return digest_of(json.dumps([action, dump(inputs)], sort_keys=True).encode())


@cache
def source_digest(module: str) -> Digest:
    """Return a digest of a module's source, of all of vtool it imports, and of the libraries.

    So a cached result is used only while the code that made it is unchanged: an edit in
    ``formats/wasm.py`` forgets what ``passes/strip_wasm.py`` did, and nothing else.
    """
    sources = {}
    todo = [module]
    while todo:
        name = todo.pop()
        if name in sources:
            continue
        sources[name] = digest_of(_source(name).encode())
        todo += [n for n in _imports(name) if n not in sources]
    return digest_of(json.dumps([sorted(sources.items()), library_versions()]).encode())


@cache
def library_versions() -> tuple[tuple[str, str], ...]:
    """Return name and version of every library vtool needs to run."""
    found = {}
    for line in requires("voice-toolchain") or []:
        if "extra ==" in line:
            continue
        name = line.split(";")[0].split("[")[0]
        for mark in "<>=!~ ":
            name = name.split(mark)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return tuple(sorted(found.items()))


@cache
def _source(module: str) -> str:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # a name in a module, not a module
        return ""
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return ""
    return Path(spec.origin).read_text("utf-8")


@cache
def _imports(module: str) -> tuple[str, ...]:
    """Return what ``module`` imports at its top level, of vtool and of its own top package.

    An import inside a function is not looked for (walking whole trees takes five times as long):
    the linter keeps those for libraries, and for tools that are part of the key themselves.
    """
    package = module if _is_package(module) else module.rpartition(".")[0]
    ours = {"toolchain", module.partition(".")[0]}
    found = []
    for node in ast.parse(_source(module)).body:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level + (node.module or "")
            name = importlib.util.resolve_name(dots, package) if node.level else dots
            found += [name, *(f"{name}.{a.name}" for a in node.names)]
    return tuple(n for n in found if n.partition(".")[0] in ours and _source(n))


def _is_package(module: str) -> bool:
    spec = importlib.util.find_spec(module)
    return spec is not None and spec.submodule_search_locations is not None
