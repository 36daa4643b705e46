"""One folder that all bundlers read alike: every import a path to a file, every module JavaScript.

esbuild has read the project by then, and says what each import means: under the conditions, with
the browser field, tsconfig's paths, peers that are missing. Its answers are written into the
modules, so that no other bundler has to find anything, or finds something else. TypeScript and JSX
are compiled by esbuild as tsconfig.json says; so is what is newer than the target, and what asks
for ``process.env.NODE_ENV``. All other modules stay as they are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from posixpath import dirname, join, relpath

from toolchain.bundling.live import glob_of
from toolchain.errors import VtoolError
from toolchain.formats import esbuild
from toolchain.formats.esbuild_build import Import
from toolchain.formats.javascript import Mention, imported_names, read
from toolchain.formats.javascript_addresses import edited
from toolchain.formats.javascript_tried import shields
from toolchain.formats.sourcemap import Origin, Place, SourceMap, compose, parse, seen_from_above
from toolchain.formats.sourcemap_edits import edited_text
from toolchain.origins import chained

_EMPTY = "vtool-empty.cjs"  # for what the browser field removes, where it is required
_NOTHING = "vtool-empty.js"  # and where it is imported
_STYLE = "vtool-style.js"  # for style sheets, which are bundled by esbuild
_STUBS = {_EMPTY: b"module.exports = {};\n", _STYLE: b"export default {};\n"}
_DISABLED = "(disabled):"  # esbuild's mark on what the browser field removes
_OUT = "vtool-compiled"
_WRITTEN = {".ts": ".js", ".tsx": ".js", ".jsx": ".js", ".mts": ".mjs", ".cts": ".cjs"}
_PLAIN = frozenset({".js", ".mjs", ".cjs"})
_KINDS = {"import": "import-statement", "require": "require-call", "import()": "dynamic-import"}
_PRODUCTION = '--define:process.env.NODE_ENV="production"'  # what esbuild's --minify implies
_IGNORED = "/* webpackIgnore: true */ "  # else rspack puts an error in place of a computed import()


class UnstagedError(VtoolError):
    """Only esbuild understands something that the modules ask for."""


@dataclass(frozen=True)
class Rewrite:
    """How a staged module was made: compiled, if it has a ``map``, and then edited."""

    name: str
    text: bytes  # before it was edited
    edits: Mapping[tuple[int, int], str]
    map: bytes = b""

    def origin(self) -> Origin:
        """Return where places were in the module as bundlers get it."""
        before = edited_text(self.name, self.text, self.edits).original if self.edits else None
        if not self.map:
            return before or edited_text(self.name, self.text, {}).original
        compiled = seen_from_above(parse(self.map), f"{_OUT}/{self.name}.js").original
        return chained(before, compiled) or compiled


@dataclass(frozen=True)
class Staged:
    """The modules by the name they have in the stage; ``origins`` says which each was."""

    texts: Mapping[str, bytes]
    origins: Mapping[str, str]
    rewrites: Mapping[str, Rewrite]  # by the name in the stage, of modules that are not as written
    entries: Mapping[str, str]  # name of a bundle -> staged module
    external: tuple[str, ...]
    required: tuple[str, ...]  # JSON that is asked for with require()

    def original(self, found: SourceMap) -> SourceMap:
        """Return a map to the stage as one to the modules that bundlers get."""
        known = {at: self._origin(at) for at in found.sources}
        return compose(found, known)

    def _origin(self, at: str) -> Origin:
        """Return where places of a staged file were; those of what an engine made up, nowhere."""
        module = self.origins.get(at)
        if module is None:
            return lambda _line, _column: None
        rewrite = self.rewrites.get(at)
        return rewrite.origin() if rewrite else lambda line, column: Place(module, line, column)

    def write(self, folder: Path) -> None:
        """Write the stage into ``folder``."""
        for name, text in self.texts.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)


@dataclass(frozen=True)
class Project:
    """What esbuild read: its result, and how to get at a file and at a module's edited text."""

    service: esbuild.Esbuild
    folder: Path
    result: esbuild.Result
    plugin: esbuild.Plugin
    edited: Callable[[str], bytes]
    package: Callable[[str], bytes | None]  # the package.json of a folder, if it has one
    sourcemap: bool = False


