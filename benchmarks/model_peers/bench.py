"""Runs every tool on every model, each step in a process of its own, and keeps what is known.

Everything is kept in the user's cache under the digests of what it depends on: a run that was
stopped goes on where it was, and only what changed is measured again.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from model_peers import catalogue, child
from model_peers.catalogue import Catalogue, Model
from model_peers.peers import PEERS
from model_peers.rows import ORIGINAL, USUAL, VTOOL, Made, Placed, Row, Scored, Taken
from model_peers.sidebyside import HOW, compared

from toolchain.execution.cache import ActionCache, action_key, source_digest
from toolchain.formats.compression import Codec, encode
from toolchain.formats.model_package import FOLDED
from toolchain.ir import Digest
from toolchain.quantization import targets
from toolchain.tables import check

T = TypeVar("T")

_SECONDS = 420.0  # ours, of one tool on one model
_SEARCH_SECONDS = 1800.0  # vtool's search, on a machine that does other things too
_MEMORY_BYTES = 7_000_000_000  # ours: half of a laptop's
BEST_BYTES = 3_000_000
"""Larger files are compressed at quality 9: brotli 11 takes 2.5 s a MB. Measured on hibari and on
8 MB of the Piper voice, 11 gives 1.4 % and 1.0 % less than 9."""


_WORTH = frozenset({"smaller", "breaks the limit"})  # latency of what is the same is the same
_MOST_OF_WORDS = 200  # of a tool, in the tables


@dataclass(frozen=True)
class Run:
    """Where results are kept, and for whom progress is printed."""

    catalogue: Catalogue
    home: Path
    kept: ActionCache
    say: Callable[[str], None]
    latency: bool = True

    def original(self, model: Model) -> Path:
        """Return the ONNX model that all tools are given."""
        key = action_key("original", model.package, model.member, _code("catalogue"))
        found = self.kept.get(key)
        if found and self.file(Digest(found["file"])).exists():
            return self.file(Digest(found["file"]))
        with TemporaryDirectory(dir=self.home) as folder:
            path = Path(folder) / "model.onnx"
            catalogue.written(model, path)
            digest = self.store(path)
        self.kept.put(key, {"file": digest})
        return self.file(digest)

    def file(self, digest: Digest) -> Path:
        """Return where the file with this digest is kept."""
        return self.home / f"{digest}.onnx"

    def store(self, path: Path) -> Digest:
        """Keep the file at ``path``, which is moved; return its digest."""
        with path.open("rb") as file:
            digest = Digest(hashlib.file_digest(file, "sha256").hexdigest())
        path.replace(self.file(digest))
        return digest

    def rows(self, model: Model, tools: Sequence[str]) -> list[Row]:
        """Return the rows of one model, the original first."""
        base = self._base(model)
        found = []
        for tool in (ORIGINAL, *tools):
            row = self._row(base, tool)
            found.append(row)
            self.say(f"{model.name:18} {tool:20} {row.outcome(found[0].made)}")
        return found

    def feeds(self, model: Model) -> Path:
        """Return what the model's task feeds it, as ``asking.recorded`` writes it."""
        return self._base(model).feeds

    def _base(self, model: Model) -> _Base:
        original = self.original(model)
        files = {name: str(path) for name, path in self.catalogue.files(model).items()}
        code = source_digest(f"toolchain.tasks.{model.task['family']}")
        name = f"{original.stem}-{_digest([dict(model.task), code])[:12]}.npz"
        base = _Base(model, original, files, self.home / name)
        self._feeds(base)
        return base

    def _row(self, base: _Base, tool: str) -> Row:
        made = self._made(base, tool)
        row = Row(base.model.name, tool, made)
        if made.file is None:
            return row
        runs = Placed(made.file)
        row = replace(row, scored=self._scored(base, runs.file))
        if not (self.latency and row.outcome(self._made(base, ORIGINAL)) in _WORTH):
            return row
        if tool == VTOOL:
            runs = self._placed(base, made.file)
            row = replace(row, scored=self._scored(base, runs.file))
        return replace(row, taken=self._taken(base, runs))

    def _made(self, base: _Base, tool: str) -> Made:
        if tool == ORIGINAL:
            size = base.original.stat().st_size
            return Made(0.0, 0, Digest(base.original.stem), size, self._download(base.original))
        if tool == VTOOL:
            code = [
                source_digest("toolchain.passes.quantize"),
                dict(base.model.task),
                base.model.step,
            ]
        else:
            code = [PEERS[tool].version, PEERS[tool].call, _code("peers")]
        key = action_key("made", tool, base.original.stem, code)
        kept = self._known(key, Made)
        if kept and (kept.file is None or self.file(kept.file).exists()):
            return kept
        with TemporaryDirectory(dir=self.home) as folder:
            made = (self._vtool if tool == VTOOL else self._peer)(base, tool, Path(folder))
        self.kept.put(key, made)
        return made

    def _peer(self, base: _Base, tool: str, folder: Path) -> Made:
        out = folder / "out.onnx"
        request = {
            "model": str(base.original),
            "peer": tool,
            "feeds": str(base.feeds),
            "out": str(out),
        }
        said = child.answer("convert", request, seconds=_SECONDS, memory_bytes=_MEMORY_BYTES)
        return self._finished(said, out, out)

    def _vtool(self, base: _Base, tool: str, folder: Path) -> Made:
        del tool
        out, package = folder / "out.onnx", folder / "out.vtm"
        shipped = catalogue.shipped(base.model)
        request = {
            "source": str(base.original if shipped.suffix == ".zip" else shipped),
            "steps": [(step.run, dict(step.options)) for step in base.model.step],
            "task": dict(base.model.task),
            "files": base.files,
            "package": str(package),
            "out": str(out),
        }
        said = child.answer("vtool", request, seconds=_SEARCH_SECONDS, memory_bytes=_MEMORY_BYTES)
        made = self._finished(said, out, package if package.exists() else out)
        words = [*said.get("done", ()), *said.get("notes", ())]
        return replace(made, note="; ".join(words))

    def _finished(self, said: Mapping[str, Any], out: Path, download: Path) -> Made:
        made = Made(float(said.get("cpu_s", 0.0)), int(said.get("peak_bytes", 0)))
        failed = said.get("error") or said.get("failed")
        if failed or not out.exists():
            return replace(made, failed=_private(str(failed or "it wrote nothing"), out.parent))
        size = download.stat().st_size if download != out else self._download(out)
        files = [p for p in out.parent.iterdir() if p.name.startswith("out.onnx")]
        if len(files) > 1:
            return replace(made, failed="it wrote several files, which are not measured here")
        whole = out.stat().st_size
        return replace(made, bytes=whole, download_bytes=size, file=self.store(out))

    def _download(self, path: Path) -> int:
        data = path.read_bytes()
        level = 11 if len(data) <= BEST_BYTES else 9
        key = action_key("download", hashlib.sha256(data).hexdigest(), level)
        known = self.kept.get(key)
        if known is None:
            known = len(encode(data, Codec.BROTLI, level))
            self.kept.put(key, known)
        return int(known)

    def _feeds(self, base: _Base) -> None:
        if base.feeds.exists():
            return
        part = base.feeds.with_suffix(".part.npz")
        request = {**base.asked, "out": str(part)}
        said = child.answer("feeds", request, seconds=_SECONDS, memory_bytes=_MEMORY_BYTES)
        if "kept" not in said:
            raise SystemExit(f"{base.model.name} cannot be asked: {said}")
        part.replace(base.feeds)

    def _scored(self, base: _Base, candidate: Digest) -> Scored:
        family = f"toolchain.tasks.{base.model.task['family']}"
        key = action_key(
            "scored", base.original.stem, candidate, dict(base.model.task), source_digest(family)
        )
        if kept := self._known(key, Scored):
            return kept
        request = {**base.asked, "candidate": str(self.file(candidate))}
        said = child.answer("score", request, seconds=_SECONDS, memory_bytes=_MEMORY_BYTES)
        if "score" in said:
            scored = check(
                {**said["score"], "unit": said["unit"], "problem": said["problem"]},
                Scored,
                where="score",
            )
        else:
            words = said.get("words") or said.get("error") or said.get("failed", "")
            stage = said.get("stage", "cannot be asked")
            scored = Scored(stage=stage, words=_private(words, self.home))
        self.kept.put(key, scored)
        return scored

    def _placed(self, base: _Base, folded: Digest) -> Placed:
        """Return the file and the setting with which vtool's result runs best here."""
        code = source_digest("toolchain.quantization.choosing")
        key = action_key("placed", base.original.stem, folded, base.feeds.stem, code)
        if kept := self._known(key, Placed):
            return kept
        with TemporaryDirectory(dir=self.home) as folder:
            out = Path(folder) / "out.onnx"
            request = {**base.asked, "candidate": str(self.file(folded)), "out": str(out)}
            request["feeds"] = str(base.feeds)
            said = child.answer(
                "place", request, seconds=_SEARCH_SECONDS, memory_bytes=_MEMORY_BYTES
            )
            if "format" not in said:
                self.say(f"{base.model.name}: no format is chosen: {said}")
                return Placed(folded)
            found = Placed(self.store(out), said["format"], said["setting"])
        self.kept.put(key, found)
        return found

    def _taken(self, base: _Base, runs: Placed) -> Taken:
        key = action_key("taken", base.original.stem, runs, base.feeds.stem, HOW)
        if kept := self._known(key, Taken):
            return kept
        settings = {one.name: one for one in targets.load("native-cpu").setting}
        usual = settings[USUAL]
        taken = compared(
            base.feeds,
            (base.original, usual),
            (self.file(runs.file), settings[runs.setting]),
        )
        if (runs.format, runs.setting) != (FOLDED, USUAL):
            taken = replace(taken, how=f"{runs.format}, {runs.setting}")
        self.kept.put(key, taken)
        return taken

    def _known(self, key: Digest, kind: type[T]) -> T | None:
        document = self.kept.get(key)
        return None if document is None else check(document, kind, where="a kept row")


@dataclass(frozen=True)
class _Base:
    model: Model
    original: Path
    files: Mapping[str, str]
    feeds: Path

    @property
    def asked(self) -> dict[str, Any]:
        """What the children need to ask the model."""
        return {
            "model": str(self.original),
            "task": dict(self.model.task),
            "files": dict(self.files),
        }


def _digest(value: object) -> str:
    return action_key("digest", value)


def _code(*modules: str) -> str:
    """Return a digest of the source of modules beside this one."""
    texts = [(Path(__file__).with_name(f"{name}.py")).read_text("utf-8") for name in modules]
    return hashlib.sha256("".join(texts).encode()).hexdigest()


def _private(words: str, folder: Path) -> str:
    """Return a tool's words without this machine's paths, shortened."""
    for path in (str(folder), str(folder.parent), str(Path.home()), sys.prefix):
        words = words.replace(path, "")
    _, load, rest = words.partition("Load model from ")
    return (rest.partition(" failed:")[2] if load else words)[:_MOST_OF_WORDS]


def open_run(say: Callable[[str], None], *, latency: bool) -> Run:
    """Return a run that keeps its results in the user's cache."""
    home = catalogue.home()
    return Run(catalogue.catalogue(), home, ActionCache(home / "rows"), say, latency)
