"""Split WebAssembly: what ran in a profiled program is loaded at once, the rest when it is called.

What it does
    Runs the programs in ``profile`` (ES modules of the project that print what they compute, named
    in ``profiles`` of vtool.toml) in node, on a module that notes which of its functions run. Those
    stay in the module, under its own name; the others move into ``NAME.deferred.wasm`` beside it,
    or into several such parts where one would be too large for a window. A line is put before the
    script that loads the module: it loads a part the first time one of its functions is called.

Why
    An engine holds every operator of every model; an application waits for all of it and uses a
    fifth. onnxruntime-web's engine, profiled with Silero VAD, starts with two fifths of its bytes:
    docs/split-wasm.md has the figures and the command that prints them.

Keeps
    All code: what is called and is not there is loaded, synchronously, since a call cannot wait.
    Exports, imports, data, and the names of files. Functions that JavaScript cannot call stay in
    the module. Workers and threads load parts for themselves. ``prefetch`` loads the parts in the
    background once the module has started. docs/split-wasm.md says what a window can do.

    Modules that no profiled program uses are left alone. Without binaryen (on the PATH or in the
    folder ``binaryen``) nothing is done, and the ledger says how to get it. Refused:
    a script that suspends WebAssembly (JSPI), where no JavaScript may stand on the stack; a module
    of which less than a tenth did not run; a profiled program that misses something afterwards.

Source
    binaryen's wasm-split; Emscripten, "Module Splitting". The loader and the parts are ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from posixpath import dirname

from toolchain.errors import InputError, UnavailableError
from toolchain.formats import esbuild, node_program, wasm, wasm_split
from toolchain.formats.binaryen import HOW_TO_GET, Program, find, instrument
from toolchain.ir import Artifact, ArtifactId, Edge, Graph, Kind, Relation, Store
from toolchain.passes.base import ProfiledPass
from toolchain.sources.tools import node, tool
from toolchain.units import Bytes

_LOADS = frozenset({Relation.FETCH, Relation.DYNAMIC})
_INSTANTIATES = (b".instantiate", b".Instance")  # a script without both cannot
_SUSPENDS = b"WebAssembly.Suspending"
_LEAST = 0.1  # of a module's bytes must be deferred: less is not worth a request


@dataclass(frozen=True)
class SplitWasm(ProfiledPass):
    """Split every module that matches and that a program in ``profile`` uses.

    ``others`` are programs that are not profiled: they must give the same, whatever they miss.
    ``reads`` are globs of other reference files that the programs read, ``conditions`` those of
    package.json's ``exports`` that node does not have by itself. ``seconds`` is the limit for each
    run of a program and of a tool.
    """

    proof = "same-run"

    profile: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    match: tuple[str, ...] = ("*.wasm",)
    prefetch: bool = False
    binaryen: str = ""
    seconds: int = 300

    @property
    def needs(self) -> tuple[str, ...]:
        """The programs, what lies beside them, and what they read."""
        programs = (*self.profile, *self.others)
        folders = sorted({dirname(p) for p in programs} - {""})
        return (*programs, *(f"{folder}/*" for folder in folders), *self.reads)

    def installed(self) -> tuple[str, ...]:
        """Return the versions of wasm-split and wasm-opt.

        Errors:
            UnavailableError: one is not installed.
        """
        programs = self._programs()
        return (programs.split.version, programs.optimize.version)

    def _programs(self) -> wasm_split.Programs:
        return wasm_split.Programs(self._program("wasm-split"), self._program("wasm-opt"))

    def _program(self, name: str) -> Program:
        found = find(name, self.binaryen)
        if found is None:
            where = f"in {self.binaryen}" if self.binaryen else "on the PATH"
            raise UnavailableError(f"there is no {name} {where}", hint=f"get it with {HOW_TO_GET}")
        return found

    def apply_with(self, graph: Graph, store: Store, files: Mapping[str, Path]) -> Graph:
        """Return ``graph`` with split modules, their parts, and loaders in the scripts.

        Errors:
            UnavailableError: binaryen is not installed.
            InputError: a program fails, or a module cannot be split; says which and why.
            ToolError: wasm-split, node or esbuild fails.
        """
        modules = [
            a
            for a in graph.files.values()
            if a.kind is Kind.WASM
            and any(fnmatchcase(a.id, g) for g in self.match)
            and not wasm_split.deferred_names(a.id) & graph.artifacts.keys()
        ]
        loaders = {a.id: list(_loaders(a.id, graph, store)) for a in modules}
        if not self.profile or not any(loaders.values()):
            return graph
        laid_out = {**node_program.contents(graph.files.values(), store), **files}
        after = graph
        for module in modules:
            data = wasm_split.plain(store.get(module.digest))
            if loaders[module.id] and (used := self._used(module.id, data, laid_out)) is not None:
                pieces = self._pieces(module.id, data, used)
                after = self._with_pieces(after, store, module.id, pieces, loaders[module.id])
        return after

    def _used(
        self, name: str, data: bytes, files: Mapping[str, bytes | Path]
    ) -> frozenset[int] | None:
        """Return which functions of a module ran; None where no program uses the module."""
        noting = instrument(self._program("wasm-split"), data, timeout_s=self.seconds)
        profiles: list[bytes] = []
        for program in self.profile:
            done = node_program.run(
                node(),
                program,
                {**files, name: noting},
                conditions=self.conditions,
                timeout_s=self.seconds,
            )
            if done.code:
                raise InputError(f"{program} fails ({done.code}): {done.complaint}")
            profiles += done.profiles
        return wasm_split.ran(profiles, len(wasm.read(data).bodies)) if profiles else None

    def _pieces(self, name: str, data: bytes, used: Collection[int]) -> wasm_split.Pieces:
        pieces = wasm_split.split(self._programs(), data, used, timeout_s=self.seconds)
        deferred = len(data) - len(pieces.primary)
        if deferred < _LEAST * len(data):
            raise InputError(f"{name}: only {deferred} of {len(data)} bytes would be deferred")
        return pieces

    def _with_pieces(
        self,
        graph: Graph,
        store: Store,
        module: ArtifactId,
        pieces: wasm_split.Pieces,
        scripts: Collection[ArtifactId],
    ) -> Graph:
        parts = [
            _stored(
                wasm_split.deferred_name(module, n, len(pieces.parts)), Kind.WASM, p.data, store
            )
            for n, p in enumerate(pieces.parts)
        ]
        changed = [*parts, _stored(module, Kind.WASM, pieces.primary, store)]
        with esbuild.service(tool("esbuild")) as service:
            for name in scripts:
                script = graph.artifacts[name]
                text = wasm_split.with_loader(
                    service,
                    (name, store.get(script.digest)),
                    module,
                    pieces.parts,
                    prefetch=self.prefetch,
                )
                changed.append(_stored(name, script.kind, text, store))
                changed += _moved_map(graph, store, name)
        edges = [Edge(name, p.id, Relation.LAZY) for name in scripts for p in parts]
        return graph.with_artifacts(changed).with_edges(edges)


def _loaders(module: ArtifactId, graph: Graph, store: Store) -> Iterator[ArtifactId]:
    """Yield the scripts that load and instantiate a module.

    Errors:
        InputError: one of them suspends WebAssembly.
    """
    names = {e.source for e in graph.edges if e.target == module and e.relation in _LOADS}
    for name in sorted(names):
        if graph.artifacts[name].kind is not Kind.JS:
            continue
        text = store.get(graph.artifacts[name].digest)
        if _SUSPENDS in text:
            raise InputError(
                f"{name} suspends WebAssembly, and the first call of a deferred function comes "
                "through JavaScript, which cannot be suspended"
            )
        if any(word in text for word in _INSTANTIATES):
            yield name


def _moved_map(graph: Graph, store: Store, script: ArtifactId) -> list[Artifact]:
    """Return the source map beside a script, for the script with a line before its first."""
    found = graph.artifacts.get(ArtifactId(f"{script}.map"))
    if found is None or found.kind is not Kind.SOURCEMAP:
        return []
    data = wasm_split.one_line_down(store.get(found.digest))
    return [_stored(found.id, found.kind, data, store)]


def _stored(name: str, kind: Kind, data: bytes, store: Store) -> Artifact:
    return Artifact(ArtifactId(name), kind, store.put(data), Bytes(len(data)))