def stage(project: Project, entries: Mapping[str, str], target: str) -> Staged:
    """Return the stage for the bundles ``entries`` (name to module).

    Errors:
        UnstagedError: the modules cannot be written so that all bundlers read them alike.
        ToolError: esbuild failed.
    """
    inputs = project.result.inputs
    names = _names(inputs, entries)
    compiled = _compiled(project, [n for n in names if _is_code(n)], target)
    texts = dict(_STUBS)
    rewrites: dict[str, Rewrite] = {}
    for name, at in names.items():
        if at in _STUBS:
            continue
        made = compiled.get(name)
        text = project.edited(name) if made is None else made.data
        writing = _Writing(name, inputs[name].imports, names)
        edits = _with_shields(writing.edits(text), text) if _is_code(name) else {}
        texts[at] = edited(text, edits)
        if made is not None or edits:
            rewrites[at] = Rewrite(name, text, edits, made.map if made else b"")
    texts |= dict(_packages(project, names))
    texts[_NOTHING] = _nothing(project, texts, names)
    imports = [one for module in inputs.values() for one in module.imports]
    external = {one.path for one in imports if one.external and "*" not in one.path}
    required = {one.path for one in imports if one.kind == "require-call"}
    return Staged(
        texts,
        {at: name for name, at in names.items() if at not in _STUBS},
        rewrites,
        {bundle: names[module] for bundle, module in entries.items()},
        tuple(sorted(external)),
        tuple(sorted(names[n] for n in required if n.endswith(".json") and n in names)),
    )


def _with_shields(edits: dict[tuple[int, int], str], text: bytes) -> dict[tuple[int, int], str]:
    """Return ``edits`` and what keeps statements from minifiers, outside of what is replaced."""
    more = shields(text)
    return edits | {
        at: new for at, new in more.items() if not any(start < at[0] < end for start, end in edits)
    }


def _is_code(name: str) -> bool:
    suffix = PurePosixPath(name).suffix
    return suffix in _PLAIN or suffix in _WRITTEN


def _names(inputs: Mapping[str, object], entries: Mapping[str, str]) -> dict[str, str]:
    """Return the staged name of each module; those of entries are what their bundles are called."""
    bundles = {module: bundle for bundle, module in entries.items()}
    names: dict[str, str] = {}
    taken = set(inputs)
    for name in sorted(inputs):
        path = PurePosixPath(name)
        if name.endswith(".module.css"):
            raise UnstagedError(f"{name}: only esbuild gives names of style sheets to scripts")
        if name.startswith(_DISABLED) or path.suffix == ".css":
            names[name] = _STYLE if path.suffix == ".css" else _EMPTY
            continue
        if not (_is_code(name) or path.suffix == ".json"):
            raise UnstagedError(f"only esbuild reads {name}")
        suffix = _WRITTEN.get(path.suffix, path.suffix)
        at = str(path.with_name(bundles.get(name, path.stem) + suffix))
        if at != name and at in taken:
            at = str(path.parent / "vtool-written" / (bundles.get(name, path.stem) + suffix))
        taken.add(at)
        names[name] = at
    return names


def _nothing(project: Project, texts: Mapping[str, bytes], names: Mapping[str, str]) -> bytes:
    """Return the module that stands for what the browser field removes: each name is undefined."""
    wanted: set[str] = set()
    for name, module in project.result.inputs.items():
        if any(one.path.startswith(_DISABLED) for one in module.imports):
            found = imported_names(texts[names[name]])
            wanted |= {n for at, of in found.items() if at.endswith(f"/{_NOTHING}") for n in of}
    lines = [f"export let {name};\n" for name in sorted(wanted - {"default"})]
    return "".join([*lines, "export default {};\n"]).encode()


