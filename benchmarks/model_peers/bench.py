"""Runs every tool on every model, each step in a process of its own, and keeps what is known.

Everything is kept in the user's cache under the digests of what it depends on: a run that was
stopped goes on where it was, and only what changed is measured again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from model_peers import catalogue, child
from model_peers.catalogue import Catalogue, Model
from model_peers.keeping import Kept, code_of, digest, opened, private
from model_peers.peers import PEERS
from model_peers.rows import (
    ORIGINAL,
    STRICT,
    USUAL,
    VTOOL,
    Made,
    Placed,
    Row,
    Scored,
    Taken,
    smallest,
)
from model_peers.sidebyside import HOW, compared

from toolchain.execution.cache import action_key, source_digest
from toolchain.formats.execution_format import FOLDED
from toolchain.ir import Digest
from toolchain.quantization import targets
from toolchain.tables import check

_SECONDS = 420.0  # ours, of one tool on one model
_SEARCH_SECONDS = 1800.0  # vtool's search, on a machine that does other things too
_MEMORY_BYTES = 7_000_000_000  # ours: half of a laptop's
_WORTH = frozenset({"smaller", "breaks the limit"})  # latency of what is the same is the same


@dataclass(frozen=True)
class Run:
    """Where results are kept, and for whom progress is printed."""

    catalogue: Catalogue
    kept: Kept
    say: Callable[[str], None]
    latency: bool = True

    def original(self, model: Model) -> Path:
        """Return the ONNX model that all tools are given."""
        key = action_key("original", model.package, model.member, code_of("catalogue"))
        found = self.kept.cache.get(key)
        if found and self.kept.file(Digest(found["file"])).exists():
            return self.kept.file(Digest(found["file"]))
        with TemporaryDirectory(dir=self.kept.home) as folder:
            path = Path(folder) / "model.onnx"
            catalogue.written(model, path)
            digest = self.kept.store(path)
        self.kept.cache.put(key, {"file": digest})
        return self.kept.file(digest)

    def rows(self, model: Model, tools: Sequence[str]) -> list[Row]:
        """Return the rows of one model, the original first."""
        base = self._base(model)
        found = []
        for tool in (ORIGINAL, *tools):
            row = self._row(base, tool)
            found.append(row)
            self.kept.keep(row)
            self.say(f"{model.name:18} {tool:20} {row.outcome(found[0].made)}")
        if row := self._strict(base, found):
            found.append(row)
            self.kept.keep(row)
            self.say(f"{model.name:18} {row.tool:20} {row.outcome(found[0].made)}")
        return found

    def known(self, model: Model) -> list[Row]:
        """Return the rows of one model as they were when each was last measured."""
        tools = (ORIGINAL, *PEERS, VTOOL, STRICT)
        return [row for tool in tools if (row := self.kept.last(model.name, tool))]

    def _strict(self, base: _Base, rows: Sequence[Row]) -> Row | None:
        """Return vtool's row at the error of the best peer, where its own is larger than that."""
        ours = next((row for row in rows if row.tool == VTOOL and row.usable), None)
        best = smallest([row for row in rows if row.tool in PEERS])
        if ours is None or best is None or not ours.scored or not best.scored:
            return None
        if not 0 < best.scored.error < ours.scored.error:
            return None
        limited = {**base.model.task, "limit": {"error": best.scored.error}}
        model = replace(base.model, task=limited)
        row = self._row(replace(base, model=model), VTOOL)
        return replace(row, tool=STRICT)

    def feeds(self, model: Model) -> Path:
        """Return what the model's task feeds it, as ``asking.recorded`` writes it."""
        return self._base(model).feeds

    def _base(self, model: Model) -> _Base:
        original = self.original(model)
        files = {name: str(path) for name, path in self.catalogue.files(model).items()}
        code = source_digest(f"toolchain.tasks.{model.task['family']}")
        name = f"{original.stem}-{digest([dict(model.task), code])[:12]}.npz"
        base = _Base(model, original, files, self.kept.home / name)
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
            return Made(0.0, 0, Digest(base.original.stem), size, self.kept.download(base.original))
        if tool == VTOOL:
            code = [
                source_digest("toolchain.passes.quantize"),
                dict(base.model.task),
                base.model.step,
            ]
        else:
            code = [PEERS[tool].version, PEERS[tool].call, code_of("peers")]
        key = action_key("made", tool, base.original.stem, code)
        kept = self.kept.known(key, Made)
        if kept and (kept.file is None or self.kept.file(kept.file).exists()):
            return kept
        with TemporaryDirectory(dir=self.kept.home) as folder:
            made = (self._vtool if tool == VTOOL else self._peer)(base, tool, Path(folder))
        self.kept.cache.put(key, made)
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
            return replace(made, failed=private(str(failed or "it wrote nothing"), out.parent))
        size = download.stat().st_size if download != out else self.kept.download(out)
        files = [p for p in out.parent.iterdir() if p.name.startswith("out.onnx")]
        if len(files) > 1:
            return replace(made, failed="it wrote several files, which are not measured here")
        whole = out.stat().st_size
        return replace(made, bytes=whole, download_bytes=size, file=self.kept.store(out))

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
        if kept := self.kept.known(key, Scored):
            return kept
        request = {**base.asked, "candidate": str(self.kept.file(candidate))}
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
            scored = Scored(stage=stage, words=private(words, self.kept.home))
        self.kept.cache.put(key, scored)
        return scored

    def _placed(self, base: _Base, folded: Digest) -> Placed:
        """Return the file and the setting with which vtool's result runs best here."""
        code = source_digest("toolchain.quantization.choosing")
        key = action_key("placed", base.original.stem, folded, base.feeds.stem, code)
        if kept := self.kept.known(key, Placed):
            return kept
        with TemporaryDirectory(dir=self.kept.home) as folder:
            out = Path(folder) / "out.onnx"
            request = {**base.asked, "candidate": str(self.kept.file(folded)), "out": str(out)}
            request["feeds"] = str(base.feeds)
            said = child.answer(
                "place", request, seconds=_SEARCH_SECONDS, memory_bytes=_MEMORY_BYTES
            )
            if "format" not in said:
                self.say(f"{base.model.name}: no format is chosen: {said}")
                return Placed(folded)
            found = Placed(self.kept.store(out), said["format"], said["setting"])
        self.kept.cache.put(key, found)
        return found

    def _taken(self, base: _Base, runs: Placed) -> Taken:
        key = action_key("taken", base.original.stem, runs, base.feeds.stem, HOW)
        if kept := self.kept.known(key, Taken):
            return kept
        settings = {one.name: one for one in targets.load("native-cpu").setting}
        usual = settings[USUAL]
        taken = compared(
            base.feeds,
            (base.original, usual),
            (self.kept.file(runs.file), settings[runs.setting]),
        )
        if (runs.format, runs.setting) != (FOLDED, USUAL):
            taken = replace(taken, how=f"{runs.format}, {runs.setting}")
        self.kept.cache.put(key, taken)
        return taken


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


def open_run(say: Callable[[str], None], *, latency: bool) -> Run:
    """Return a run that keeps its results in the user's cache."""
    return Run(catalogue.catalogue(), opened(), say, latency)