def _compiled(project: Project, names: list[str], target: str) -> dict[str, esbuild.Output]:
    """Return the modules that are not to be taken as they are written, compiled."""
    common = (
        "--charset=utf8",
        "--legal-comments=inline",
        "--preserve-symlinks",
        f"--outdir={_OUT}",
    )
    entries = {name: name for name in names}

    def build(*flags: str) -> dict[str, esbuild.Output]:
        asked = esbuild.Build(project.folder, entries, (*common, *flags), project.plugin)
        made = project.service.build(asked)
        if made.errors:
            raise UnstagedError(f"{made.errors[0].where()}: {made.errors[0].text}")
        return {o.path[len(_OUT) + 1 :].removesuffix(".js"): o for o in made.outputs}

    maps = ("--sourcemap=external", "--sources-content=false") if project.sourcemap else ()
    lowered = build(f"--target={target}", _PRODUCTION, *maps)
    printed = build("--target=esnext")  # the same where there is nothing to compile
    return {
        name: made
        for name, made in lowered.items()
        if PurePosixPath(name).suffix in _WRITTEN or printed[name].data != made.data
    }


@dataclass(frozen=True)
class _Writing:
    """Writes what esbuild says an import means into a module."""

    name: str
    imports: tuple[Import, ...]
    names: Mapping[str, str]

    def edits(self, data: bytes) -> dict[tuple[int, int], str]:
        """Return what changes in ``data``: a path to a staged file for each import that is one."""
        known = {(one.original, one.kind): one.path for one in self.imports if not one.external}
        loose = {one.original: one.path for one in self.imports if not one.external}
        edits: dict[tuple[int, int], str] = {}
        for mention in read(data).mentions:
            kind = _KINDS.get(mention.how)
            if kind is None:
                continue
            if mention.computed:
                edits |= self._computed(mention, data)
                continue
            target = known.get((mention.target, kind), loose.get(mention.target))
            if target is not None and target in self.names:
                at = self.names[target]
                if at == _EMPTY and mention.how != "require":
                    at = _NOTHING
                edits[mention.start, mention.end] = self._way(at)
        return edits

    def _way(self, at: str) -> str:
        way = relpath(at, dirname(self.names[self.name]) or ".")
        return json.dumps(way if way.startswith("../") else f"./{way}", ensure_ascii=False)

    def _computed(self, mention: Mention, data: bytes) -> dict[tuple[int, int], str]:
        """Return what stands in place of an import whose name is computed, as esbuild has it.

        A pattern that begins with a folder means the files that fit; any other name is asked for
        when the program runs.
        """
        fitting = dict(self._fitting(mention.target))
        if mention.how == "require":
            if fitting:
                raise UnstagedError(f"{self.name}:{mention.line}: require() of a computed name")
            return {}
        if not fitting:
            return {(mention.start, mention.start): _IGNORED}
        rows = ", ".join(
            f"{json.dumps(name)}: () => import({self._way(self.names[module])})"
            for name, module in sorted(fitting.items())
        )
        missing = 'Promise.reject(new Error("Module not found in bundle: " + name))'
        argument = data[mention.start : mention.end].decode("utf-8", errors="replace")
        choice = f"((name) => ({{ {rows} }})[name]?.() ?? {missing})({argument})"
        return {mention.call: choice}

    def _fitting(self, pattern: str) -> Iterator[tuple[str, str]]:
        globs = [one.path for one in self.imports if one.external and "*" in one.path]
        if not globs or not pattern.startswith(("./", "../")):
            return
        wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))))
        allowed = [glob_of(self.name, one) for one in globs]
        for module in self.names:
            way = relpath(module, dirname(self.name) or ".")
            way = way if way.startswith("../") else f"./{way}"
            if wanted.fullmatch(way) and any(one.fullmatch(module) for one in allowed):
                yield way, module


def _packages(project: Project, names: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yield what bundlers may know of the packages: is it ESM, and what has side effects."""
    folders = {"" if str(f) == "." else str(f) for n in names for f in PurePosixPath(n).parents}
    for folder in sorted(folders):
        data = project.package(folder)
        fields = json.loads(data) if data else None
        if not isinstance(fields, dict):
            continue
        kept = {key: fields[key] for key in ("name", "type", "sideEffects") if key in fields}
        if isinstance(effects := kept.get("sideEffects"), list):
            kept["sideEffects"] = [*effects, *_as_written(effects)]
        yield join(folder, "package.json"), json.dumps(kept).encode()


def _as_written(effects: list[object]) -> Iterator[str]:
    """Yield globs of TypeScript files as globs of what is compiled of them."""
    for glob in effects:
        suffix = PurePosixPath(str(glob)).suffix
        if suffix in _WRITTEN:
            yield str(glob).removesuffix(suffix) + _WRITTEN[suffix]
